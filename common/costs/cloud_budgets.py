"""Google Cloud's own budgets, as their notifications tell of them: one row for each budget and interval.

Notifications come several times a day, each at least once and in any order. The one that was published last tells what
an interval costs, for a credit may lower it; of two at one moment, the higher one does. A threshold counts from the
first message that names it.

Source: https://cloud.google.com/billing/docs/how-to/budgets-programmatic-notifications
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from common.database.tables import cloud_budgets

LONGEST_MONTH = timedelta(days=32)  # with a day for what comes late
STILL_TOLD_OF = timedelta(days=1)  # the longest that nobody hears of a budget that goes on

Basis = Literal["actual", "forecast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetMessage:
    """What one notification says. Amounts are in `currency`; thresholds are fractions of the budget, 0.9 for 90 %, each
    the highest that is passed by then, and None where none is."""

    budget_id: str
    billing_account_id: str
    display_name: str
    interval_start: datetime
    cost_amount: Decimal
    budget_amount: Decimal
    currency: str
    actual_threshold: Decimal | None
    forecast_threshold: Decimal | None
    published_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A threshold that is passed for the first time in its interval, and with it all that lie below."""

    basis: Basis
    threshold: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a message changed. `is_new`: it is the first of its interval. `is_resized`: the budget's own amount or
    currency is another one."""

    crossings: tuple[Crossing, ...]
    is_new: bool
    is_resized: bool
    cost_grew: bool

    @property
    def is_news(self) -> bool:
        """More than some cost on top, which nearly every message brings."""
        return bool(self.crossings) or self.is_new or self.is_resized


def receive(connection: Connection, message: BudgetMessage, now: datetime) -> Changes:
    """Keep what `message` says, in the caller's transaction; messages of the same interval take turns at it.

    Amounts have at most 18 digits before the point and 6 after it.
    """
    at = min(message.published_at or now, now)
    is_new = _began(connection, message, at)
    row = connection.execute(select(cloud_budgets).where(_is_of(message)).with_for_update()).one()
    crossings = tuple(_crossings(row, message))
    values: dict[str, object] = {f"{one.basis}_threshold": one.threshold for one in crossings}
    # A credit lowers the cost, so what was said last counts; of two at one moment, the one that has seen more.
    is_newer = (at, message.cost_amount) >= (row.updated_at, row.cost_amount)
    if is_newer:
        values |= {
            "billing_account_id": message.billing_account_id,
            "display_name": message.display_name,
            "cost_amount": message.cost_amount,
            "budget_amount": message.budget_amount,
            "currency": message.currency,
            "updated_at": max(at, row.updated_at),
        }
    if values:
        connection.execute(update(cloud_budgets).where(_is_of(message)).values(values))
    return Changes(
        crossings=crossings,
        is_new=is_new,
        is_resized=is_newer and (message.budget_amount, message.currency) != (row.budget_amount, row.currency),
        cost_grew=is_new or message.cost_amount > row.cost_amount,
    )


def fraction_spent(connection: Connection, now: datetime) -> Decimal | None:
    """The largest part that is spent of a budget in its current interval; None where no notification tells of one.

    An interval is current until a newer one of its budget is told of, and for a month and a day from its start; that of
    a budget by the quarter or the year, for as long as notifications tell of it. A budget of 0, as that of last
    month's cost may be, is no part of anything: there the highest threshold counts that Google says is passed.
    """
    column = cloud_budgets.c
    query = (
        select(column.budget_id, column.cost_amount, column.budget_amount, column.actual_threshold)
        .where(or_(column.interval_start > now - LONGEST_MONTH, column.updated_at > now - STILL_TOLD_OF))
        .order_by(column.interval_start)
    )
    newest = {budget: _fraction(cost, amount, passed) for budget, cost, amount, passed in connection.execute(query)}
    return max((part for part in newest.values() if part is not None), default=None)


def _fraction(cost: Decimal, amount: Decimal, passed: Decimal | None) -> Decimal | None:
    return cost / amount if amount > 0 else passed


def _began(connection: Connection, message: BudgetMessage, at: datetime) -> bool:
    """Whether `message` is the first of its interval; of several at once, one is."""
    new = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = new(cloud_budgets).values(
        budget_id=message.budget_id,
        interval_start=message.interval_start,
        billing_account_id=message.billing_account_id,
        display_name=message.display_name,
        cost_amount=message.cost_amount,
        budget_amount=message.budget_amount,
        currency=message.currency,
        updated_at=at,
    )
    return connection.scalar(row.on_conflict_do_nothing().returning(cloud_budgets.c.budget_id)) is not None


def _crossings(row: Row[tuple[object, ...]], message: BudgetMessage) -> Sequence[Crossing]:
    told: list[tuple[Basis, Decimal | None, Decimal | None]] = [
        ("actual", row.actual_threshold, message.actual_threshold),
        ("forecast", row.forecast_threshold, message.forecast_threshold),
    ]
    return [
        Crossing(basis=basis, threshold=now)
        for basis, before, now in told
        if now is not None and (before is None or now > before)
    ]


def _is_of(message: BudgetMessage) -> ColumnElement[bool]:
    column = cloud_budgets.c
    return and_(column.budget_id == message.budget_id, column.interval_start == message.interval_start)
