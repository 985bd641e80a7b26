"""The governor: no call is made that could bring a budget above what it may be.

Before a paid call the most that it can cost is held of each budget that it counts against (`open_call`), atomically
among all threads, processes and machines; with the call's entry in the ledger the hold ends and what it truly cost is
counted (`count_spent`). What was begun and never heard of again lapses: it becomes an entry "lost", at what it can have
cost at most. `stance` tells beforehand how far the budgets are spent.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

from sqlalchemy import BindParameter, Connection, Engine, bindparam, func, insert, select, update

from common.costs.budget_notices import announce
from common.costs.budgets import (
    Budget,
    BudgetPeriod,
    Spender,
    State,
    budget_file,
    budgets_of,
    period_at,
    state_at,
    whose,
)
from common.costs.days import LOST
from common.costs.ledger import Lane, LedgerEntry, add
from common.database.engine import read, write
from common.database.tables import budget_holds, budget_periods, ledger_entries, open_calls
from common.logging import component_logger
from common.metrics import metrics_collector
from common.problems import QuotaExceeded

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

LAPSES_EVERY_SECONDS = 60.0
LAPSED_AT_ONCE = 100
MOST_MET = 10_000
CLOUD = "cloud"
CLOUD_ZONE = "America/Los_Angeles"  # Google's months begin there, https://cloud.google.com/billing/docs/how-to/budgets

Place = tuple[str, datetime]
"""A counter, and when its period begins."""

_ORDER: tuple[State, ...] = ("open", "soft", "hard", "refused")

log = component_logger("cost")

# Made once: to build such a statement takes longer than to run it. They find a few periods too many, no harm done.
_counters: BindParameter[str] = bindparam("counters", expanding=True)
_since: BindParameter[datetime] = bindparam("since", expanding=True)
_LOCKED = (
    select(budget_periods.c.counter, budget_periods.c.starts_at, budget_periods.c.spent_usd)
    .where(budget_periods.c.counter.in_(_counters), budget_periods.c.starts_at.in_(_since))
    .order_by(budget_periods.c.counter, budget_periods.c.starts_at)
)
_HOLDS = (
    select(budget_holds.c.counter, budget_holds.c.starts_at, budget_holds.c.amount_usd)
    .join(open_calls, open_calls.c.id == budget_holds.c.open_call)
    .where(
        budget_holds.c.counter.in_(_counters),
        budget_holds.c.starts_at.in_(_since),
        open_calls.c.lapses_at > bindparam("now"),
    )
)
_SPENT = update(budget_periods).where(
    (budget_periods.c.counter == bindparam("of_counter")) & (budget_periods.c.starts_at == bindparam("from_start"))
)


_met: "WeakKeyDictionary[Engine, set[Place]]" = WeakKeyDictionary()  # counters that are known to be there for good


class BudgetSpent(QuotaExceeded):
    """A budget does not allow the call. `over` says what its file wants in place of the answer; `resets_at`, in the
    problem too, is when its next period begins."""

    type = "/problems/budget-spent"
    title = "The budget for models is spent"

    def __init__(self, *, budget: str, over: Literal["extract", "refuse"], resets_at: datetime, now: datetime) -> None:
        super().__init__(
            "What may be spent on models in this period is spent.",
            retry_after_seconds=(resets_at - now).total_seconds(),
            members={"resets_at": resets_at.isoformat().replace("+00:00", "Z")},
        )
        self.budget = budget
        self.over = over
        self.resets_at = resets_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """How far the budgets of a spender are spent, the worst of them: "open"; "soft": the cheap lane; "hard": no paid
    call; "refused": no answer either. `budget` is that budget's id ("cloud" for Google's), `resets_at` its end."""

    state: State = "open"
    budget: str | None = None
    resets_at: datetime | None = None

    @property
    def lane(self) -> Lane:
        return "default" if self.state == "open" else "cheap"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallToMake:
    """A paid call that is about to be made. `bound_usd` is what it can cost at most, None where that is not known."""

    id: str  # 32 hexadecimal digits, new
    request_id: str
    trace_id: str
    tenant: str
    principal: str
    session_id: str | None
    agent: str | None
    step: str
    route: str
    lane: Lane
    provider: str
    model_asked: str
    bound_usd: Decimal | None

    @property
    def spender(self) -> Spender:
        return Spender(tenant=self.tenant, principal=self.principal, agent=self.agent, model=self.model_asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A budget in one of its periods: what is spent and what calls under way hold."""

    budget: Budget
    counter: str
    period: BudgetPeriod
    spent_usd: Decimal
    held_usd: Decimal

    @property
    def state(self) -> State:
        return state_at(self.spent_usd / self.budget.amount_usd, self.budget)


