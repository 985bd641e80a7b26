import pytest

from common.pii import PiiKind
from common.recognizers.iban import is_valid
from tests.unit.common.recognizers.finding import found


@pytest.mark.parametrize(
    "number",
    [
        "GB29NWBK60161331926819", "GB29 NWBK 6016 1331 9268 19", "gb29nwbk60161331926819",
        "DE89-3704-0044-0532-0130-00",
        "NO9386011117947", "FR14 2004 1010 0505 0001 3M02 606", "MT84MALT011000012345MTLCAST001S",
    ],
)  # fmt: skip
def test_a_number_is_found_in_groups_or_not(number: str) -> None:
    assert found(f"to {number}.", PiiKind.IBAN) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "GB28NWBK60161331926819",
        "GB29NWBK601613319268190",
        "GB29NWBK6016133192681",
        "GB29 NWBK, London",
        "XX29NWBK60161331926819",
        "AGB29NWBK60161331926819",
        "be00000097de12b0",
        "af12",
    ],
)
def test_what_has_another_length_country_or_remainder_is_left(text: str) -> None:
    assert found(text, PiiKind.IBAN) == []


def test_two_numbers_after_each_other_are_two() -> None:
    assert found("NO9386011117947 DE89370400440532013000", PiiKind.IBAN) == [
        "NO9386011117947",
        "DE89370400440532013000",
    ]


def test_a_country_without_letters_has_digits_alone() -> None:
    assert is_valid("BE68539007547034")
    assert not is_valid("BE68A39007547034")
