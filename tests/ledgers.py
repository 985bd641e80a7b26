"""Ledger entries and facts of answers, made up as tests need them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from common.costs.answers import AnswerFacts
from common.costs.ledger import LedgerEntry

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)


def entry(at: datetime = NOW, cost_usd: str | None = "0.01", **more: Any) -> LedgerEntry:
    """A draft of tenant acme's; `more` are other fields."""
    usual: dict[str, Any] = {
        "created_at": at, "request_id": "r1", "trace_id": "0af7651916cd43dd8448eb211c80319c", "tenant": "acme",
        "principal": "key:acme", "session_id": "s1", "agent": "knowledge", "step": "draft", "route": "POST /api/query",
        "provider": "gemini", "model_asked": "gemini-3.8-flash", "input_tokens": 100, "output_tokens": 10,
        "duration_ms": 800.0, "outcome": "ok", "cost_usd": None if cost_usd is None else Decimal(cost_usd),
    }  # fmt: skip
    return LedgerEntry(**usual | more)


def answer(at: datetime = NOW, **more: Any) -> AnswerFacts:
    """What is kept of an answer of tenant acme's; `more` are other fields."""
    usual: dict[str, Any] = {
        "created_at": at, "request_id": "r1", "tenant": "acme", "principal": "key:acme", "session_id": "s1",
        "agent": "knowledge", "intent": "knowledge", "lane": "default", "model": "gemini-3.8-flash", "answered": True,
        "accepted": True, "critique_score": 0.9, "critique_rounds": 1, "question_mark": None,
        "knowledge_generation": 1, "evidence_tokens": 1_000, "cited_tokens": 300, "history_tokens": 0,
        "is_follow_up": False, "degraded": [],
    }  # fmt: skip
    return AnswerFacts(**usual | more)
