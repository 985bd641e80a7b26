"""A finding's questions asked again on the cheap lane, so that what it would save is measured and not guessed.

Drafts are made by the cheap lane's model. Reviews are made by the default lane's, as they were in earnest, so that both
lanes are held to the same critique; that review is priced as if the cheap model had made it, as it does on its lane.
Nothing is told to anybody and no turn is recorded; the calls are in the ledger, of principal "cli" and route
"loancheck cost savings", and count against the tenant's budgets.
"""

import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import Connection, and_, select

from common.costs.governor import Stance
from common.costs.ledger import LedgerEntry
from common.costs.prices import cost_usd, upper_bound_usd
from common.database.engine import read
from common.database.tables import answer_facts, ledger_entries, turns
from common.llm.chat import CHARACTERS_A_TOKEN, ChatAnswer, ChatRequest, Lane, TokenUsage
from common.request_head import Correlation
from common.security.encryption import TURN_CONTENT, CannotOpen, Sealer, row_of
from common.security.principal import SCOPES, Principal
from functions.cost_report.savings.replayed import Replay, Side
from functions.cost_report.savings.traffic import CRITIQUE, FREE_OF_LANES, REPLAY_ROUTE, took
from functions.query.agent import Ask, Reply, Retrieved, Status
from functions.query.answering import Service
from functions.query.budgets import refuse_spent
from functions.query.critique import REVIEW_OUTPUT_TOKENS
from functions.query.entities import extract_entities
from functions.query.grounding import hold
from functions.query.tools import QueryTools
from local.refusal import Refused
from local.state import CLI

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.security.keyring import KeyRing

AT_ONCE = 200  # entries looked at together while a sample is drawn
WITHOUT_MODEL = frozenset({"model", "budget"})  # signs in `degraded` that the answer is not the model's


