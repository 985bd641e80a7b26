"""The ledger: one entry for every model call with its tokens and its cost. Entries are added, never changed."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, insert, select

from common.database.tables import ledger_entries
from common.metrics import metrics_collector
from common.telemetry import semconv

CANCELLED = "cancelled"  # the outcome of a call that nobody waited for any more
OPERATIONS = {"embed": semconv.OPERATION_EMBEDDINGS}  # `gen_ai.operation.name` by step; every other step is a chat


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One model call. `cost_usd` is None where the price is not known, `model_answered` where nothing came back.

    `step` says what the call was for (draft, critique, embed); `outcome` is "ok" or the error's class name.
    Token counts are as in `TokenUsage`.
    """

    created_at: datetime
    request_id: str
    trace_id: str
    step: str
    provider: str
    model_asked: str
    duration_ms: float
    outcome: str
    model_answered: str | None = None
    session_id: str | None = None
    agent: str | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    tool_tokens: int = 0
    cost_usd: Decimal | None = None


def add(connection: Connection, entries: Iterable[LedgerEntry]) -> None:
    """Add `entries` in the caller's transaction, which also stores what they paid for: both are kept, or neither."""
    rows = [asdict(entry) for entry in entries]
    if rows:
        connection.execute(insert(ledger_entries), rows)


def measure(entry: LedgerEntry) -> None:
    """`entry` as measures: the call, its time, its tokens, its cost, and the provider's failure where it failed."""
    failed = entry.outcome not in {"ok", CANCELLED}
    metrics_collector.record_model_call(
        model=entry.model_asked,
        provider=entry.provider,
        operation=OPERATIONS.get(entry.step, semconv.OPERATION_CHAT),
        seconds=entry.duration_ms / 1000,
        outcome=entry.outcome,
        error_type=entry.outcome if failed else None,
        response_model=entry.model_answered,
        input_tokens=entry.input_tokens + entry.tool_tokens,
        cached_tokens=entry.cached_input_tokens,
        output_tokens=entry.output_tokens,
        thinking_tokens=entry.thinking_tokens,
        cost_usd=entry.cost_usd,
    )
    if failed:
        metrics_collector.record_provider_error(entry.provider, entry.outcome)


def cost_of(connection: Connection, request_id: str) -> Decimal | None:
    """What a request cost in USD, exactly; 0 without entries, None when the price of one entry is not known."""
    query = select(ledger_entries.c.cost_usd).where(ledger_entries.c.request_id == request_id)
    costs = connection.scalars(query).all()
    if any(cost is None for cost in costs):
        return None
    return sum((cost for cost in costs if cost is not None), Decimal(0))