def stance(connection: Connection, spender: Spender, now: datetime) -> Stance:
    """The worst state among the budgets of `spender` and Google's."""
    worst = _cloud_stance(connection, now)
    for use in uses(connection, budgets_of(spender), now):
        metrics_collector.set_budget_used(use.budget.id, float(use.spent_usd / use.budget.amount_usd))
        if _ORDER.index(use.state) > _ORDER.index(worst.state):
            worst = Stance(state=use.state, budget=use.budget.id, resets_at=use.period.resets_at)
    return worst


def open_call(engine: Engine, call: CallToMake, now: datetime, lapses_at: datetime) -> None:
    """Note that `call` is about to be made, and hold what it can cost of its budgets, until its entry is added or
    `lapses_at`. Where a period may end meanwhile, it is held of the next one too: who knows in which it will count.

    Raises:
        BudgetSpent: a budget has no room for it, or nobody knows what it can cost. Nothing was held.
        DatabaseUnavailable: it must not be made then either.
    """
    _lapse_now_and_then(engine, now)
    with write(engine) as connection:
        try:
            holds = _checked(connection, call, now, lapses_at)
        except BudgetSpent as error:
            metrics_collector.record_budget_decision("hard" if error.over == "extract" else "refused")
            raise
        row = {name: getattr(call, name) for name in CallToMake.__slots__}
        connection.execute(insert(open_calls).values(**row, opened_at=now, lapses_at=lapses_at))
        if holds and call.bound_usd is not None:
            amount = {"open_call": call.id, "amount_usd": call.bound_usd}
            rows = [{"counter": counter, "starts_at": starts_at, **amount} for counter, starts_at in holds]
            connection.execute(insert(budget_holds), rows)


def count_spent(connection: Connection, entries: Iterable[LedgerEntry]) -> None:
    """Count what `entries`, which are in the ledger by now, cost against their budgets. In the same transaction."""
    amounts: defaultdict[Place, Decimal] = defaultdict(Decimal)
    of_place: dict[Place, list[Budget]] = {}
    for entry in entries:
        spender = Spender(tenant=entry.tenant, principal=entry.principal, agent=entry.agent, model=entry.model_asked)
        for place, budgets in _places(spender, entry.created_at).items():
            amounts[place] += entry.counted_usd
            of_place[place] = budgets
    if not amounts:
        return
    locked = _locked(connection, {place: of_place[place][0] for place in sorted(amounts)})
    # A new counter has been added up from the ledger, where the entries are already.
    after = {place: spent if is_new else spent + amounts[place] for place, (spent, is_new) in locked.items()}
    connection.execute(
        _SPENT,
        [{"of_counter": counter, "from_start": start, "spent_usd": usd} for (counter, start), usd in after.items()],
    )
    for place, usd in after.items():
        for budget in of_place[place]:
            announce(connection, budget, *place, spent_usd=(usd - amounts[place], usd))


