"""The ledger: one entry for every model call with its tokens and its cost. Entries are added, never changed."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, and_, func, insert, select

from common.database.tables import ledger_entries
from common.llm.chat import ModelTimeout, TokenUsage
from common.metrics import metrics_collector
from common.telemetry import semconv

CANCELLED = "cancelled"  # the outcome of a call that nobody waited for any more
LEFT_IN_THE_MIDDLE = frozenset({CANCELLED, ModelTimeout.__name__})  # it may be billed, and nobody says for how much
EMBEDDED = "embedded"  # the provider that is this process itself: it costs nothing
OPERATIONS = {"embed": semconv.OPERATION_EMBEDDINGS}  # `gen_ai.operation.name` by step; every other step is a chat


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One model call. `cost_usd` is None where the price is not known, `model_answered` where nothing came back.

    `tenant` and `principal` (its id) say for whom it was made: whose daily allowance it counts against.
    `step` says what the call was for (draft, critique, embed); `outcome` is "ok" or the error's class name.
    Token counts are as in `TokenUsage`.
    """

    created_at: datetime
    request_id: str
    trace_id: str
    tenant: str
    principal: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a principal has used up: tokens of every kind, and their cost as far as there are prices."""

    tokens: int
    cost_usd: Decimal


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


def spent_since(connection: Connection, principal_id: str, since: datetime, at_most: TokenUsage) -> Spent:
    """What the principal's model calls have used since then; those of the embedded models are left out.

    Exact, but for a call that was left in the middle: it counts as `at_most`, which is what one call can use. A
    caller who hangs up each time before the answer is there would have spent nothing otherwise. A call whose price is
    not known counts by its tokens alone.
    """
    from common.costs.prices import cost_usd

    entry = ledger_entries.c
    tokens = entry.input_tokens + entry.output_tokens + entry.thinking_tokens + entry.tool_tokens
    # Added up here, for SQLite keeps costs as text; those that are the same come as one row.
    theirs = (entry.principal == principal_id, entry.created_at >= since, entry.provider != EMBEDDED)
    query = select(entry.cost_usd, func.count(), func.sum(tokens)).where(*theirs).group_by(entry.cost_usd)
    rows = connection.execute(query).all()
    total_tokens = sum(int(total) for _, _, total in rows)
    total_usd = sum((cost * count for cost, count, _ in rows if cost is not None), Decimal(0))
    of_model = (entry.model_asked, entry.provider)
    left = and_(entry.outcome.in_(LEFT_IN_THE_MIDDLE), entry.cost_usd.is_(None), tokens == 0)
    uncounted = select(*of_model, func.count()).where(*theirs, left).group_by(*of_model)
    for model, provider, count in connection.execute(uncounted):
        total_tokens += count * (at_most.input_tokens + at_most.output_tokens)
        total_usd += count * (cost_usd(at_most, model=model, provider=provider, at=since) or Decimal(0))
    return Spent(tokens=total_tokens, cost_usd=total_usd)


def cost_of(connection: Connection, request_id: str) -> Decimal | None:
    """What a request cost in USD, exactly; 0 without entries, None when the price of one entry is not known."""
    query = select(ledger_entries.c.cost_usd).where(ledger_entries.c.request_id == request_id)
    costs = connection.scalars(query).all()
    if any(cost is None for cost in costs):
        return None
    return sum((cost for cost in costs if cost is not None), Decimal(0))
