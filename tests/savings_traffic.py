"""Traffic to find savings in: answers with the calls that they took, priced as in earnest."""

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from sqlalchemy import Connection, insert

from common.costs.answers import AnswerFacts
from common.costs.ledger import LedgerEntry, add
from common.costs.prices import cost_usd
from common.database.tables import answer_facts
from common.llm.chat import TokenUsage
from functions.cost_report.models import Period

DEFAULT = "gemini-3.8-flash"  # in November 2026: 0.75, cached 0.075, output 3.75 USD per million tokens
CHEAP = "gemini-3.5-flash-lite"  # 0.30, 0.03, 2.50
EMBEDDINGS = "gemini-embedding-001"  # 0.15

NOW = datetime(2026, 11, 30, 18, tzinfo=UTC)
A_DAY = datetime(2026, 11, 2, tzinfo=UTC)
NOVEMBER = Period(
    label="30d",
    start=datetime(2026, 11, 1, tzinfo=UTC),
    end=datetime(2026, 12, 1, tzinfo=UTC),
    days=30,
    is_over=False,
)


@dataclass(kw_only=True)
class Scene:
    """Writes what happened, one minute after the other; ids of entries count up from 1 in a fresh database."""

    connection: Connection
    tenant: str = "acme"
    _answers: list[AnswerFacts] = field(default_factory=list)
    _entries: list[LedgerEntry] = field(default_factory=list)
    _number: int = 0

    def answer(self, *calls: LedgerEntry, **facts: object) -> None:
        """An accepted answer that took `calls`."""
        self._number += 1
        told = AnswerFacts(
            created_at=NOVEMBER.start + timedelta(minutes=self._number),
            request_id=f"{self.tenant}-{self._number}",
            tenant=self.tenant,
            principal="key-1",
            session_id=f"session-{self.tenant}-{self._number}",
            agent="knowledge",
            intent="knowledge",
            lane="default",
            model=DEFAULT,
            answered=True,
            accepted=True,
            critique_score=0.9,
            critique_rounds=1,
            question_mark=None,
            knowledge_generation=1,
            evidence_tokens=0,
            cited_tokens=0,
            history_tokens=0,
            is_follow_up=False,
            degraded=[],
        )
        told = replace(told, **facts)  # type: ignore[arg-type]  # fields of any type
        self._answers.append(told)
        mine = {
            "created_at": told.created_at,
            "request_id": told.request_id,
            "session_id": told.session_id,
            "tenant": told.tenant,
            "agent": told.agent,
            "lane": told.lane or "default",
        }
        self._entries += [replace(call, **mine) for call in calls]  # type: ignore[arg-type]  # as above

    def call(self, entry: LedgerEntry) -> None:
        """A call that no answer took."""
        self._entries.append(replace(entry, tenant=self.tenant))

    def write(self) -> Connection:
        """Store what has happened so far; the connection that it is to be seen by."""
        if self._answers:
            self.connection.execute(insert(answer_facts), [asdict(facts) for facts in self._answers])
        add(self.connection, self._entries)
        self._answers, self._entries = [], []
        return self.connection


def call(
    model: str = DEFAULT,
    step: str = "draft",
    *,
    tokens: int = 0,
    cached: int = 0,
    output: int = 0,
    thinking: int = 0,
    priced: bool = True,
    **others: object,
) -> LedgerEntry:
    """One call with so many tokens, at the model's price in November 2026."""
    usage = TokenUsage(input_tokens=tokens, cached_input_tokens=cached, output_tokens=output, thinking_tokens=thinking)
    made = LedgerEntry(
        created_at=A_DAY,
        request_id="request",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        tenant="acme",
        principal="key-1",
        session_id="session",
        agent="knowledge",
        step=step,
        route="POST /api/query",
        provider="gcp.gemini",
        model_asked=model,
        model_answered=model,
        input_tokens=tokens,
        cached_input_tokens=cached,
        output_tokens=output,
        thinking_tokens=thinking,
        cost_usd=_cost_usd(model, usage) if priced else None,
        duration_ms=800.0,
        outcome="ok",
    )
    return replace(made, **others)  # type: ignore[arg-type]  # fields of any type


@cache
def _cost_usd(model: str, usage: TokenUsage) -> Decimal | None:
    return cost_usd(usage, provider="gcp.gemini", model=model, at=A_DAY)
