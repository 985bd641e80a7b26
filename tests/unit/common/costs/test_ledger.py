"""The ledger keeps every model call with its exact cost."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import StatementError

from common.costs.ledger import LedgerEntry, add, cost_of
from common.database.engine import read, write
from common.database.tables import ledger_entries

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def entry(*, request_id: str = "r1", cost_usd: str | None = "0.000002325") -> LedgerEntry:
    return LedgerEntry(
        created_at=NOW,
        request_id=request_id,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        session_id="s1",
        agent="knowledge",
        step="draft",
        provider="gcp.gemini",
        model_asked="gemini-3.8-flash",
        model_answered="gemini-3.8-flash-001",
        input_tokens=10,
        cached_input_tokens=4,
        output_tokens=3,
        thinking_tokens=2,
        tool_tokens=1,
        cost_usd=None if cost_usd is None else Decimal(cost_usd),
        duration_ms=812.5,
        outcome="ok",
    )


def test_an_entry_comes_back_as_it_was_added(database: Engine) -> None:
    with write(database) as connection:
        add(connection, [entry()])
    with read(database) as connection:
        row = connection.execute(select(ledger_entries)).mappings().one()
    assert LedgerEntry(**{name: value for name, value in row.items() if name != "id"}) == entry()


def test_a_request_costs_the_sum_of_its_calls_to_the_last_digit(database: Engine) -> None:
    with write(database) as connection:
        add(connection, [entry(cost_usd="0.1"), entry(cost_usd="0.2"), entry(cost_usd="0.000000000000001")])
        add(connection, [entry(request_id="another", cost_usd="5")])
    with read(database) as connection:
        assert cost_of(connection, "r1") == Decimal("0.300000000000001")


def test_a_request_without_model_calls_cost_nothing(database: Engine) -> None:
    with write(database) as connection:
        add(connection, [])
    with read(database) as connection:
        assert cost_of(connection, "r1") == 0


def test_what_a_request_cost_is_not_known_when_one_price_is_not(database: Engine) -> None:
    with write(database) as connection:
        add(connection, [entry(), entry(cost_usd=None)])
    with read(database) as connection:
        assert cost_of(connection, "r1") is None


def test_entries_of_a_transaction_that_fails_are_not_kept(database: Engine) -> None:
    with pytest.raises(StatementError), write(database) as connection:  # noqa: PT012  # the first entry is undone
        add(connection, [entry()])
        add(connection, [entry(cost_usd="NaN")])
    with read(database) as connection:
        assert connection.execute(select(ledger_entries)).all() == []
