"""Rows of a bill in FOCUS columns, as a CSV file holds them, added up by day."""

import csv
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TextIO

CURRENCY = "USD"
COLUMNS = ("ChargePeriodStart", "EffectiveCost", "BillingCurrency", "ServiceName")

_MOST_DIGITS = 15  # before the point
_CURRENCY = re.compile(r"[A-Z]{3}")


class BillingExportUnusable(Exception):
    """There are no cloud costs to be had. The message may be shown: it holds neither amounts nor addresses."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"BILLING_EXPORT: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Days from `start` to before `end`, without the `excluded` services, which are in small letters."""

    start: date
    end: date
    excluded: frozenset[str]


class _BadRow(Exception):
    """Why a row cannot be used."""


def add_up(text: TextIO, wanted: Wanted, costs: dict[date, Decimal], *, where: str, most_rows: int) -> int:
    """Add the wanted rows of a file to `costs`, which is in USD by day; how many rows the file has.

    Raises:
        BillingExportUnusable: a row cannot be used, or there are more than `most_rows`; after `where`, which names the
            file, the message names the line, and the column where it is one's.
    """
    lines = csv.reader(text, strict=True)
    rows = 0
    try:
        header = next(lines, [])
        places = _places(header)
        for row in lines:
            if not row:  # an empty line
                continue
            rows += 1
            if rows > most_rows:
                raise _BadRow("the export has too many rows: put it into BigQuery")
            if len(row) != len(header):
                raise _BadRow(f"has {len(row)} columns, and the first line {len(header)}")
            starts, cost, currency, service = (row[place] for place in places)
            day = _day(starts)
            if wanted.start <= day < wanted.end and service.strip().lower() not in wanted.excluded:
                costs[day] = costs.get(day, Decimal(0)) + _cost(cost, currency)
    except _BadRow as error:
        raise BillingExportUnusable(f"{where}line {max(1, lines.line_num)}: {error}") from None
    except csv.Error as error:
        raise BillingExportUnusable(f"{where}line {max(1, lines.line_num)}: is no CSV") from error
    return rows


def _places(header: Sequence[str]) -> Sequence[int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise _BadRow(f"there is no column {', '.join(missing)}, as FOCUS has")
    return [header.index(name) for name in COLUMNS]


@functools.lru_cache(maxsize=4_096)  # a day's rows begin alike
def _day(text: str) -> date:
    try:
        found = datetime.fromisoformat(text.strip().removesuffix(" UTC"))  # as BigQuery writes it
        return (found if found.tzinfo is None else found.astimezone(UTC)).date()
    except (ValueError, OverflowError):
        raise _BadRow("ChargePeriodStart is not a time, as 2026-11-29T00:00:00Z is") from None


def _cost(text: str, currency: str) -> Decimal:
    try:
        cost = Decimal(text.strip())
    except InvalidOperation:
        raise _BadRow("EffectiveCost is not a number") from None
    if not cost.is_finite() or cost.adjusted() > _MOST_DIGITS:
        raise _BadRow("EffectiveCost is not an amount")
    if currency != CURRENCY and cost != 0:
        raise _BadRow(in_another_currency(currency))
    return cost


def in_another_currency(currency: str | None) -> str:
    """Why nothing in `currency` is added up."""
    if currency is None or not _CURRENCY.fullmatch(currency):
        return "BillingCurrency is no currency's code"
    return f"BillingCurrency is {currency}, and costs are added up in {CURRENCY} only: nothing is converted"
