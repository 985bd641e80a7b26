"""Amounts as people read them."""

from decimal import Decimal

import pytest

from functions.cost_report.amounts import in_usd


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "0.00 USD"), ("1234.5", "1,234.50 USD"), ("0.01", "0.01 USD"), ("0.004", "0.004 USD"),
        ("0.00012345", "0.00012 USD"), ("0.0000001", "less than 0.000001 USD"), ("-0.5", "-0.50 USD"),
        ("1E+2", "100.00 USD"),
    ],
)  # fmt: skip
def test_amounts_are_told_to_the_cent_and_small_ones_to_two_digits(amount: str, words: str) -> None:
    assert in_usd(Decimal(amount)) == words