def uses(connection: Connection, counted: Sequence[tuple[str, Budget]], now: datetime) -> Iterator[Use]:
    """The budgets as they stand at `now`, without a lock; a period in which nothing was counted yet is added up."""
    for counter, budget in counted:
        period = budget.period_at(now)
        spent = connection.scalar(select(budget_periods.c.spent_usd).where(_is_it(counter, period.starts_at)))
        if spent is None:
            spent = _added_up(connection, budget, counter, period)
        place = (counter, period.starts_at)
        held = _held(connection, [place], now)[place]
        yield Use(budget=budget, counter=counter, period=period, spent_usd=spent, held_usd=held)


def lapse(engine: Engine, now: datetime) -> int:
    """Turn calls that are over by now and were never closed into entries "lost"; how many."""
    due = select(open_calls).where(open_calls.c.lapses_at <= now).order_by(open_calls.c.id).limit(LAPSED_AT_ONCE)
    with read(engine) as connection:
        if connection.execute(due.limit(1)).first() is None:
            return 0
    with write(engine) as connection:
        rows = connection.execute(due.with_for_update(skip_locked=True)).mappings().all()
        add(connection, [_lost(row, now) for row in rows])
    if rows:
        log.warning("calls.lost", count=len(rows))
    return len(rows)


def _checked(connection: Connection, call: CallToMake, now: datetime, lapses_at: datetime) -> list[Place]:
    """Where the call may be counted; locked until the end of the transaction.

    Raises:
        BudgetSpent: one has no room for it.
    """
    _refuse_by(_cloud_stance(connection, now), now)
    present = _places(call.spender, now)
    places = dict(sorted((present | _places(call.spender, lapses_at)).items(), key=lambda one: one[0]))
    locked = _locked(connection, {place: budgets[0] for place, budgets in places.items()})
    held = _held(connection, places, now)
    for place, (spent, _) in locked.items():
        for budget in places[place]:
            if place in present:
                metrics_collector.set_budget_used(budget.id, float(spent / budget.amount_usd))
            if budget.limit_usd is None:
                continue
            if call.bound_usd is None:
                log.warning("budget.unpriced", model=call.model_asked, provider=call.provider)
            if call.bound_usd is None or spent + held[place] + call.bound_usd > budget.limit_usd:
                resets_at = budget.period_at(place[1]).resets_at
                raise BudgetSpent(budget=budget.id, over=budget.over, resets_at=resets_at, now=now)
    return list(locked)


def _places(spender: Spender, at: datetime) -> dict[Place, list[Budget]]:
    """Where a call at that time is counted, in the order in which transactions lock, with the budgets that share it."""
    places: dict[Place, list[Budget]] = {}
    for counter, budget in budgets_of(spender):
        places.setdefault((counter, budget.period_at(at).starts_at), []).append(budget)
    return places


def _cloud_stance(connection: Connection, now: datetime) -> Stance:
    from common.costs.cloud_budgets import fraction_spent

    part = fraction_spent(connection, now)
    if part is None:
        return Stance()
    metrics_collector.set_budget_used(CLOUD, float(part))
    return Stance(
        state=state_at(part, budget_file().cloud_budget),
        budget=CLOUD,
        resets_at=period_at("month", CLOUD_ZONE, now).resets_at,
    )


def _refuse_by(cloud: Stance, now: datetime) -> None:
    """
    Raises:
        BudgetSpent: Google's budgets are spent.
    """
    if cloud.state in {"hard", "refused"} and cloud.resets_at is not None:
        over = budget_file().cloud_budget.over
        raise BudgetSpent(budget=CLOUD, over=over, resets_at=cloud.resets_at, now=now)


