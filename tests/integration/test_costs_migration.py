"""From 0002 to 0003: what is in the ledger already is added up, and cannot be changed any more."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from common.costs.days import added_up, kept_days
from common.database.columns import ExactDecimal, UtcDateTime
from common.database.engine import create_engine_for, migrate, read, write
from common.database.schema import alembic_config
from common.database.tables import ledger_entries

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OLD = sa.table(
    "ledger_entries",
    sa.column("created_at", UtcDateTime()),
    sa.column("cost_usd", ExactDecimal()),
    *map(
        sa.column,
        (
            "request_id", "trace_id", "tenant", "principal", "session_id", "agent", "step", "provider", "model_asked",
            "model_answered", "input_tokens", "cached_input_tokens", "output_tokens", "thinking_tokens",
            "tool_tokens", "duration_ms", "outcome",
        ),
    ),
)  # fmt: skip


def old_entry(**changed: object) -> dict[str, object]:
    return {
        "created_at": NOON, "request_id": "r1", "trace_id": "0" * 32, "tenant": "acme", "principal": "key-acme",
        "session_id": "s1", "agent": "knowledge", "step": "draft", "provider": "gcp.gemini",
        "model_asked": "gemini-3.8-flash", "model_answered": "gemini-3.8-flash", "input_tokens": 10,
        "cached_input_tokens": 4, "output_tokens": 3, "thinking_tokens": 2, "tool_tokens": 1,
        "cost_usd": Decimal("0.000000000000001"), "duration_ms": 1.5, "outcome": "ok",
    } | changed  # fmt: skip


@pytest.fixture
def migrated(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine_for(empty_database_url)
    with write(engine) as connection:
        command.upgrade(alembic_config(connection), "0002")
        rows = [
            *(old_entry() for _ in range(3)),
            old_entry(cost_usd=None, model_answered=None, outcome="ModelTimeout"),
            old_entry(created_at=NOON + timedelta(hours=12)),
            old_entry(tenant="other", agent=None),
            old_entry(step="embed", session_id=None),
            old_entry(step="embed"),
        ]
        connection.execute(sa.insert(OLD), rows)
    migrate(engine)
    yield engine
    engine.dispose()


def test_days_add_up_to_what_the_ledger_held(migrated: Engine) -> None:
    day = NOON.replace(hour=0)
    with read(migrated) as connection:
        kept = kept_days(connection)
        assert kept == added_up(connection)
    drafts = next(
        sums for key, sums in kept.items() if (key.step, key.tenant, key.day) == ("draft", "acme", day.date())
    )
    assert (drafts.calls, drafts.unpriced_calls, drafts.cost_usd) == (4, 1, Decimal("0.000000000000003"))


def test_documents_and_questions_are_told_apart(migrated: Engine) -> None:
    with read(migrated) as connection:
        rows = connection.execute(select(ledger_entries.c.step, ledger_entries.c.session_id, ledger_entries.c.route))
        routes = {(row.step, row.session_id): row.route for row in rows}
    assert routes == {
        ("draft", "s1"): "POST /api/query",
        ("embed", "s1"): "POST /api/query",
        ("embed", None): "POST /api/documents",
    }


@pytest.mark.parametrize(
    "change", ["UPDATE ledger_entries SET cost_usd = '0'", "DELETE FROM ledger_entries WHERE id = 1"]
)
def test_entries_cannot_be_changed_from_then_on(migrated: Engine, change: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"), write(migrated) as connection:
        connection.execute(sa.text(change))
