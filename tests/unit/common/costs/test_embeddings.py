"""An embedder's calls become entries in the ledger."""

from datetime import UTC, datetime
from decimal import Decimal

from common.costs.embeddings import embedding_entries
from common.costs.ledger import LedgerEntry
from common.llm.chat import TokenUsage
from common.llm.spent import EmbeddingCall
from common.request_head import Correlation
from tests.tenants import ACME

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CORRELATION = Correlation(request_id="r1", trace_id="0af7651916cd43dd8448eb211c80319c")


def call(usage: TokenUsage | None, *, outcome: str = "ok", model: str = "gemini-embedding-001") -> EmbeddingCall:
    return EmbeddingCall(provider="gcp.gemini", model=model, usage=usage, duration_ms=80.5, outcome=outcome)


def entry(one: EmbeddingCall) -> LedgerEntry:
    (made,) = embedding_entries(
        [one], CORRELATION, ACME, at=NOW, route="POST /api/query", session_id="s1", agent="knowledge"
    )
    return made


def test_an_entry_says_who_asked_what_of_whom() -> None:
    assert entry(call(TokenUsage(input_tokens=1_000_000))) == LedgerEntry(
        created_at=NOW,
        request_id=CORRELATION.request_id,
        trace_id=CORRELATION.trace_id,
        tenant="acme",
        principal="key-acme",
        session_id="s1",
        agent="knowledge",
        step="embed",
        route="POST /api/query",
        provider="gcp.gemini",
        model_asked="gemini-embedding-001",
        model_answered="gemini-embedding-001",
        input_tokens=1_000_000,
        cost_usd=Decimal("0.15"),
        duration_ms=80.5,
        outcome="ok",
    )


def test_without_counts_or_a_price_the_cost_is_not_known() -> None:
    assert entry(call(None)).cost_usd is None
    assert entry(call(TokenUsage(input_tokens=5), model="unheard-of")).cost_usd is None


def test_a_refused_call_cost_nothing_and_nobody_answered() -> None:
    made = entry(call(TokenUsage(), outcome="ModelOverQuota"))
    assert (made.cost_usd, made.model_answered, made.outcome) == (Decimal(0), None, "ModelOverQuota")
