"""The ledger keeps every model call with its exact cost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import StatementError

from common.costs.ledger import LedgerEntry, Spent, add, cost_of, measure, spent_since
from common.costs.prices import EMBEDDED
from common.database.engine import read, write
from common.database.tables import ledger_entries
from common.llm.chat import TokenUsage
from common.metrics import REGISTRY

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def entry(*, request_id: str = "r1", cost_usd: str | None = "0.000002325") -> LedgerEntry:
    return LedgerEntry(
        created_at=NOW,
        request_id=request_id,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        tenant="acme",
        principal="key-acme",
        session_id="s1",
        agent="knowledge",
        step="draft",
        route="POST /api/query",
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


def test_a_principal_has_spent_what_its_calls_since_then_used_to_the_last_digit(database: Engine) -> None:
    later = replace(entry(cost_usd="0.000000000000001"), created_at=NOW + timedelta(hours=1))
    unknown = replace(later, cost_usd=None, input_tokens=1_000)
    with write(database) as connection:
        add(connection, [entry(cost_usd="0.1"), entry(cost_usd="0.1"), entry(cost_usd="0.2"), later, unknown])
        add(connection, [replace(later, principal="key-other"), replace(later, provider=EMBEDDED, input_tokens=7)])
        add(connection, [replace(later, created_at=NOW - timedelta(microseconds=1))])
    each = 10 + 3 + 2 + 1  # cached tokens are a part of the input
    with read(database) as connection:
        assert spent_since(connection, "key-acme", NOW, TokenUsage()) == Spent(
            tokens=5 * each + 990, cost_usd=Decimal("0.400000000000001")
        )
        assert spent_since(connection, "key-acme", NOW + timedelta(hours=2), TokenUsage()) == Spent(
            tokens=0, cost_usd=Decimal(0)
        )


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_call_is_measured_with_its_tokens_and_cost() -> None:
    call = replace(entry(), model_asked="gemini-measured", input_tokens=900, cached_input_tokens=500, tool_tokens=10,
                   output_tokens=100, thinking_tokens=50, cost_usd=Decimal("0.0015"), outcome="ok")  # fmt: skip
    measure(call)
    tokens = {
        kind: counted("assistant_model_tokens_total", model="gemini-measured", type=kind)
        for kind in ("input", "cached", "output", "thinking")
    }
    assert tokens == {"input": 910, "cached": 500, "output": 100, "thinking": 50}
    assert counted("assistant_model_cost_usd_total", model="gemini-measured") == pytest.approx(0.0015)
    assert counted("assistant_model_calls_total", model="gemini-measured", outcome="ok") == 1


@pytest.mark.parametrize(("outcome", "is_error"), [("ModelTimeout", True), ("cancelled", False)])
def test_a_call_that_failed_is_the_providers_error_and_one_that_was_left_is_not(outcome: str, is_error: bool) -> None:
    labels = {"provider": "gcp.gemini", "error_type": outcome}
    before = counted("assistant_provider_errors_total", **labels)
    measure(replace(entry(), provider="gcp.gemini", outcome=outcome))
    assert counted("assistant_provider_errors_total", **labels) - before == is_error