def _locked(connection: Connection, places: Mapping[Place, Budget]) -> dict[Place, tuple[Decimal, bool]]:
    """What is spent at each place, locked until the end of the transaction; and whether its counter is new, added up
    just now.

    `places` come in order. What is missing is made before the rest is locked: whoever waits for a counter that another
    makes holds none yet, so that two transactions never wait for each other.
    """
    if not places:
        return {}
    names = _names(places)
    met = _met.setdefault(connection.engine, set())
    made: set[Place] = set()
    if not met.issuperset(places):
        there = {(row.counter, row.starts_at) for row in connection.execute(_LOCKED, names)}
        made = {place for place, budget in places.items() if place not in there and _make(connection, budget, *place)}
        if len(met) > MOST_MET:
            met.clear()
        met |= there
    query = _LOCKED.with_for_update() if connection.dialect.name == "postgresql" else _LOCKED
    spent = {(row.counter, row.starts_at): row.spent_usd for row in connection.execute(query, names)}
    return {place: (spent[place], place in made) for place in places}


def _make(connection: Connection, budget: Budget, counter: str, starts_at: datetime) -> bool:
    """Make a counter that was not there. Of two transactions that do so at once one waits, and finds it made."""
    from sqlalchemy.dialects import postgresql, sqlite

    inserting = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    spent = _added_up(connection, budget, counter, budget.period_at(starts_at))
    row = {"counter": counter, "starts_at": starts_at, "spent_usd": spent}
    insert_once = inserting(budget_periods).values(**row).on_conflict_do_nothing()
    return connection.scalar(insert_once.returning(budget_periods.c.counter)) is not None


def _added_up(connection: Connection, budget: Budget, counter: str, period: BudgetPeriod) -> Decimal:
    """What the ledger's entries of the period have cost, as `LedgerEntry.counted_usd` has it."""
    entry = ledger_entries.c
    counted = func.coalesce(entry.cost_usd, entry.bound_usd)
    query = (
        select(counted, func.count())
        .where(entry.created_at >= period.starts_at, entry.created_at < period.resets_at, counted.is_not(None))
        .group_by(counted)
    )
    if budget.scope != "all":
        query = query.where(entry["model_asked" if budget.scope == "model" else budget.scope] == whose(counter))
    # Added up here, for SQLite keeps costs as text.
    return sum((Decimal(cost) * count for cost, count in connection.execute(query)), Decimal(0))


def _held(connection: Connection, places: Iterable[Place], now: datetime) -> dict[Place, Decimal]:
    """What calls that have not lapsed hold at each place."""
    held = dict.fromkeys(places, Decimal(0))
    if held:
        for row in connection.execute(_HOLDS, {**_names(held), "now": now}):
            if (row.counter, row.starts_at) in held:
                held[row.counter, row.starts_at] += row.amount_usd
    return held


def _names(places: Iterable[Place]) -> dict[str, list[str] | list[datetime]]:
    """Values of the statements above."""
    counters, starts = zip(*places, strict=True)
    return {"counters": list(counters), "since": list(set(starts))}


def _is_it(counter: str, starts_at: datetime) -> "ColumnElement[bool]":
    return (budget_periods.c.counter == counter) & (budget_periods.c.starts_at == starts_at)


def _lost(row: "RowMapping", now: datetime) -> LedgerEntry:
    return LedgerEntry(
        created_at=now,
        request_id=row["request_id"],
        trace_id=row["trace_id"],
        tenant=row["tenant"],
        principal=row["principal"],
        session_id=row["session_id"],
        agent=row["agent"],
        step=row["step"],
        route=row["route"],
        lane=row["lane"],
        provider=row["provider"],
        model_asked=row["model_asked"],
        bound_usd=row["bound_usd"],
        duration_ms=0.0,
        outcome=LOST,
        content_mark=row["id"],
        open_call=row["id"],
    )


_lapsing = threading.Lock()
_lapsed_at = -LAPSES_EVERY_SECONDS


def _lapse_now_and_then(engine: Engine, now: datetime) -> None:
    """Once in a while, by one thread of the process."""
    global _lapsed_at
    if time.monotonic() - _lapsed_at < LAPSES_EVERY_SECONDS or not _lapsing.acquire(blocking=False):
        return
    try:
        _lapsed_at = time.monotonic()
        lapse(engine, now)
    finally:
        _lapsing.release()
