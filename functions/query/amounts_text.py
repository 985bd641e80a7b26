"""How amounts and ratios are written in an answer and in the lines of a calculation."""

from decimal import ROUND_HALF_UP, Decimal

from functions.query.lending import to_cents


def usd(amount: Decimal) -> str:
    """As in 350,000, or 350,000.50 where there are cents."""
    rounded = to_cents(amount, ROUND_HALF_UP)
    return f"{rounded:,.0f}" if rounded == rounded.to_integral_value() else f"{rounded:,.2f}"


def percent_text(percent: Decimal) -> str:
    """As in 87.5 %, at most two decimals."""
    return f"{short(percent)} %"


def short(number: Decimal) -> str:
    """At most two decimals, without zeros at the end."""
    return f"{to_cents(number, ROUND_HALF_UP).normalize():f}"


def equals(exact: Decimal) -> str:
    """The sign before a result shown with two decimals."""
    return "=" if exact == to_cents(exact, ROUND_HALF_UP) else "≈"
