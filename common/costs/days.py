"""What the ledger's entries of a day (UTC) add up to, kept in the transaction that adds them.

A report over a million entries reads some thousand sums instead. `added_up` works the same sums out of the entries
themselves; a test holds the two together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, bindparam, insert, select, update

from common.database.tables import ledger_days, ledger_entries
from common.once import once

if TYPE_CHECKING:
    from sqlalchemy import Insert

    from common.costs.ledger import LedgerEntry

LOST = "lost"  # the outcome of a call that was begun and never heard of again


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DayKey:
    """What entries of one day have in common; `model` is the one that answered, or else was asked."""

    day: date
    tenant: str
    principal: str
    agent: str  # "" where there is none
    step: str
    route: str
    lane: str
    provider: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySums:
    """`calls` less those taken back. `lost_calls` are a part of `unpriced_calls`, and `lost_usd` is what they can have
    cost at most: it is in no sum of costs."""

    calls: int = 0
    unpriced_calls: int = 0
    lost_calls: int = 0
    lost_usd: Decimal = Decimal(0)
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    tool_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def __add__(self, other: "DaySums") -> "DaySums":
        return DaySums(**{name: getattr(self, name) + getattr(other, name) for name in SUMS})


KEY = tuple(field.name for field in fields(DayKey))
SUMS = tuple(field.name for field in fields(DaySums))
_sums_of_row = attrgetter(*SUMS)

# Made once: to build such a statement takes longer than to run it.
_IS_DAY = and_(*(ledger_days.c[name] == bindparam(f"of_{name}") for name in KEY))
_SUMS_OF_DAY = select(*(ledger_days.c[name] for name in SUMS)).where(_IS_DAY)
_DAY = update(ledger_days).where(_IS_DAY)


def count_days(connection: Connection, entries: Iterable["LedgerEntry"]) -> None:
    """Add `entries` to their days, in the transaction that adds them to the ledger.

    Rows are locked in the order of their keys, so that two transactions never wait for each other.
    """
    for key, sums in sorted(_by_day(entries).items()):
        _add(connection, key, sums)


def kept_days(connection: Connection) -> Mapping[DayKey, DaySums]:
    """The sums of all days, as they are kept."""
    rows = connection.execute(select(ledger_days)).mappings()
    return {DayKey(**{name: row[name] for name in KEY}): DaySums(**{name: row[name] for name in SUMS}) for row in rows}


def added_up(connection: Connection) -> Mapping[DayKey, DaySums]:
    """The sums of all days, out of the entries themselves: slow, and what the kept ones must equal."""
    from common.costs.ledger import COLUMNS, LedgerEntry

    rows = connection.execution_options(yield_per=5_000).execute(select(ledger_entries)).mappings()
    return _by_day(LedgerEntry(**{name: row[name] for name in COLUMNS}) for row in rows)


def _by_day(entries: Iterable["LedgerEntry"]) -> dict[DayKey, DaySums]:
    days: dict[DayKey, DaySums] = {}
    for entry in entries:
        key = _key(entry)
        days[key] = days.get(key, DaySums()) + _sums(entry)
    return days


def _key(entry: "LedgerEntry") -> DayKey:
    return DayKey(
        day=entry.created_at.astimezone(UTC).date(),
        tenant=entry.tenant,
        principal=entry.principal,
        agent=entry.agent or "",
        step=entry.step,
        route=entry.route,
        lane=entry.lane,
        provider=entry.provider,
        model=entry.model_answered or entry.model_asked,
    )


def _sums(entry: "LedgerEntry") -> DaySums:
    sign = -1 if entry.kind == "reversal" else 1
    is_lost = entry.outcome == LOST
    return DaySums(
        calls=sign,
        unpriced_calls=sign if entry.cost_usd is None else 0,
        lost_calls=sign if is_lost else 0,
        lost_usd=(entry.bound_usd or Decimal(0)) if is_lost else Decimal(0),
        input_tokens=entry.input_tokens,
        cached_input_tokens=entry.cached_input_tokens,
        output_tokens=entry.output_tokens,
        thinking_tokens=entry.thinking_tokens,
        tool_tokens=entry.tool_tokens,
        cost_usd=entry.cost_usd or Decimal(0),
    )


def _add(connection: Connection, key: DayKey, sums: DaySums) -> None:
    """PostgreSQL adds in the statement; SQLite, which keeps decimals as text, under the lock that its writer has."""
    values: dict[str, Any] = {name: getattr(key, name) for name in KEY}  # Any: values of many columns
    new: dict[str, Any] = {name: getattr(sums, name) for name in SUMS}
    if connection.dialect.name == "postgresql":
        connection.execute(_upsert(), values | new)
        return
    where = {f"of_{name}": value for name, value in values.items()}
    before = connection.execute(_SUMS_OF_DAY, where).one_or_none()
    if before is None:
        connection.execute(insert(ledger_days), values | new)
    else:
        total = DaySums(**dict(zip(SUMS, _sums_of_row(before), strict=True))) + sums
        connection.execute(_DAY, where | {name: getattr(total, name) for name in SUMS})


@once
def _upsert() -> "Insert":
    from sqlalchemy.dialects import postgresql

    new = postgresql.insert(ledger_days)
    added = {name: ledger_days.c[name] + new.excluded[name] for name in SUMS}
    return new.on_conflict_do_update(index_elements=KEY, set_=added)
