"""How the page writes figures: rounded for the eye, with the exact figure in the `value` of a `data` element."""

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from markupsafe import Markup

from functions.cost_report.models import Tokens

_SIGNIFICANT = 3  # digits of an amount below a dollar
_MINUS = "\N{MINUS SIGN}"
_SMALLEST_PERCENT = 0.05  # below, one decimal would say 0.0 %


def usd(amount: Decimal) -> Markup:
    """`amount` in USD: in whole cents, and below a dollar with three significant digits, so that none looks free."""
    return _exact(f"{amount:f}", f"{_sign(amount)}${_rounded(abs(amount)):,f}")


def minutes(amount: Decimal) -> Markup:
    """Minutes, in whole ones from 100 up."""
    places = Decimal(1) if abs(amount) >= 100 else Decimal("0.1")
    return _exact(f"{amount:f}", f"{_sign(amount)}{abs(amount).quantize(places, ROUND_HALF_UP):,f}")


def percent(share: float) -> Markup:
    """`share` in percent with one decimal."""
    if 0 < share < _SMALLEST_PERCENT:
        return _exact(repr(share), "<0.1%")
    return _exact(repr(share), f"{share:,.1f}%".replace("-", _MINUS))


def days(number: float) -> Markup:
    """A duration in days with one decimal."""
    return _exact(repr(number), f"{number:,.1f} days".replace("-", _MINUS))


def count(number: int) -> str:
    """A whole number, with its thousands set apart."""
    return f"{number:,}".replace("-", _MINUS)


def moment(at: datetime) -> Markup:
    """A time, to the minute, with its zone."""
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), f"{at:%Y-%m-%d %H:%M} {at.tzname()}")


def day(at: date) -> Markup:
    """A day as ISO 8601 writes it."""
    return Markup("<time>{}</time>").format(f"{at:%Y-%m-%d}")


def all_tokens(tokens: Tokens) -> int:
    """Every token once: the cached ones are a part of the input."""
    return tokens.input + tokens.output + tokens.thinking + tokens.tool


def _exact(value: str, text: str) -> Markup:
    return Markup('<data value="{}">{}</data>').format(value, text)


def _sign(amount: Decimal) -> str:
    return _MINUS if amount < 0 else ""


def _rounded(amount: Decimal) -> Decimal:
    """`amount`, which is not negative, with the digits that are shown: at least two behind the point."""
    places = 2
    if 0 < amount < 1:
        places = max(2, _SIGNIFICANT - 1 - amount.adjusted())
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    while places > 2 and not rounded.as_tuple().digits[-1]:
        places -= 1
        rounded = rounded.quantize(Decimal(1).scaleb(-places))
    return rounded
