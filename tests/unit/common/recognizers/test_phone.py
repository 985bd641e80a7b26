import pytest

from common.pii import PiiKind
from tests.unit.common.recognizers.finding import found


@pytest.mark.parametrize(
    "number",
    [
        "(415) 555-0132", "(415)555-0132", "415-555-0132", "415.555.0132", "415/555-0132", "1 415 555 0132",
        "415 555 0132",
        "1-415-555-0132", "001-415-555-0132", "1 (415) 555-0132", "+1 415 555 0132", "+1 (415) 555-0132",
        "+14155550132", "1-800-555-0199", "(415) 555-0132 ext. 12", "415-555-0132x12", "415.555.0132, extension 4",
        "415-555-0132 #12",
        "+44 20 7946 0958", "+44 (0)20 7946 0958", "+49(0)1234 567890", "+33 1 23 45 67 89", "+61.2.1234.5678",
        "+7 (495) 123-45-67", "+972-2-123-4567", "+56-01-34 843.629", "0049 30 123456", "020 7946 0958",
        "(0117) 496 0123", "08-123 456 78", "06.12.34.56.78", "090-1234-5678", "0412 345 678", "(70) 843-9271",
        "(11) 91234-5678",
        "8 (495) 123-45-67", "8 495 123-45-67", "495 123-45-67",
    ],
)  # fmt: skip
def test_a_number_in_its_usual_form_is_found_anywhere(number: str) -> None:
    assert found(f"Jane Roe, {number}", PiiKind.PHONE) == [number]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Call me at 4155550132", "4155550132"),
        ("phone=4155550132&x=1", "4155550132"),
        ('{"homePhone": "4155550132"}', "4155550132"),
        ("<phone>4155550132</phone>", "4155550132"),
        ("My number is 923 71 293", "923 71 293"),
        ("tel. 67 640 82 58", "67 640 82 58"),
        ("Fax No.: 555-0132", "555-0132"),
        ("Phone - 4155550132", "4155550132"),
        ("Phone/Fax: 4155550132", "4155550132"),
        ("4155550132 (cell)", "4155550132"),
        ("67 640 82 58 is my mobile", "67 640 82 58"),
        ("Telefonnummer: 030/1234567", "030/1234567"),
        ("Numéro de téléphone : 612345678", "612345678"),
        ("мой телефон 8 916 123 45 67", "8 916 123 45 67"),
        ("我的电话号码是13812345678。", "13812345678"),
        ("Call\u202a +1\u00a0415\u2011555\u20110132\u202c", "+1\u00a0415\u2011555\u20110132"),
        ("４１５－５５５－０１３２", "４１５－５５５－０１３２"),
        ("to=%2B14155550132", "%2B14155550132"),
        ("p=%2B1%20415%20555%200132", "%2B1%20415%20555%200132"),
        ("p=%28415%29%20555%2D0132", "%28415%29%20555%2D0132"),
        ("name;phone\nJane;4155550132", "4155550132"),
        ("Phone:\n4155550132", "4155550132"),
        ("my iPhone number is 415 555 0132", "415 555 0132"),
        ("ring me on +12345678", "+12345678"),
        ("12/05/2023 0412 345 678", "0412 345 678"),
        ("call 030 123456, then tell me", "030 123456"),
        ("+44 20 7946 0958 2023-01-01", "+44 20 7946 0958"),
        ("my line for the order, contact 0412 345 678", "0412 345 678"),
    ],
)
def test_the_words_around_say_that_digits_are_a_phone_number(text: str, number: str) -> None:
    assert found(text, PiiKind.PHONE) == [number]


@pytest.mark.parametrize(
    "number", ["415 555 2671", "(70) 843-9271", "415\u00a0555\u00a02671", "020 7946 0958", "+4930123456"]
)
def test_a_text_may_be_a_number_and_nothing_else(number: str) -> None:
    assert found(number, PiiKind.PHONE) == [number]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("tel 67 640 82 58 or 67 640 82 59", ["67 640 82 58", "67 640 82 59"]),
        ('"phones": ["4155550132", "4155550133"]', ["4155550132", "4155550133"]),
        ("+55 11 91234-5678 (11) 91234-5679", ["+55 11 91234-5678", "(11) 91234-5679"]),
        ("090-1234-5678 03-1234-5678", ["090-1234-5678", "03-1234-5678"]),
        ("020 7946 0958 / 020 7946 0959", ["020 7946 0958", "020 7946 0959"]),
        ("415-555-0132 415-555-0133", ["415-555-0132", "415-555-0133"]),
    ],
)
def test_numbers_in_a_row_are_found_one_by_one(text: str, numbers: list[str]) -> None:
    assert found(text, PiiKind.PHONE) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "order 4155550132",
        "token ring 12345678",
        "diff +1234567 -2345678 lines",
        "Numer telefonu: [PHONE], ul. 58779 5394 Graz",
        "Numer telefonu: [PHONE:3f2a91c4], ul. 58779 5394 Graz",
        "phone home from 10.20.30.40",
        "phone home from 152.141.189.144",
        "order number: 415-555-0132",
        '{"orderId": 4155550132}',
        "phone id 4155550132",
        "phone book cache 438949666 entries",
        "call 438949666 bytes",
        "4155550132 bytes of the phone",
        "1700000000123",
        "081109 203615 148 INFO",
        "2017-05-16 00:00:04.500 2931 INFO",
        "2005.11.09 dn228",
        "[0412/093015.123:ERROR:gpu.cc(446)]",
        "nid[00162-00251]",
        "07898-2540",
        "0000 0100 1234",
        "call on 12/05/2023 please",
        "phone 12:34:56.1234567",
        "phone $1234567",
        "tel 4155550132abc",
        "12-415-555-0132",
        "512 512 1024 768",
        "123 456 7890",
        "1+4155550132",
        "+0123456789",
        "+1234567890123456",
        "+415555",
        "checkCallerPackage|30002312|",
        "phone was 12345678901234567890",
        "01,012 345 6789",
        "call me maybe\nOrder 12345678",
        "Phone: none, MRN 88560214",
        "7086772 8950e",
        "12345-6789012345678-a",
        "(1) 2345678901",
        "Phone: yes, the invoice is about 12345678",
    ],
)
def test_other_digits_are_left(text: str) -> None:
    assert found(text, PiiKind.PHONE) == []


def test_the_next_field_does_not_get_the_label_of_the_field_before() -> None:
    assert found('{"phone": "", "value": 41555501}', PiiKind.PHONE) == []
    assert found('{"value": 41555501, "phone": ""}', PiiKind.PHONE) == []
    assert found("HOME PHONE: 4155550132 MRN 88560214", PiiKind.PHONE) == ["4155550132"]
    assert found("phone 4155550132 and then came 88560214", PiiKind.PHONE) == ["4155550132"]


def test_a_table_with_fewer_columns_than_cells_labels_nothing() -> None:
    assert found("phone,email\n1,2,41555501", PiiKind.PHONE) == []
    assert found("phone\n41555501", PiiKind.PHONE) == ["41555501"]
    assert found("a title\n\n41555501", PiiKind.PHONE) == []
