from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select

from common.costs import budgets, governor
from common.costs.budgets import BudgetFile
from common.costs.embeddings import EmbeddingBill
from common.costs.governor import BudgetSpent
from common.costs.ledger import LedgerEntry, add
from common.database.engine import read, write
from common.database.tables import open_calls
from common.llm.chat import TokenUsage
from common.llm.spent import EmbeddingCall, ask_gate, note
from common.request_head import Correlation
from tests.budget_files import budget
from tests.key_rings import ring_over
from tests.tenants import ACME

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CORRELATION = Correlation(request_id="r1", trace_id="0af7651916cd43dd8448eb211c80319c")
PROVIDER, MODEL = "gcp.gemini", "gemini-embedding-001"


@pytest.fixture
def bill(sqlite_database: Engine) -> EmbeddingBill:
    ring = ring_over(sqlite_database)
    return EmbeddingBill(
        engine=lambda: sqlite_database,
        ring=lambda: ring,
        correlation=CORRELATION,
        principal=ACME,
        route="POST /api/query",
        clock=lambda: NOW,
        lapses_after=timedelta(minutes=2),
        session_id="s1",
        agent="knowledge",
    )


def embed(*texts: str, usage: TokenUsage | None, outcome: str = "ok", model: str = MODEL) -> None:
    """What an embedder does for one call."""
    opened = ask_gate(PROVIDER, model, texts)
    note(
        EmbeddingCall(provider=PROVIDER, model=model, usage=usage, duration_ms=80.5, outcome=outcome, opened=opened)
    )  # fmt: skip


def still_open(database: Engine) -> list[tuple[str, Decimal | None]]:
    with read(database) as connection:
        return [(row.request_id, row.bound_usd) for row in connection.execute(select(open_calls))]


def test_a_call_is_noted_before_it_is_made_and_its_entry_closes_it(
    sqlite_database: Engine, bill: EmbeddingBill
) -> None:
    with bill.running():
        embed("What is the limit?", usage=TokenUsage(input_tokens=1_000_000))
        assert still_open(sqlite_database) == [("r1", Decimal("0.00000285"))]  # 19 bytes at 0.15 a million
    (entry,) = bill.entries()
    assert entry == LedgerEntry(
        created_at=NOW,
        request_id=CORRELATION.request_id,
        trace_id=CORRELATION.trace_id,
        tenant="acme",
        principal="key-acme",
        session_id="s1",
        agent="knowledge",
        step="embed",
        route="POST /api/query",
        provider=PROVIDER,
        model_asked=MODEL,
        model_answered=MODEL,
        input_tokens=1_000_000,
        cost_usd=Decimal("0.15"),
        bound_usd=Decimal("0.00000285"),
        content_mark=entry.content_mark,
        open_call=entry.open_call,
        duration_ms=80.5,
        outcome="ok",
    )
    with write(sqlite_database) as connection:
        add(connection, [entry])
    assert still_open(sqlite_database) == []
    assert bill.entries() == []  # each once


def test_the_same_texts_have_the_same_mark(bill: EmbeddingBill) -> None:
    with bill.running():
        for texts in (("a", "b"), ("a", "b"), ("a", "c")):
            embed(*texts, usage=TokenUsage())
    first, again, another = (entry.content_mark for entry in bill.entries())
    assert first == again != another


@pytest.mark.parametrize(
    ("usage", "model"), [(None, MODEL), (TokenUsage(input_tokens=1), "an-unknown-model")], ids=["counts", "price"]
)
def test_without_counts_or_a_price_the_cost_is_not_known(
    bill: EmbeddingBill, usage: TokenUsage | None, model: str
) -> None:
    with bill.running():
        embed("text", usage=usage, model=model)
    assert bill.entries()[0].cost_usd is None


def test_a_refused_call_cost_nothing_and_nobody_answered(bill: EmbeddingBill) -> None:
    with bill.running():
        embed("text", usage=TokenUsage(), outcome="ModelOverQuota")
    (entry,) = bill.entries()
    assert (entry.cost_usd, entry.model_answered, entry.outcome) == (Decimal(0), None, "ModelOverQuota")


def test_calls_before_an_error_are_billed(bill: EmbeddingBill) -> None:
    with suppress(RuntimeError), bill.running():
        embed("text", usage=TokenUsage(input_tokens=1))
        raise RuntimeError
    assert len(bill.entries()) == 1


def test_a_call_that_a_budget_does_not_allow_is_not_made(
    sqlite_database: Engine, bill: EmbeddingBill, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = BudgetFile.model_validate({"budgets": [budget(amount_usd="0.000001")]})
    for module in (budgets, governor):
        monkeypatch.setattr(module, "budget_file", lambda: file)
    with pytest.raises(BudgetSpent), bill.running():
        embed("far too long a text", usage=TokenUsage(input_tokens=1))
    assert (bill.entries(), still_open(sqlite_database)) == ([], [])


def test_outside_a_bill_there_is_no_gate() -> None:
    assert ask_gate(PROVIDER, MODEL, ["text"]) is None
