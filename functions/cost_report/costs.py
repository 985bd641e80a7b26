"""What the ledger's days add up to: in all, by day, and by what they have in common."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection, select

from common.database.tables import answer_days, ledger_days
from functions.cost_report.focus import LedgerDayRow
from functions.cost_report.models import DIMENSIONS, Dimension, Group, Tokens

_PLACES = Decimal("0.000000001")


class LedgerDay(NamedTuple):
    """A row of `ledger_days`, as `LedgerDayRow` has it: a tuple, for a report reads ten thousands of them.

    On PostgreSQL the amounts have zeros at their ends (`plain`).
    """

    day: date
    tenant: str
    principal: str
    agent: str
    step: str
    route: str
    lane: str
    provider: str
    model: str
    calls: int
    unpriced_calls: int
    lost_calls: int
    lost_usd: Decimal
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    thinking_tokens: int
    tool_tokens: int
    cost_usd: Decimal


class Sum:
    """Calls with their tokens and what they cost, as far as there are prices."""

    __slots__ = (
        "cached_input", "calls", "cost_usd", "input", "lost_calls", "lost_usd", "output", "thinking", "tool",
        "unpriced_calls",
    )  # fmt: skip

    def __init__(self) -> None:
        self.cost_usd = self.lost_usd = Decimal(0)
        self.calls = self.unpriced_calls = self.lost_calls = 0
        self.input = self.cached_input = self.output = self.thinking = self.tool = 0

    def add(self, row: LedgerDay) -> None:
        self.cost_usd += row.cost_usd
        self.calls += row.calls
        self.unpriced_calls += row.unpriced_calls
        self.lost_calls += row.lost_calls
        self.lost_usd += row.lost_usd
        self.input += row.input_tokens
        self.cached_input += row.cached_input_tokens
        self.output += row.output_tokens
        self.thinking += row.thinking_tokens
        self.tool += row.tool_tokens

    def join(self, other: "Sum") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def tokens(self) -> Tokens:
        return Tokens(
            input=self.input,
            cached_input=self.cached_input,
            output=self.output,
            thinking=self.thinking,
            tool=self.tool,
        )


class Answers:
    """Replies of every kind, and those among them that answered the question."""

    __slots__ = ("answered", "answers")

    def __init__(self) -> None:
        self.answers = self.answered = 0

    def add(self, answers: int, answered: int) -> None:
        self.answers += answers
        self.answered += answered


def ledger_rows(connection: Connection, start: datetime, end: datetime, tenant: str | None) -> Sequence[LedgerDay]:
    """The ledger's days from `start` to before `end`, which are midnights UTC; of one tenant, or of all."""
    column = ledger_days.c
    columns = [column[name] for name in LedgerDay._fields]
    query = select(*columns).where(column.day >= start.date(), column.day < end.date())
    if tenant is not None:
        query = query.where(column.tenant == tenant)
    return [LedgerDay._make(row) for row in connection.execute(query)]


def focus_rows(rows: Iterable[LedgerDay]) -> Sequence[LedgerDayRow]:
    """`rows` as FOCUS takes them, in order."""
    amounts = ("cost_usd", "lost_usd")
    return [
        LedgerDayRow(**row._asdict() | {name: plain(getattr(row, name)) for name in amounts}) for row in sorted(rows)
    ]


def answers_by_day_and_agent(
    connection: Connection, start: datetime, end: datetime, tenant: str | None
) -> Mapping[tuple[date, str], Answers]:
    """How many answers were given, and how many of them answered; from `start` to before `end`, as above."""
    column = answer_days.c
    query = select(column.day, column.agent, column.answers, column.answered).where(
        column.day >= start.date(), column.day < end.date()
    )
    if tenant is not None:
        query = query.where(column.tenant == tenant)
    found: defaultdict[tuple[date, str], Answers] = defaultdict(Answers)
    for day, agent, answers, answered in connection.execute(query):
        found[day, agent].add(answers, answered)
    return found


def by_day(rows: Iterable[LedgerDay]) -> Mapping[date, Sum]:
    days: defaultdict[date, Sum] = defaultdict(Sum)
    for row in rows:
        days[row.day].add(row)
    return days


def by_dimension(rows: Iterable[LedgerDay]) -> Mapping[Dimension, list[Group]]:
    """The costs by each dimension, dearest first."""
    # All days together first: what is left is then read six times.
    alike: defaultdict[tuple[str, ...], Sum] = defaultdict(Sum)
    for row in rows:
        alike[row.tenant, row.principal, row.agent, row.step, row.model, row.route].add(row)
    total = sum((one.cost_usd for one in alike.values()), Decimal(0))
    found: dict[Dimension, list[Group]] = {}
    for place, dimension in enumerate(DIMENSIONS):
        sums: defaultdict[str, Sum] = defaultdict(Sum)
        for key, one in alike.items():
            sums[key[place]].join(one)
        dearest = sorted(sums.items(), key=lambda pair: (-pair[1].cost_usd, pair[0]))
        found[dimension] = [_group(key, one, total) for key, one in dearest]
    return found


def share_percent(part: Decimal | int, whole: Decimal | int) -> float | None:
    """How much of `whole` this is, in percent, to two places; None where there is nothing to be a part of."""
    return round(float(part) / float(whole) * 100, 2) if whole > 0 else None


def divided(amount: Decimal, count: int, of: int = 1) -> Decimal | None:
    """`amount` for `of` of the `count`, to nine places; None where there are none."""
    return (amount * of / count).quantize(_PLACES) if count else None


def plain(amount: Decimal) -> Decimal:
    """Without the zeros at its end that PostgreSQL fills up all places with."""
    return amount.normalize()


def _group(key: str, one: Sum, total: Decimal) -> Group:
    return Group(
        key=key,
        cost_usd=plain(one.cost_usd),
        calls=one.calls,
        unpriced_calls=one.unpriced_calls,
        share_percent=share_percent(one.cost_usd, total),
        tokens=one.tokens(),
    )
