"""How far the budgets are spent that a report's reader may see."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from common.costs.budgets import EACH, Budget, Scope, Spender, budget_file, whose
from common.costs.governor import Use, uses
from common.database.tables import budget_periods, ledger_days
from functions.cost_report.costs import plain
from functions.cost_report.models import BudgetState

MOST_OF_EACH = 50  # of a budget that everybody has one of their own of: those who have spent most


def budget_states(connection: Connection, now: datetime, tenant: str | None) -> list[BudgetState]:
    """The budgets as they stand at `now`, those that are spent furthest first.

    Of a tenant: its own and those of its principals. What is spent by all, by an agent or on a model tells of the other
    tenants too; those are for whoever sees all of them, which is `tenant` None.
    """
    seen: Mapping[Scope, frozenset[str]] | None = None
    if tenant is not None and budget_file().budgets:
        seen = {"tenant": frozenset({tenant}), "principal": _principals(connection, tenant, now)}
    counted = [
        (counter, budget)
        for budget in budget_file().budgets
        for counter in _counters(connection, budget, now, None if seen is None else seen.get(budget.scope, frozenset()))
    ]
    states = [_state(use) for use in uses(connection, counted, now)]
    return sorted(states, key=lambda one: (-one.used_percent, one.id, one.scope))


def _counters(connection: Connection, budget: Budget, now: datetime, seen: frozenset[str] | None) -> Sequence[str]:
    """What the budget is counted under: one, or with "*" one of each who has spent of it in its present period.

    Only of those in `seen`, where that is not None.
    """
    if budget.of != EACH:
        return [_counter(budget, budget.of or "")] if seen is None or budget.of in seen else []
    column = budget_periods.c
    begun = select(column.counter, column.spent_usd).where(column.starts_at == budget.period_at(now).starts_at)
    spent = {
        counter: spent
        for counter, spent in connection.execute(begun)
        if counter == _counter(budget, whose(counter)) and (seen is None or whose(counter) in seen)
    }
    return sorted(spent, key=lambda counter: (-spent[counter], counter))[:MOST_OF_EACH]


def _counter(budget: Budget, name: str) -> str:
    counter = budget.counter(Spender(tenant=name, principal=name, agent=name, model=name))
    assert counter is not None  # the budget is that one's, or everybody's
    return counter


def _principals(connection: Connection, tenant: str, now: datetime) -> frozenset[str]:
    """The tenant's alone, of a year: the longest period that a budget has.

    One that has worked for several tenants, as the command line, has one budget for all of them.
    """
    column = ledger_days.c
    recent = column.day >= (now - timedelta(days=366)).date()
    theirs = select(column.principal).where(column.tenant == tenant, recent)
    others = select(column.principal).where(column.tenant != tenant, recent)
    return frozenset(connection.scalars(theirs.except_(others)))


def _state(use: Use) -> BudgetState:
    budget = use.budget
    return BudgetState(
        id=budget.id,
        scope=f"{budget.scope} {whose(use.counter)}".rstrip(),
        period=budget.period,
        time_zone=budget.time_zone,
        amount_usd=budget.amount_usd,
        spent_usd=plain(use.spent_usd),
        held_usd=plain(use.held_usd),
        used_percent=round(float(use.spent_usd / budget.amount_usd) * 100, 2),
        state="hard" if use.state == "refused" else use.state,
        starts_at=use.period.starts_at,
        resets_at=use.period.resets_at,
    )
