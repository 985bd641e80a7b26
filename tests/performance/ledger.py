"""What it costs to hold a call of its budgets, and to bring it into the ledger, on SQLite and on PostgreSQL."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unittest import mock

from sqlalchemy import Engine

from common.costs import budgets, governor
from common.costs.budgets import BudgetFile
from common.costs.governor import open_call
from common.costs.ledger import LedgerEntry, add
from common.database.engine import create_engine_for, migrate, write
from tests import servers
from tests.budget_files import budget, call_to_make

SQLITE_MS, POSTGRESQL_MS = 3, 5
BUDGETS = BudgetFile.model_validate(
    {
        "budgets": [
            budget(amount_usd="1000000"),
            budget(id="acme", scope="tenant", of="*", amount_usd="1000000"),
            budget(id="key", scope="principal", of="*", period="day", amount_usd="1000000"),
        ]
    }
)


def milliseconds(engine: Engine, rounds: int) -> list[float]:
    """Of each of `rounds` calls: noted and held before it, with its entry settled after it."""
    taken = []
    for _ in range(rounds):
        call, now = call_to_make("0.01"), datetime.now(UTC)
        begun = time.perf_counter()
        open_call(engine, call, now, now + timedelta(minutes=2))
        entry = LedgerEntry(
            created_at=now, request_id=call.request_id, trace_id=call.trace_id, tenant=call.tenant,
            principal=call.principal, agent=call.agent, step=call.step, route=call.route, provider=call.provider,
            model_asked=call.model_asked, model_answered=call.model_asked, input_tokens=1200, output_tokens=90,
            cost_usd=Decimal("0.0012375"), bound_usd=call.bound_usd, duration_ms=812.5, outcome="ok",
            open_call=call.id,
        )  # fmt: skip
        with write(engine) as connection:
            add(connection, [entry])
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


@contextmanager
def _sqlite() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine_for(f"sqlite:///{Path(folder)}/ledger.db")
        migrate(engine)
        yield engine
        engine.dispose()


@contextmanager
def _postgresql() -> Iterator[Engine]:
    with servers.postgresql() as server:
        server.execute("CREATE DATABASE bench")
        engine = create_engine_for(server.url("bench"))
        migrate(engine)
        yield engine
        engine.dispose()


def measure(*, rounds: int = 1_000, warm_up: int = 50) -> list[tuple[str, str]]:
    rows = []
    with mock.patch.object(budgets, "budget_file", return_value=BUDGETS), \
         mock.patch.object(governor, "budget_file", return_value=BUDGETS):  # fmt: skip
        for name, database, most in (
            ("SQLite, synchronous=FULL", _sqlite, SQLITE_MS),
            ("PostgreSQL, without waiting for its disk", _postgresql, POSTGRESQL_MS),
        ):
            with database() as engine:
                milliseconds(engine, warm_up)
                taken = milliseconds(engine, rounds)
            p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
            missed = "" if p50 < most else ", MISSED"
            rows.append(
                (
                    f"hold and settle a call, 3 budgets, {name}",
                    f"p50 {p50:.2f} ms, p99 {p99:.2f} ms (below {most}{missed})",
                )
            )
    return rows