class NothingToReplay(Refused):
    """There is no question that could be asked again; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question as it was asked, alone in its session, and what became of it on the default lane."""

    message: str
    agent: str
    accepted: bool
    score: float | None
    calls: tuple[LedgerEntry, ...]  # drafts and reviews

    @property
    def cost_usd(self) -> Decimal | None:
        return _sum(call.cost_usd for call in self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What asking the sample again will cost in USD; None where a price is not known."""

    likely_usd: Decimal | None
    at_most_usd: Decimal | None


def sample(
    engine: "Engine", ring: "KeyRing", tenant: str, finding_id: str, entry_ids: Sequence[int], size: int
) -> list[Question]:
    """Up to `size` questions of the finding, by lot: the same lot each time. Only those that were asked without earlier
    turns, and whose conversation has not been deleted, can be asked again as they were.

    Raises:
        NothingToReplay: there is none.
    """
    order = list(entry_ids)
    random.Random(finding_id).shuffle(order)  # noqa: S311  # no secret: it is to be the same each time
    sealer = Sealer(ring)
    drawn: list[Question] = []
    with read(engine) as connection:
        for start in range(0, len(order), AT_ONCE):
            drawn += _questions(connection, sealer, tenant, order[start : start + AT_ONCE])
            if len(drawn) >= size:
                return drawn[:size]
    if not drawn:
        raise NothingToReplay(
            "none of the finding's questions can be asked again: they went on from earlier turns, or are deleted"
        )
    return drawn


def preview(ready: Service, questions: Sequence[Question]) -> Preview:
    """What `replay` will cost: likely, with the tokens of before, and at most, with every round and attempt used."""
    likely: list[Decimal | None] = []
    most: list[Decimal | None] = []
    at, provider = ready.clock(), ready.model.provider
    times = ready.settings.critique_rounds * ready.settings.model_attempts
    for question in questions:
        likely += [
            cost_usd(_usage(call), provider=provider, model=ready.model.model_on(_lane(call.step)), at=at)
            for call in question.calls
        ]
        for step, output_tokens in (("draft", ready.settings.max_output_tokens), (CRITIQUE, REVIEW_OUTPUT_TOKENS)):
            prompt = max((call.input_tokens for call in question.calls if call.step == step), default=0)
            bound = upper_bound_usd(
                provider, ready.model.model_on(_lane(step)), at, prompt * CHARACTERS_A_TOKEN, output_tokens
            )
            most.append(None if bound is None else bound * times)
    return Preview(likely_usd=_sum(likely), at_most_usd=_sum(most))


def replay(ready: Service, tenant: str, questions: Sequence[Question]) -> Iterator[tuple[Question, "Again | None"]]:
    """Ask each question again; None where no model gave an answer to it, or nobody knows what it cost.

    Raises:
        BudgetSpent: a budget allows no more; what was asked till then has been given, and is in the ledger.
    """
    principal = Principal(id=CLI, tenant=tenant, scopes=SCOPES)
    for question in questions:
        stance = ready.stance(principal, question.agent)
        if stance.state in {"hard", "refused"}:
            refuse_spent(Stance(state="refused", budget=stance.budget, resets_at=stance.resets_at), ready.clock())
        yield question, _ask_again(ready, principal, question)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What became of a question on the cheap lane. `cost_usd` has the reviews at the cheap model's price."""

    accepted: bool
    score: float | None
    cost_usd: Decimal


def measured(ready: Service, asked: Sequence[tuple[Question, Again]], at: datetime) -> Replay:
    """The two lanes side by side, over the questions that both answered."""
    models = Counter(call.model_answered or call.model_asked for question, _ in asked for call in question.calls)
    [(model, _)] = models.most_common(1)
    before = Side(
        model=model,
        accepted=sum(question.accepted for question, _ in asked),
        score=_mean([question.score for question, _ in asked]),
        cost_usd=_sum(question.cost_usd for question, _ in asked) or Decimal(0),
    )
    after = Side(
        model=ready.model.model_on("cheap"),
        accepted=sum(again.accepted for _, again in asked),
        score=_mean([again.score for _, again in asked]),
        cost_usd=sum((again.cost_usd for _, again in asked), Decimal(0)),
    )
    return Replay(at=at, questions=len(asked), default=before, cheap=after)


@dataclass(kw_only=True)
class _TwoLanes:
    """The `Tools` of a replay: reviews by the default lane, all else by the cheap one."""

    cheap: QueryTools
    default: QueryTools

    @property
    def model_is_embedded(self) -> bool:
        return self.cheap.model_is_embedded

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        return self.cheap.retrieve(question, where=where)

    def generate(self, step: str, request: ChatRequest) -> Generator[Status, None, ChatAnswer]:
        return self.default.generate(step, request) if step == CRITIQUE else self.cheap.generate(step, request)

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        return self.cheap.extract(step, request)


def _ask_again(ready: Service, principal: Principal, question: Question) -> Again | None:
    if question.agent not in ready.agents:
        return None
    tools = _tools(ready, principal, question.agent)
    ask = Ask(
        message=question.message,
        tools=tools,
        entities=extract_entities(question.message),
        can_answer=lambda: tuple(ready.agents.values()),
    )
    try:
        reply = next(step for step in ready.agents[question.agent].run(ask) if isinstance(step, Reply))
        held = hold(reply, question.message, tools.cheap.passages)
    finally:
        if tools.cheap.entries:
            ready.sessions.record(None, tools.cheap.entries, principal)
    cost = _sum(_at_cheap(ready, call) for call in tools.cheap.entries if call.step not in FREE_OF_LANES)
    if WITHOUT_MODEL & set(held.degraded) or cost is None:
        return None
    score = held.critique_score
    is_accepted = held.answered and score is not None and score >= ready.settings.critique_threshold
    return Again(accepted=is_accepted, score=score, cost_usd=cost)


def _tools(ready: Service, principal: Principal, agent: str) -> _TwoLanes:
    trace_id, request_id, session_id = secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(16)
    entries: list[LedgerEntry] = []

    def on(stance: Stance) -> QueryTools:
        return QueryTools(
            retriever=ready.retriever,
            model=ready.model,
            embedded_model=ready.embedded_model,
            correlation=Correlation(request_id=request_id, trace_id=trace_id),
            principal=principal,
            session_id=session_id,
            route=REPLAY_ROUTE,
            deadline=time.monotonic() + ready.settings.query_timeout_seconds,
            model_timeout_seconds=ready.settings.model_timeout_seconds,
            streams=False,
            clock=ready.clock,
            engine=ready.engine,
            ring=ready.ring,
            stance=stance,
            embedder_is_paid=ready.settings.embedding_model != "embedded",
            agent=agent,
            entries=entries,
        )

    return _TwoLanes(cheap=on(Stance(state="soft")), default=on(Stance()))


def _questions(connection: Connection, sealer: Sealer, tenant: str, entry_ids: Sequence[int]) -> Iterator[Question]:
    """Of the answers whose first draft is among the entries, so that none comes twice or likelier than another."""
    entry, facts, before = ledger_entries.c, answer_facts.c, ledger_entries.alias("before").c
    is_its_turn = and_(
        turns.c.tenant == facts.tenant,
        turns.c.request_id == facts.request_id,
        turns.c.session_id == facts.session_id,
        turns.c.created_at == facts.created_at,
    )
    earlier = select(before.id).where(
        before.request_id == entry.request_id,
        before.session_id == entry.session_id,
        before.step.not_in(FREE_OF_LANES),
        before.id < entry.id,
    )
    query = (
        select(entry.id, facts.request_id, facts.session_id, facts.agent, facts.answered)
        .add_columns(facts.accepted, facts.critique_score)
        .add_columns(turns.c.uid, turns.c.content)
        .select_from(ledger_entries.join(answer_facts, took(answer_facts)).join(turns, is_its_turn))
        .where(entry.id.in_(entry_ids), entry.tenant == tenant, facts.tenant == tenant, facts.history_tokens == 0)
        .where(~earlier.exists())
    )
    rows = {row.id: row for row in connection.execute(query)}
    for row in (rows[entry_id] for entry_id in entry_ids if entry_id in rows):
        try:
            content = json.loads(sealer.open(row.content, TURN_CONTENT, row_of(tenant, row.uid)))
        except CannotOpen:  # its key is gone, and with it what was asked
            continue
        calls = _calls(connection, tenant, row.request_id, row.session_id)
        if _sum(call.cost_usd for call in calls) is not None:
            yield Question(
                message=content["message"],
                agent=row.agent,
                accepted=row.answered and row.accepted,
                score=row.critique_score,
                calls=calls,
            )


def _calls(connection: Connection, tenant: str, request_id: str, session_id: str) -> tuple[LedgerEntry, ...]:
    from common.costs.ledger import COLUMNS

    entry = ledger_entries.c
    query = select(*(entry[name] for name in COLUMNS)).where(
        entry.request_id == request_id,
        entry.session_id == session_id,
        entry.tenant == tenant,
        entry.kind == "call",
        entry.step.not_in(FREE_OF_LANES),
    )
    return tuple(LedgerEntry(**row) for row in connection.execute(query.order_by(entry.id)).mappings())


def _at_cheap(ready: Service, call: LedgerEntry) -> Decimal | None:
    """What the call costs on the cheap lane; None: not known."""
    if call.step != CRITIQUE or call.cost_usd is None:
        return call.cost_usd
    model = ready.model.model_on("cheap")
    return cost_usd(_usage(call), provider=call.provider, model=model, at=call.created_at)


def _lane(step: str) -> Lane:
    return "default" if step == CRITIQUE else "cheap"


def _usage(call: LedgerEntry) -> TokenUsage:
    return TokenUsage(
        input_tokens=call.input_tokens,
        cached_input_tokens=call.cached_input_tokens,
        output_tokens=call.output_tokens,
        thinking_tokens=call.thinking_tokens,
        tool_tokens=call.tool_tokens,
    )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """None where one of them is not known."""
    total = Decimal(0)
    for one in amounts:
        if one is None:
            return None
        total += one
    return total


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [one for one in scores if one is not None]
    return sum(known) / len(known) if known else None
