"""Google Cloud's own budgets, as their notifications tell of them."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, select

from common.database.tables import cloud_budgets

LONGEST_INTERVAL = timedelta(days=32)  # a month, and a day for what comes late


def fraction_spent(connection: Connection, now: datetime) -> Decimal | None:
    """The largest part that is spent of a budget in its newest interval; None where no notification tells of one."""
    column = cloud_budgets.c
    query = (
        select(column.budget_id, column.cost_amount, column.budget_amount)
        .where(column.interval_start <= now, column.interval_start > now - LONGEST_INTERVAL)
        .order_by(column.interval_start)
    )
    newest = {budget: (cost, amount) for budget, cost, amount in connection.execute(query)}
    return max((cost / amount for cost, amount in newest.values() if amount > 0), default=None)
