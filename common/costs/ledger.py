"""The ledger: one entry for every paid call with its tokens and its cost. Entries are added, never changed.

A correction is an entry of kind "reversal", which takes another one back. What entries of a day add up to
(`common.costs.days`), and what is spent of budgets (`common.costs.governor`), is kept in the transaction that adds
them, so the three never differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from sqlalchemy import Connection, RowMapping, and_, case, delete, func, insert, select

from common.costs.days import LOST, count_days
from common.costs.prices import EMBEDDED, cost_usd
from common.database.tables import ledger_entries, open_calls
from common.llm.chat import ModelTimeout, TokenUsage
from common.metrics import metrics_collector
from common.problems import NotFound
from common.telemetry import semconv

CANCELLED = "cancelled"  # the outcome of a call that nobody waited for any more
# It may be billed, and nobody says for how much.
LEFT_IN_THE_MIDDLE = frozenset({CANCELLED, LOST, ModelTimeout.__name__})
OPERATIONS = {"embed": semconv.OPERATION_EMBEDDINGS}  # `gen_ai.operation.name` by step; every other step is a chat

Lane = Literal["default", "cheap"]
Kind = Literal["call", "reversal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One paid call. `cost_usd` is None where the price is not known, `model_answered` where nothing came back.

    `tenant` and `principal` (its id) say for whom it was made: whose daily allowance it counts against.
    `route` is what asked for it ("POST /api/query", or a command), `step` what it was for (draft, critique, embed,
    search); `outcome` is "ok" or the error's class name. Token counts are as in `TokenUsage`.
    `open_call` is the id of `common.costs.governor.CallToMake`: that call is closed with the entry. `bound_usd` is
    what the call could cost at most: where its cost is not known, budgets count that. `content_mark` is a keyed hash
    of what was sent. A reversal has the tokens and the cost of what it `reverses` with the sign turned.
    """

    created_at: datetime
    request_id: str
    trace_id: str
    tenant: str
    principal: str
    step: str
    route: str
    provider: str
    model_asked: str
    duration_ms: float
    outcome: str
    lane: Lane = "default"
    kind: Kind = "call"
    reverses: int | None = None
    model_answered: str | None = None
    session_id: str | None = None
    agent: str | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    tool_tokens: int = 0
    cost_usd: Decimal | None = None
    bound_usd: Decimal | None = None
    content_mark: str | None = None
    open_call: str | None = None

    @property
    def counted_usd(self) -> Decimal:
        """What budgets count: the cost, or else what it can have been at most, as far as anybody knows."""
        return self.cost_usd if self.cost_usd is not None else self.bound_usd or Decimal(0)


COLUMNS = tuple(field.name for field in fields(LedgerEntry) if field.name != "open_call")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a principal has used up: tokens of every kind, and their cost as far as there are prices."""

    tokens: int
    cost_usd: Decimal


class AlreadyReversed(NotFound):
    """The entry has been taken back before, is a reversal itself, or is not there."""

    type = "/problems/not-reversible"
    title = "There is no entry that could be taken back"


def add(connection: Connection, entries: Iterable[LedgerEntry]) -> None:
    """Add `entries` in the caller's transaction, which also stores what they paid for: both are kept, or neither.

    One whose open call has lapsed meanwhile, so that it stands in the ledger as lost, takes that entry back.
    """
    from common.costs.governor import count_spent

    new = list(entries)
    if not new:
        return
    new += _closed(connection, new)
    connection.execute(insert(ledger_entries), [{name: getattr(entry, name) for name in COLUMNS} for entry in new])
    count_days(connection, new)
    count_spent(connection, new)


def reverse(connection: Connection, entry_id: int, at: datetime) -> LedgerEntry:
    """Take the entry back by one of kind "reversal", in the caller's transaction; the entry that was added.

    Raises:
        AlreadyReversed: there is no such entry, or it cannot be taken back (again).
    """
    row = connection.execute(select(ledger_entries).where(ledger_entries.c.id == entry_id)).one_or_none()
    known = select(ledger_entries.c.id).where(ledger_entries.c.reverses == entry_id)
    if row is None or row.kind != "call" or connection.scalar(known) is not None:
        raise AlreadyReversed
    entry = _reversal(_entry_of(row._mapping), entry_id, at)
    add(connection, [entry])
    return entry


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
    calls = func.sum(case((entry.kind == "reversal", -1), else_=1))
    uncounted = select(*of_model, calls).where(*theirs, left).group_by(*of_model)
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


def _closed(connection: Connection, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Close the open calls of `entries`. Where one has lapsed, its true entry has come after all: reversals of the
    entries "lost" that were made of those.

    A lost entry has its open call's id as its `content_mark`, which no other entry has.
    """
    opened = {entry.open_call: entry.created_at for entry in entries if entry.open_call is not None}
    if not opened:
        return []
    if connection.execute(delete(open_calls).where(open_calls.c.id.in_(opened))).rowcount == len(opened):
        return []
    is_theirs = (ledger_entries.c.content_mark.in_(opened), ledger_entries.c.outcome == LOST)
    request_ids = {entry.request_id for entry in entries}
    query = select(ledger_entries).where(ledger_entries.c.request_id.in_(request_ids), *is_theirs)
    return [_reversal(_entry_of(row._mapping), row.id, opened[row.content_mark]) for row in connection.execute(query)]


def _reversal(entry: LedgerEntry, entry_id: int, at: datetime) -> LedgerEntry:
    return replace(
        entry,
        created_at=at,
        kind="reversal",
        reverses=entry_id,
        input_tokens=-entry.input_tokens,
        cached_input_tokens=-entry.cached_input_tokens,
        output_tokens=-entry.output_tokens,
        thinking_tokens=-entry.thinking_tokens,
        tool_tokens=-entry.tool_tokens,
        cost_usd=None if entry.cost_usd is None else -entry.cost_usd,
        bound_usd=None if entry.bound_usd is None else -entry.bound_usd,
        content_mark=None,
        duration_ms=0.0,
    )


def _entry_of(row: RowMapping) -> LedgerEntry:
    return LedgerEntry(**{name: row[name] for name in COLUMNS})
