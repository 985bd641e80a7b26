"""Figures are rounded for the eye, and stand exactly in the page."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.cost_report.models import Tokens
from functions.cost_report.page_numbers import all_tokens, count, day, days, minutes, moment, percent, usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1234.567", "$1,234.57"),
        ("0", "$0.00"),
        ("1", "$1.00"),
        ("0.5", "$0.50"),
        ("0.123456", "$0.123"),
        ("0.0451", "$0.0451"),
        ("0.00012345", "$0.000123"),
        ("0.00000000019", "$0.00000000019"),
        ("0.9996", "$1.00"),
        ("2.005", "$2.01"),
        ("-3.5", "\N{MINUS SIGN}$3.50"),
        ("1E+6", "$1,000,000.00"),
    ],
)
def test_an_amount_is_in_cents_and_below_a_dollar_as_precise_as_it_needs(amount: str, text: str) -> None:
    assert usd(Decimal(amount)) == f'<data value="{Decimal(amount):f}">{text}</data>'


@given(st.decimals(min_value=Decimal("-1e9"), max_value=Decimal("1e9"), places=12))
def test_the_exact_amount_is_kept_and_what_is_shown_is_near_it(amount: Decimal) -> None:
    value, _, text = usd(amount).removeprefix('<data value="').removesuffix("</data>").partition('">')
    assert Decimal(value) == amount
    shown = Decimal(text.replace("$", "").replace(",", "").replace("\N{MINUS SIGN}", "-"))
    assert abs(shown - amount) <= max(Decimal("0.0051") * abs(amount), Decimal(0)) or abs(amount) >= 1
    assert abs(shown - amount) <= Decimal("0.005")
    assert (shown == 0) == (amount == 0)


@pytest.mark.parametrize(
    ("share", "text"), [(43.2817, "43.3%"), (0.0, "0.0%"), (0.01, "<0.1%"), (-12.34, "\N{MINUS SIGN}12.3%")]
)
def test_a_share_has_one_decimal(share: float, text: str) -> None:
    assert percent(share).endswith(f">{text.replace('<', '&lt;')}</data>")
    assert percent(share).startswith(f'<data value="{share!r}">')


def test_minutes_counts_and_durations_are_easy_to_read() -> None:
    assert minutes(Decimal("31752.5")) == '<data value="31752.5">31,753</data>'
    assert minutes(Decimal("7.25")) == '<data value="7.25">7.3</data>'
    assert days(2.25) == '<data value="2.25">2.2 days</data>'
    assert (count(1234567), count(-3)) == ("1,234,567", "\N{MINUS SIGN}3")


def test_times_say_their_zone() -> None:
    at = datetime(2026, 11, 29, 1, 51, 22, tzinfo=UTC)
    assert moment(at) == '<time datetime="2026-11-29T01:51:22+00:00">2026-11-29 01:51 UTC</time>'
    assert day(date(2026, 11, 1)) == "<time>2026-11-01</time>"


def test_cached_tokens_are_counted_once() -> None:
    assert all_tokens(Tokens(input=100, cached_input=40, output=10, thinking=5, tool=1)) == 116
