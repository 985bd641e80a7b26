import pytest

from common.pii import PiiKind
from common.recognizers.bank import is_routing_number
from tests.unit.common.recognizers.finding import found


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("routing number 021000021", "021000021"),
        ("ABA: 021000021", "021000021"),
        ("routing no. 021 000 021", "021 000 021"),
        ("021000021 is the routing transit number", "021000021"),
        ("account number 12345678", "12345678"),
        ("acct# 000123456789", "000123456789"),
        ("a/c no 12345678901", "12345678901"),
        ('"account_number": "1234567890"', "1234567890"),
        ("my checking account is 1234-5678-90", "1234-5678-90"),
        ("into 865425153614, that's my bank account", "865425153614"),
        ("account 123456789012", "123456789012"),
    ],
)
def test_a_number_is_found_where_words_say_what_it_is(text: str, number: str) -> None:
    assert found(text, PiiKind.US_BANK) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "021000021",
        "routing 021000022",
        "order 12345678",
        "loan 12345678",
        "accountId: 12345678",
        "account 12345678 bytes",
        "about my account call 415-555-0132",
        "the account of the service was 3 days old, 12345678 seen",
        "arn:aws:iam, account 123456789012",
        "1234 5678, the account",
        "Account [US_BANK] to 15433692",
    ],
)
def test_other_digits_are_left(text: str) -> None:
    assert found(text, PiiKind.US_BANK) == []


@pytest.mark.parametrize(
    ("number", "yes"),
    [
        ("021000021", True), ("121000248", True), ("322271627", True), ("011401533", True), ("021000022", False),
        ("131000000", False), ("000000000", False), ("02100002", False),
    ],
)  # fmt: skip
def test_prefix_and_check_digit_tell_routing_numbers(number: str, yes: bool) -> None:
    assert is_routing_number(number) is yes
