"""From the calls of an embedder to entries in the ledger."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from common.costs.ledger import LedgerEntry, measure
from common.costs.prices import cost_usd
from common.llm.chat import TokenUsage
from common.llm.spent import EmbeddingCall
from common.security.principal import Principal

if TYPE_CHECKING:
    from common.request_head import Correlation


def embedding_entries(
    calls: Iterable[EmbeddingCall],
    correlation: "Correlation",
    principal: Principal,
    *,
    at: datetime,
    route: str,
    session_id: str | None = None,
    agent: str | None = None,
) -> list[LedgerEntry]:
    """One entry of step "embed" a call, measured; its cost is None where its tokens or their price are not known."""
    entries = [_entry(call, correlation, principal, at, route, session_id, agent) for call in calls]
    for entry in entries:
        measure(entry)
    return entries


def _entry(
    call: EmbeddingCall,
    correlation: "Correlation",
    principal: Principal,
    at: datetime,
    route: str,
    session_id: str | None,
    agent: str | None,
) -> LedgerEntry:
    counted = call.usage or TokenUsage()
    is_known = call.usage is not None
    return LedgerEntry(
        created_at=at,
        request_id=correlation.request_id,
        trace_id=correlation.trace_id,
        tenant=principal.tenant,
        principal=principal.id,
        session_id=session_id,
        agent=agent,
        step="embed",
        route=route,
        provider=call.provider,
        model_asked=call.model,
        model_answered=call.model if call.outcome == "ok" else None,
        input_tokens=counted.input_tokens,
        cost_usd=cost_usd(counted, provider=call.provider, model=call.model, at=at) if is_known else None,
        duration_ms=call.duration_ms,
        outcome=call.outcome,
    )
