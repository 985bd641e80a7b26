"""Savings: where the ledger shows that the same answers could have cost less, each finding with the calls behind it.

One module a kind of finding. Amounts are USD in 30 days, at the rate of the period; within one finding no call counts
twice, while two findings may speak of the same calls: their sum promises too much.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, select

from common.database.engine import read, write
from common.database.tables import ledger_days, savings_findings
from common.settings import settings
from functions.cost_report.models import Period
from functions.cost_report.periods import days_so_far
from functions.cost_report.savings import (
    cheaper_lane,
    long_history,
    price_change,
    repeated_embeddings,
    repeated_questions,
    thinking,
    uncited_passages,
)
from functions.cost_report.savings.found import Found
from functions.cost_report.savings.storage import store, stored
from functions.cost_report.savings.traffic import Traffic

__all__ = ["Found", "analyse", "refresh", "store", "stored", "tenants"]

_KINDS: Sequence[Callable[[Traffic], Iterator[Found]]] = (
    repeated_questions.find,
    cheaper_lane.find,
    uncited_passages.find,
    long_history.find,
    thinking.find,
    repeated_embeddings.find,
    price_change.find,
)


def analyse(connection: Connection, period: Period, tenant: str | None, now: datetime) -> list[Found]:
    """What could be saved, dearest first; None: of each tenant in turn, for a finding never speaks of two.

    What would save less than `Settings.savings_min_usd` a month is left out.
    """
    whose = tenants(connection, period) if tenant is None else [tenant]
    found = [one for name in whose for find in _KINDS for one in find(_traffic(connection, period, name, now))]
    return sorted(found, key=lambda one: (-one.finding.usd_per_month, one.finding.id))


def refresh(engine: Engine, period: Period, tenant: str | None, now: datetime) -> None:
    """Analyse the period and keep what is found in place of what was; None: for each tenant in turn.

    Raises:
        DatabaseUnavailable: tenants that were done stay done.
    """
    with read(engine) as connection:
        whose = _known(connection, period) if tenant is None else [tenant]
    for name in whose:
        with read(engine) as connection:
            found = analyse(connection, period, name, now)
        with write(engine) as connection:
            store(connection, name, found, period, now)


def tenants(connection: Connection, period: Period) -> Sequence[str]:
    """Those with calls in the period, by name."""
    day = ledger_days.c
    query = select(day.tenant).where(day.day >= period.start.date(), day.day < period.end.date())
    return connection.scalars(query.distinct().order_by(day.tenant)).all()


def _known(connection: Connection, period: Period) -> Sequence[str]:
    """Those of the period, and those with findings from before, which may be there no more."""
    before = connection.scalars(select(savings_findings.c.tenant).distinct())
    return sorted({*tenants(connection, period), *before})


def _traffic(connection: Connection, period: Period, tenant: str, now: datetime) -> Traffic:
    return Traffic(
        connection=connection,
        tenant=tenant,
        label=period.label,
        start=period.start,
        end=period.end,
        days=max(1, days_so_far(period, now)),
        now=now,
        least_usd=Decimal(str(settings().savings_min_usd)),
    )
