"""Numbers in a message and what kind each is: US dollars, percent, a time, or a bare number.

One pass with bounded patterns, so that the work grows with the length of the message and nothing else.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from functions.query.unclear_numbers import unclear_numbers

Kind = Literal["usd", "percent", "time", "bare"]

_NUMBER = r"\d{1,3}(?:,\d{3}){1,5}(?:\.\d{1,6})?|\d{1,15}(?:\.\d{1,6})?(?:e(?:\d|1[0-2])(?!\w))?"
_SCALES = {
    "k": 1_000, "thousand": 1_000, "grand": 1_000,
    "m": 1_000_000, "mm": 1_000_000, "mn": 1_000_000, "mil": 1_000_000, "mio": 1_000_000, "million": 1_000_000,
    "b": 1_000_000_000, "bn": 1_000_000_000, "billion": 1_000_000_000,
}  # fmt: skip
_TIMES = {"day": "day", "week": "week", "month": "month", "mo": "month", "year": "year", "yr": "year"}
_QUANTITY = re.compile(
    rf"""
    (?<![\w.,])                                          # not inside a word or a longer number
    (?:(?P<currency>us\$|usd|\$|€|£|eur|gbp|chf|cad)\s{{0,3}})?
    (?P<number>{_NUMBER})
    (?![\d])(?!,\d)(?!\.\d)
    (?:
        \s{{0,2}}(?P<percent>%|(?:percent|per\ cent|pct)\b)
      | [\s-]{{0,2}}(?P<time>day|week|month|mo|year|yr)s?\b
      | [\s-]{{0,2}}(?P<scale>thousand|grand|million|billion|mio|mil|mm|mn|bn|[kmb])(?:illion)?(?![\w])
    )?
    (?:\s{{0,2}}(?P<unit>us\ dollars?|usd|dollars?|bucks|eur|euros?|gbp|chf|cad)\b)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NO_QUANTITY_AFTER = re.compile(r"[^\W\d_]|-\d|\s{0,2}(?:cfr|u\.?s\.?c)\b|[-–]\s?family|:\d|/\d", re.IGNORECASE)
_NO_QUANTITY_BEFORE = re.compile(
    r"(?:cfr|part|section|§|no\.|form|article|reg|appendix|rule)\s{0,2}$|\d[-–:/.]$", re.IGNORECASE
)
_RANGE_FOLLOWS = re.compile(r"[-–]\$?\d{1,7}(?:,\d{3})?\s?[km%]", re.IGNORECASE)  # "300-350k"
_RANGE_BETWEEN = re.compile(r"\s{0,2}(?:-|–|to|and)\s{0,2}", re.IGNORECASE)
_BETWEEN = re.compile(r"\b(?:between|from)\s{1,3}$", re.IGNORECASE)
_PERIOD_AFTER = re.compile(
    r"\s{0,2}(?:/|a|an|per|each|every)?\s{0,2}(?P<period>monthly|month|mo|annually|annual|yearly|year|yr|p\.a\.)(?![a-z])",
    re.IGNORECASE,
)
_FEWEST_BARE_USD = 1_000
YEARS = range(1900, 2100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number at `message[start:end]`, unit included. `value` is in dollars, percent, or `time_unit`s.

    `upper` is the other end of a range. `scale` is what the number was written in, as 1000 for "400k"; 1 for none.
    `period_months` is 1 or 12 for "a month", "per year"; None where nothing is said.
    """

    kind: Kind
    value: Decimal
    start: int
    end: int
    scale: int = 1
    upper: Decimal | None = None
    time_unit: str | None = None
    period_months: int | None = None


def quantities(message: str) -> tuple[Quantity, ...]:
    """Every number of `message` that may be a quantity, left to right; ranges are one quantity.

    Those that `unclear_numbers` names are left out. Amounts in other currencies are read like dollars.
    """
    return tuple(_merged(message, list(_singles(message))))


def _singles(message: str) -> Iterator[Quantity]:
    unclear = {at for one in unclear_numbers(message) for at in range(one.start, one.end)}
    for match in _QUANTITY.finditer(message):
        if match.start("number") in unclear or (match["currency"] is None and _is_reference(message, match)):
            continue
        number = Decimal(match["number"].replace(",", ""))
        scale = _SCALES[match["scale"].lower()] if match["scale"] else 1
        yield Quantity(
            kind=_kind(match, number),
            value=number * scale,
            start=match.start(),
            end=match.end(),
            scale=scale,
            time_unit=_TIMES[match["time"].lower()] if match["time"] else None,
            period_months=_period(message, match.end()),
        )


def _is_reference(message: str, match: re.Match[str]) -> bool:
    """Part of a citation, an ordinal, a date, a multiple such as 1.25x, "1-4 family": no amount."""
    if match["percent"] or match["scale"] or match["time"] or match["unit"]:
        return False
    before = message[max(0, match.start() - 12) : match.start()]
    after = message[match.end("number") : match.end("number") + 10]
    if _NO_QUANTITY_BEFORE.search(before):
        return True
    return _NO_QUANTITY_AFTER.match(after) is not None and not _RANGE_FOLLOWS.match(after)


def _kind(match: re.Match[str], number: Decimal) -> Kind:
    if match["percent"]:
        return "percent"
    if match["time"] and not match["currency"]:
        return "time"
    if match["currency"] or match["scale"] or match["unit"] or "," in match["number"]:
        return "usd"
    if "e" in match["number"].lower():
        return "usd"
    return "usd" if number >= _FEWEST_BARE_USD and not (number in YEARS and "." not in match["number"]) else "bare"


def _period(message: str, end: int) -> int | None:
    match = _PERIOD_AFTER.match(message, end)
    if match is None:
        return None
    return 1 if match["period"].lower().startswith("mo") else 12


def _merged(message: str, singles: list[Quantity]) -> Iterator[Quantity]:
    """Joins the two ends of a range: "300k to 350k", "between 300k and 350k", "300-350k"."""
    position = 0
    while position < len(singles):
        one = singles[position]
        other = singles[position + 1] if position + 1 < len(singles) else None
        if other is not None and _is_range(message, one, other):
            # "300-350k": the first end takes the scale of the second
            low = one.value * (other.scale if one.scale == 1 and one.value < _FEWEST_BARE_USD else 1)
            ends = sorted((low, other.value))
            yield replace(other, value=ends[0], upper=ends[1], start=one.start)
            position += 2
        else:
            yield one
            position += 1


def _is_range(message: str, one: Quantity, other: Quantity) -> bool:
    between = message[one.end : other.start]
    if not _RANGE_BETWEEN.fullmatch(between) or one.kind not in (other.kind, "bare"):
        return False
    if between.strip().lower() == "and":
        return _BETWEEN.search(message, max(0, one.start - 12), one.start) is not None
    return True
