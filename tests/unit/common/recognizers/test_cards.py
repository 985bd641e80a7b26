import pytest

from common.pii import PiiKind
from common.recognizers.cards import is_card, luhn
from tests.unit.common.recognizers.finding import found


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "4222222222222",
        "5555 5555 5555 4444", "2223003122003222", "378282246310005", "3782 822463 10005", "30569309025904",
        "3056 930902 5904", "6011111111111117", "3530111333300000", "6200000000000005", "6759649826438453",
    ],
)  # fmt: skip
def test_a_card_number_is_found_anywhere(number: str) -> None:
    assert found(f"paid with {number}, thanks", PiiKind.CREDIT_CARD) == [number]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("card number 501800000009", "501800000009"),
        ("card 41 1111 111111 1111", "41 1111 111111 1111"),
        ("visa: 4111/1111/1111/1111", "4111/1111/1111/1111"),
        ("cc 5018 3218 3278 5934", "5018 3218 3278 5934"),  # whose first twelve have a right check digit too
    ],
)
def test_words_about_a_card_make_short_and_oddly_grouped_numbers_count(text: str, number: str) -> None:
    assert found(text, PiiKind.CREDIT_CARD) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "9111111111111111",
        "501800000009",
        "41 1111 111111 1111",
        "order 4111111111111111",
        "blk_4111111111111111",
        "blk_-5606126192391138107",
        "5606126192391138107",
        "1445144423722",
    ],
)
def test_other_digits_are_left(text: str) -> None:
    assert found(text, PiiKind.CREDIT_CARD) == []


@pytest.mark.parametrize("text", ["4111 1111 1111 1111 12 26 123", "12 4111 1111 1111 1111", "4111-1111-1111-1111 123"])
def test_dates_and_security_codes_beside_a_card_do_not_belong_to_it(text: str) -> None:
    assert [one.replace("-", " ") for one in found(text, PiiKind.CREDIT_CARD)] == ["4111 1111 1111 1111"]


def test_cards_in_a_row_are_found_one_by_one() -> None:
    assert len(found("4111 1111 1111 1111 5555 5555 5555 4444", PiiKind.CREDIT_CARD)) == 2


def test_the_check_digit_is_that_of_luhn() -> None:
    assert luhn("79927398713")
    assert not luhn("79927398710")


def test_an_issuer_has_its_own_lengths() -> None:
    assert is_card("4222222222222")
    assert not is_card("51000000000003")
