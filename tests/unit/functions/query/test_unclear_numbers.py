import pytest

from functions.query.unclear_numbers import currencies, unclear_numbers


@pytest.mark.parametrize(
    "message",
    [
        "house 400k, loan 350,000.50",
        "1e6 and 5e5",
        "30yr at 7.125%, 90days",
        "1st, 2nd, 1.25x, the 1990s",
        "300k -350k",
        "400k minus 20k",
        "12 CFR 324.132 and section 34.123",
        "1.250 million, 65.001 %",
        "gold 10oz",
        "2br house",
    ],
)
def test_numbers_that_are_plain_are_not_doubted(message: str) -> None:
    assert unclear_numbers(message) == ()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("loan 4OOk.", "4OOk"),
        ("loan 3l0k", "3l0k"),
        ("a loan of minus 20k", "minus 20k"),
        ("loan $-20k", "$-20k"),
        ("value 1.250.000,50", "1.250.000,50"),
        ("value 1,00,000", "1,00,000"),
        ("value 1e400", "1e400"),
    ],
)
def test_a_doubtful_number_is_named_at_its_place(message: str, text: str) -> None:
    (one,) = unclear_numbers(message)
    assert one.text == text
    assert message[one.start : one.end] == text


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        ("house 400k", ()),
        ("$400k and 20 dollars", ("USD",)),
        ("€400k", ("EUR",)),
        ("GBP400k, £20k", ("GBP",)),
        ("C$400k, 20k CHF, 5k AUD, ¥900", ("CAD", "CHF", "AUD", "JPY")),
        ("US$400k", ("USD",)),
        ("Europe has a decade", ()),
    ],
)
def test_currencies_are_named_by_code(message: str, codes: tuple[str, ...]) -> None:
    assert currencies(message) == codes
