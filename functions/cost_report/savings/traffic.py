"""What savings are looked for in: one tenant's paid calls and answers of a period."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, not_, select

from common.costs.prices import EMBEDDED
from common.database.columns import DECIMAL_PLACES
from common.database.tables import answer_facts, ledger_days, ledger_entries
from functions.cost_report.amounts import in_usd

DAYS_A_MONTH = 30
LEAST_ANSWERS = 20  # of each kind that are compared: with fewer a share says nothing
REPLAY_ROUTE = "loancheck cost savings"  # what a replay's own calls have as their route in the ledger
FREE_OF_LANES = ("embed", "search")  # steps that cost the same on every lane
DRAFT = "draft"
CRITIQUE = "critique"
AT_ONCE = 10_000  # rows read together

entry = ledger_entries.c
facts = answer_facts.c

model_used: ColumnElement[str] = func.coalesce(entry.model_answered, entry.model_asked)

# Compared as expressions, for which no index is used. SQLite would look through all of the tenant's calls for each
# answer otherwise, where the one's request leads to the few others; calls first is several times faster.
_tenant_of_call = entry.tenant.concat("")
_tenant_of_answer = facts.tenant.concat("")
_time_of_answer = func.coalesce(facts.created_at, facts.created_at)


def took(answers: FromClause) -> ColumnElement[bool]:
    """Whether an answer took the call. A caller may choose the request's id, so the session's is compared too."""
    return and_(entry.request_id == answers.c.request_id, entry.session_id == answers.c.session_id)


ANSWERED_BY = answer_facts.join(ledger_entries, took(answer_facts))

_reversal = ledger_entries.alias("reversal").c
_twin = answer_facts.alias("twin").c
_has_twin = (
    select(_twin.id)
    .where(_twin.request_id == facts.request_id, _twin.session_id == facts.session_id, _twin.id != facts.id)
    .exists()
)


@dataclass(kw_only=True)
class Calls:
    """Ledger entries by their ids, and what they cost together. Without a price they are only in `unpriced`."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0

    def add(self, entry_id: int, cost_usd: Decimal | None) -> None:
        if cost_usd is None:
            self.unpriced += 1
        else:
            self.ids.append(entry_id)
            self.cost_usd += cost_usd

    def __iadd__(self, other: "Calls") -> "Calls":
        self.ids += other.ids
        self.cost_usd += other.cost_usd
        self.unpriced += other.unpriced
        return self


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """One tenant's, from `start` to before `end`, of which `days` have begun at `now`.

    What would save less than `least_usd` a month is not worth a finding.
    """

    connection: Connection
    tenant: str
    label: str  # the period's
    start: datetime
    end: datetime
    days: int
    now: datetime
    least_usd: Decimal

    def per_month(self, usd: Decimal) -> Decimal:
        """What so many USD in the period are in 30 days, rounded down to what the database holds."""
        scaled = usd * DAYS_A_MONTH / self.days
        return scaled.quantize(Decimal(1).scaleb(-DECIMAL_PLACES), ROUND_DOWN).normalize()

    def matters(self, usd: Decimal, times: int = 1) -> bool:
        """Whether so many USD in the period are worth telling: positive, and `times` the least amount or more."""
        return usd > 0 and self.per_month(usd) >= self.least_usd * times

    def calls(self, *, found_by_answer: bool = False) -> ColumnElement[bool]:
        """The paid calls that stand: what was taken back is left out with what takes it back, and replays are too.

        `found_by_answer`: where a query goes from answers to their calls.
        """
        taken_back = select(_reversal.id).where(_reversal.reverses == entry.id).exists()
        return and_(
            (_tenant_of_call if found_by_answer else entry.tenant) == self.tenant,
            entry.created_at >= self.start,
            entry.created_at < self.end,
            entry.kind == "call",
            entry.provider != EMBEDDED,
            entry.route != REPLAY_ROUTE,
            not_(taken_back),
        )

    def answers(self, *, found_by_call: bool = False) -> ColumnElement[bool]:
        """The answers whose calls can be told from those of others: two of a session under one id cannot.

        `found_by_call`: where a query goes from calls to their answers, as over `ANSWERED_BY`.
        """
        theirs = self._in_period(_tenant_of_answer, _time_of_answer) if found_by_call else self._answers
        return and_(theirs, not_(_has_twin)) if self._are_twins else theirs

    @property
    def _answers(self) -> ColumnElement[bool]:
        return self._in_period(facts.tenant, facts.created_at)

    def _in_period(self, tenant: ColumnElement[str], at: ColumnElement[datetime]) -> ColumnElement[bool]:
        return and_(tenant == self.tenant, at >= self.start, at < self.end)

    @cached_property
    def _are_twins(self) -> bool:
        """Looked at once: in most periods there are none, and no query has to look again."""
        return self.connection.execute(select(facts.id).where(self._answers, _has_twin).limit(1)).first() is not None

    def models(self) -> Sequence[tuple[str, str]]:
        """Provider and name of the models that were paid in the period, by the kept sums."""
        day = ledger_days.c
        query = (
            select(day.provider, day.model)
            .where(day.tenant == self.tenant, day.day >= self.start.date(), day.day < self.end.date())
            .where(day.provider != EMBEDDED, day.route != REPLAY_ROUTE)
            .distinct()
            .order_by(day.provider, day.model)
        )
        return [(provider, model) for provider, model in self.connection.execute(query)]

    def rows(self, query: Select[Any]) -> Iterator[Any]:  # Any: rows of whatever is selected
        """The rows of `query`, read so many at once that a million of them never stand in memory together."""
        return iter(self.connection.execute(query, execution_options={"yield_per": AT_ONCE}))

    def read_calls(self, query: Select[tuple[int, Decimal | None]]) -> Calls:
        """What `query` selects: ids of entries and their costs."""
        calls = Calls()
        for entry_id, cost_usd in self.rows(query):
            calls.add(entry_id, cost_usd)
        return calls


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 call", "1,200 calls"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def in_percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %"


def evidence_of(traffic: Traffic, calls: Calls, figures: Mapping[str, str]) -> dict[str, str]:
    """`figures`, and what every finding says: the period, its calls, their cost, those left out."""
    said = {
        **figures,
        "period": f"from {traffic.start:%Y-%m-%d} to before {traffic.end:%Y-%m-%d}: {counted(traffic.days, 'day')}",
        "calls": f"{len(calls.ids):,}, which cost {in_usd(calls.cost_usd)}",
    }
    if calls.unpriced:
        said["calls without a price"] = f"{calls.unpriced:,}, left out"
    return said
