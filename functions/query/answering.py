"""One query from message to recorded answer: screen, route, run the agent, check, record, reply."""

import secrets
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import BaseModel

from common.costs.answers import AnswerFacts, mark_of_question
from common.costs.governor import BudgetSpent, Stance
from common.costs.ledger import CANCELLED
from common.costs.prices import EMBEDDED
from common.function import Call, EventStream
from common.llm.chat import ChatModel, estimated_tokens
from common.logging import component_logger, frames_of
from common.metrics import metrics_collector
from common.once import once
from common.problems import FieldError, Forbidden, InvalidRequest
from common.security.allowance import check_allowance
from common.security.principal import Principal
from common.settings import Settings, settings
from common.telemetry import semconv
from common.tracing import tell_span, trace_intent_classifier, trace_sync
from functions.query.agent import AgentCard, Ask, Citation, Reply, Status, Turn
from functions.query.budgets import has_agent_budgets, question_stance, refuse_spent
from functions.query.earlier_answers import earlier_answer
from functions.query.entities import Entities, extract_entities
from functions.query.follow_up import SMALL_TALK, is_ellipsis, refers_back
from functions.query.grounding import hold, sentences_with_marks
from functions.query.models import (
    BudgetModel,
    CitationModel,
    CritiqueModel,
    DeltaEvent,
    QueryAnswer,
    QueryPreview,
    QueryRequest,
    StatusEvent,
    UsageModel,
)
from functions.query.preview import Reads, preview_lanes
from functions.query.routing import Route, Router
from functions.query.screening import Screened, document_signals, screen
from functions.query.sessions import SessionStore, TurnRecord
from functions.query.tools import QueryTools

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.security.keyring import KeyRing
    from functions.query.retrieval import Retriever

KNOWLEDGE = "knowledge"
ROUTE = "POST /api/query"  # as the ledger has it
CLEAR = 0.65  # confidence from which the documents need not be asked first
ASKS_BACK = "fallback"  # the agent named in an answer that asks back

log = component_logger("query")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What answering needs, made once per instance. `retriever` opens the indexes on first use; `allow` refuses a
    principal whose allowance of the day is used up; `stance` tells how far the budgets of a principal's questions are
    spent, those to one agent or, for None, to any."""

    settings: Settings
    agents: Mapping[str, AgentCard]
    router: Router
    sessions: SessionStore
    model: ChatModel
    embedded_model: ChatModel
    allow: Callable[[Principal], None]
    stance: Callable[[Principal, str | None], Stance]
    retriever: "Callable[[], Retriever]"
    engine: "Callable[[], Engine]"
    ring: "Callable[[], KeyRing]"
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One query under way. `agents` are those that its principal may use; of others nothing here knows. `stance_to`
    tells how far the budgets are spent that a question to an agent counts against."""

    call: Call[QueryRequest]
    agents: Mapping[str, AgentCard]
    screened: Screened
    entities: Entities
    session_id: str
    history: tuple[Turn, ...]
    route: Route
    tools: QueryTools
    stance_to: Callable[[str], Stance]


def answer(call: Call[QueryRequest]) -> QueryAnswer | QueryPreview | EventStream:
    """The answer to `call`, recorded before it is given; or what it would cost, which leaves nothing behind.

    Raises:
        InvalidRequest: the message or the agent's name cannot be used, or a preview is to be streamed.
        Forbidden: the principal may not use the agent.
        NotFound: the principal's tenant has no such session.
        QuotaExceeded: the principal's tokens or money of the day are used up.
        BudgetSpent: a budget is spent that leaves no answer either.
    """
    ready = service()
    if call.body.dry_run:
        return _preview(ready, call)
    work = _begin(ready, call)
    if call.body.stream:
        return EventStream(events=_events(ready, work))
    with closing(_run(ready, work)) as steps:
        return next(step for step in steps if isinstance(step, QueryAnswer))


def _begin(ready: Service, call: Call[QueryRequest]) -> _Work:
    """Everything that can be refused is refused here, before a stream begins."""
    screened, agents = _accepted(ready, call)
    ready.allow(call.principal)
    stance = ready.stance(call.principal, None)
    metrics_collector.record_budget_decision(stance.state)
    refuse_spent(stance, ready.clock())
    return _work(ready, call, screened, agents, stance)


def _preview(ready: Service, call: Call[QueryRequest]) -> QueryPreview:
    """What the question would cost; nothing that is paid is asked, whatever the budgets allow."""
    if call.body.stream:
        reason = "A preview comes at once: leave out one of dry_run and stream."
        raise InvalidRequest(reason, errors=[FieldError(pointer="/stream", detail=reason)])
    screened, agents = _accepted(ready, call)
    stance = ready.stance(call.principal, None)
    work = _work(ready, call, screened, agents, replace(stance, state="hard"))
    name = call.body.agent or _meant(work)
    if name is None or _may_be_a_question(work):
        name = KNOWLEDGE
    may_read = not (call.body.agent or name in SMALL_TALK or work.entities.amounts)
    reads: Reads = "surely" if name == KNOWLEDGE else "perhaps" if may_read else "not"
    lanes, passages = preview_lanes(
        _ask(work),
        ready.model,
        ready.settings,
        lambda question: ready.retriever().embedded_texts(question),
        reads=reads,
        at=ready.clock(),
    )
    return QueryPreview(
        agent=name,
        intent=work.route.intent,
        passages=passages,
        lanes=lanes,
        budget=BudgetModel(state=stance.state, resets_at=stance.resets_at),
        request_id=call.correlation.request_id,
        trace_id=call.correlation.trace_id,
    )


def _accepted(ready: Service, call: Call[QueryRequest]) -> tuple[Screened, Mapping[str, AgentCard]]:
    """The message as it is used, and the agents that the principal may use.

    Raises:
        InvalidRequest, Forbidden: the message cannot be used, or the agent that is asked for.
    """
    screened = screen(call.body.message, max_characters=ready.settings.max_message_characters)
    agents = {name: card for name, card in ready.agents.items() if call.principal.may(card.scope)}
    if call.body.agent is not None and call.body.agent not in agents:
        if call.body.agent in ready.agents:
            raise Forbidden
        reason = f"There is no such agent. There are: {', '.join(sorted(agents))}."
        raise InvalidRequest(reason, errors=[FieldError(pointer="/agent", detail=reason)])
    if screened.signals:
        metrics_collector.record_rejection("injection")
    return screened, agents


def _work(
    ready: Service, call: Call[QueryRequest], screened: Screened, agents: Mapping[str, AgentCard], stance: Stance
) -> _Work:
    session_id = ready.sessions.open(call.body.session_id, call.principal)
    is_new = call.body.session_id is None
    return _Work(
        call=call,
        agents=agents,
        screened=screened,
        entities=extract_entities(screened.text),
        session_id=session_id,
        history=() if is_new else ready.sessions.history(session_id, call.principal, ready.settings.history_tokens),
        route=_route_among(agents, _route(ready.router, screened.text)),
        tools=QueryTools(
            retriever=ready.retriever,
            model=ready.model,
            embedded_model=ready.embedded_model,
            correlation=call.correlation,
            principal=call.principal,
            session_id=session_id,
            route=ROUTE,
            deadline=call.deadline,
            model_timeout_seconds=ready.settings.model_timeout_seconds,
            streams=call.body.stream,
            clock=ready.clock,
            engine=ready.engine,
            ring=ready.ring,
            stance=stance,
            embedder_is_paid=ready.settings.embedding_model != "embedded",
        ),
        stance_to=lambda agent: ready.stance(call.principal, agent) if has_agent_budgets() else stance,
    )


@trace_intent_classifier
def _route(router: Router, text: str) -> Route:
    started = time.monotonic()
    route = router.route(text)
    tell_span({semconv.INTENT: route.intent or "none", semconv.CONFIDENCE: round(route.confidence, 4)})
    metrics_collector.record_intent_classification(route.intent, route.confidence, time.monotonic() - started)
    return route


def _route_among(agents: Mapping[str, AgentCard], route: Route) -> Route:
    """`route` as if there were no other agents."""
    return replace(
        route,
        intent=route.intent if route.intent in agents else None,
        alternatives=tuple(name for name in route.alternatives if name in agents),
    )


def _run(ready: Service, work: _Work) -> Generator[Status | QueryAnswer, None, None]:
    """The steps of the query, the recorded answer last. Model calls are in the ledger even when it is cut short."""
    recorded = False
    try:
        agent, reply = yield from _answered(ready, work)
        held = hold(reply, work.screened.text, work.tools.passages)
        _measure(reply, held)
        reply = held
        # One transaction: the answer and what it cost stand or fall together.
        turn = _turn(ready, work, agent, reply, _signals(work))
        ready.sessions.record(turn, work.tools.entries, work.call.principal, _facts(ready, work, turn, reply))
        recorded = True
        yield _reply(work, agent, reply)
    finally:
        if not recorded and work.tools.entries:
            ready.sessions.record(None, work.tools.entries, work.call.principal)


def _answered(ready: Service, work: _Work) -> Generator[Status, None, tuple[str, Reply]]:
    """The agents' reply; where the budget kept them from asking a model, an earlier one to the same question."""
    is_spent = work.tools.stance.state == "hard"
    earlier = _earlier(ready, work) if is_spent else None
    if earlier is not None:
        return earlier
    agent, reply = yield from _ask_agents(work)
    if not is_spent and "budget" in reply.degraded and not _is_reviewed_draft(work, reply):
        return _earlier(ready, work) or (agent, reply)
    return agent, reply


def _earlier(ready: Service, work: _Work) -> tuple[str, Reply] | None:
    if work.history:
        return None
    asked = work.call.body.agent
    agents = work.agents if asked is None else (asked,)
    tenant = work.call.principal.tenant
    found = earlier_answer(ready.engine(), ready.ring(), tenant=tenant, message=work.screened.text, agents=agents)
    if found is None:
        return None
    work.tools.passages += found.passages
    work.tools.generation = found.generation
    work.tools.gave_earlier = True
    log.info("answer.repeated", agent=found.agent)
    return found.agent, found.reply


def _is_reviewed_draft(work: _Work, reply: Reply) -> bool:
    return reply.critique_score is not None and reply.model != work.tools.embedded_model.model


def _signals(work: _Work) -> list[str]:
    """Signs of prompt injection in the message and in all that was retrieved for it; the latter are counted here."""
    retrieved = document_signals(work.tools.passages)
    if retrieved:
        metrics_collector.record_rejection("document_injection")
    return [*work.screened.signals, *retrieved]


def _measure(reply: Reply, held: Reply) -> None:
    """What became of the query, as measures; `held` is what is left of the agent's `reply`."""
    if reply.answered and not held.answered:
        metrics_collector.record_rejection("withheld")
    tell_span({semconv.OUTCOME: "answered" if held.answered else "abstained", semconv.DEGRADED: list(held.degraded)})
    for part in dict.fromkeys(held.degraded):
        metrics_collector.record_degraded(part)


def _ask_agents(work: _Work) -> Generator[Status, None, tuple[str, Reply]]:
    """The agent that is meant, and beside it the documents where that is not clear: (agent's name, reply)."""
    name = work.call.body.agent or _meant(work)
    if name == KNOWLEDGE:
        return KNOWLEDGE, (yield from _run_agent(work, KNOWLEDGE))
    read: Reply | None = None
    if name is None or _may_be_a_question(work):
        # What the documents bear out is answered; all else goes on to the agent, or is asked back.
        read = yield from _run_agent(work, KNOWLEDGE)
        if read.answered:
            return KNOWLEDGE, read
    if name is None:
        return ASKS_BACK, _ask_back(work, read)
    try:
        reply = yield from _run_agent(work, name)
    except BudgetSpent as error:
        if error.over == "refuse":
            raise
        read = read or (yield from _run_agent(work, KNOWLEDGE))
        return KNOWLEDGE, replace(read, degraded=(*read.degraded, "budget"))
    # Whatever broke in one agent, the documents may still answer; it is logged and told (`degraded`).
    except Exception as error:  # noqa: BLE001
        log.error("agent.failed", agent=name, error_type=type(error).__name__, frames=frames_of(error))
        read = read or (yield from _run_agent(work, KNOWLEDGE))
        return KNOWLEDGE, replace(read, degraded=(*read.degraded, "agent"))
    if read is None and not reply.answered and not work.call.body.agent and not work.entities.amounts:
        # It asks for figures where the message has none at all: perhaps it was a question to the documents.
        read = yield from _run_agent(work, KNOWLEDGE)
        if read.answered:
            return KNOWLEDGE, read
    return name, replace(reply, degraded=(*reply.degraded, *(read.degraded if read else ())))


def _may_be_a_question(work: _Work) -> bool:
    """Whether the router chose, but not clearly, and no amounts speak for a calculation: "What's a lien?"."""
    is_clear = work.route.intent is None or work.route.confidence >= CLEAR
    return not (is_clear or work.call.body.agent or work.entities.amounts or is_ellipsis(work.screened.text))


def _meant(work: _Work) -> str | None:
    """The agent that worked last for an ellipsis ("and for raw land?") and for what is unclear within a session."""
    worked = (turn.agent for turn in reversed(work.history) if turn.agent in work.agents)
    last = next((name for name in worked if name not in SMALL_TALK), None)
    if last is not None and (work.route.intent is None or is_ellipsis(work.screened.text)):
        return last
    return work.route.intent


def _run_agent(work: _Work, name: str) -> Generator[Status, None, Reply]:
    """
    Raises:
        Forbidden: the principal may not use the agent, which can only be the documents' own.
        BudgetSpent: a budget of the agent's is spent that leaves no answer either.
    """
    card = work.agents.get(name)
    if card is None:
        raise Forbidden
    work.tools.agent = name
    work.tools.stance = work.stance_to(name)
    refuse_spent(work.tools.stance, work.tools.clock())
    ask = _ask(work)
    yield Status(step=name)
    attributes = {semconv.GEN_AI_OPERATION_NAME: semconv.OPERATION_INVOKE_AGENT, semconv.GEN_AI_AGENT_NAME: name}
    started, outcome = time.monotonic(), "failed"
    try:
        traced = trace_sync(f"{semconv.OPERATION_INVOKE_AGENT} {name}", attributes=attributes)(card.run)
        reply = yield from _reply_of(traced(ask))
        outcome = "answered" if reply.answered else "abstained"
        return reply
    except GeneratorExit:  # the client went away
        outcome = CANCELLED
        raise
    finally:
        metrics_collector.record_agent_run(name, outcome, time.monotonic() - started)


def _ask(work: _Work) -> Ask:
    return Ask(
        message=work.screened.text,
        tools=work.tools,
        entities=work.entities,
        history=work.history,
        can_answer=lambda: tuple(work.agents.values()),
    )


def _reply_of(steps: Generator[Status | Reply, None, None]) -> Generator[Status, None, Reply]:
    with closing(steps):
        for step in steps:
            if isinstance(step, Reply):
                return step
            yield step
    raise RuntimeError("an agent ended without a reply")


def _ask_back(work: _Work, read: Reply | None) -> Reply:
    """Asks back with the two likeliest readings, instead of guessing."""
    metrics_collector.record_agent_run(ASKS_BACK, "asked_back", 0.0)
    readings = [work.agents[name].description for name in work.route.alternatives]
    lines = "\n".join(f"{number}. {text}" for number, text in enumerate(readings, start=1))
    text = (
        f"I am not sure what you mean, and my documents do not answer it as it stands. Do you look for this?\n{lines}"
    )
    return Reply(
        answer=f"{text}\nPlease say it in a few more words.",
        answered=False,
        confidence=round(work.route.confidence, 4),
        degraded=read.degraded if read else (),
    )


def _turn(ready: Service, work: _Work, agent: str, reply: Reply, signals: list[str]) -> TurnRecord:
    return TurnRecord(
        session_id=work.session_id,
        request_id=work.call.correlation.request_id,
        trace_id=work.call.correlation.trace_id,
        message=work.screened.text,
        answer=reply.answer,
        answered=reply.answered,
        agent=agent,
        intent=work.route.intent,
        confidence=reply.confidence,
        citations=[_citation(one).model_dump() for one in reply.citations],
        critique_score=reply.critique_score,
        critique_rounds=reply.critique_rounds,
        degraded=list(dict.fromkeys(reply.degraded)),
        signals=signals,
        created_at=ready.clock(),
    )


def _facts(ready: Service, work: _Work, turn: TurnRecord, reply: Reply) -> AnswerFacts:
    """What is told of the turn, for the cost report."""
    tools = work.tools
    cited = [
        passage
        for passage in tools.given.values()
        if any(one.document_id == passage.document_id and one.quote in passage.text for one in reply.citations)
    ]
    drafts = [one for one in tools.entries if one.model_answered == reply.model and one.provider != EMBEDDED]
    score = reply.critique_score
    is_alone = not work.history
    tenant = work.call.principal.tenant
    return AnswerFacts(
        created_at=turn.created_at,
        request_id=turn.request_id,
        tenant=tenant,
        principal=work.call.principal.id,
        session_id=turn.session_id,
        agent=turn.agent,
        intent=turn.intent,
        lane=drafts[-1].lane if reply.model is not None and drafts else "",
        model=reply.model,
        answered=turn.answered,
        accepted=score is not None and score >= ready.settings.critique_threshold,
        critique_score=score,
        critique_rounds=turn.critique_rounds,
        question_mark=mark_of_question(ready.ring(), tenant, turn.message) if is_alone else None,
        knowledge_generation=tools.generation,
        evidence_tokens=sum(estimated_tokens(one.text) for one in tools.given.values()),
        cited_tokens=sum(estimated_tokens(one.text) for one in cited),
        history_tokens=tools.history_tokens,
        is_follow_up=refers_back(turn.message),
        degraded=turn.degraded,
    )


def _citation(one: Citation) -> CitationModel:
    return CitationModel(
        document_id=one.document_id, title=one.title, quote=one.quote, score=one.score, source=one.source
    )


def _reply(work: _Work, agent: str, reply: Reply) -> QueryAnswer:
    entries = work.tools.entries
    costs = [entry.cost_usd for entry in entries]
    known = [cost for cost in costs if cost is not None]
    asked = [] if work.tools.gave_earlier else [one.model_answered for one in entries if one.model_answered]
    return QueryAnswer(
        answer=reply.answer,
        answered=reply.answered,
        agent=agent,
        intent=work.route.intent,
        confidence=round(reply.confidence, 4),
        citations=[_citation(one) for one in reply.citations],
        critique=CritiqueModel(score=reply.critique_score, rounds=reply.critique_rounds),
        usage=UsageModel(
            model=reply.model or (asked[-1] if asked else None),
            input_tokens=sum(entry.input_tokens + entry.tool_tokens for entry in entries),
            output_tokens=sum(entry.output_tokens + entry.thinking_tokens for entry in entries),
            cost_usd=sum(known, Decimal(0)) if len(known) == len(costs) else None,
        ),
        degraded=list(dict.fromkeys(reply.degraded)),
        session_id=work.session_id,
        request_id=work.call.correlation.request_id,
        trace_id=work.call.correlation.trace_id,
    )


def _events(ready: Service, work: _Work) -> Generator[tuple[str, BaseModel], None, None]:
    """Server-Sent Events. `delta`s begin once the answer has passed all checks: what was shown is never taken back."""
    with closing(_run(ready, work)) as steps:
        for step in steps:
            if isinstance(step, Status):
                yield "status", StatusEvent(step=step.step)
                continue
            for piece in sentences_with_marks(step.answer):
                yield "delta", DeltaEvent(text=piece)
            for citation in step.citations:
                yield "citation", citation
            yield "done", step


@once
@trace_sync("load service")
def service() -> Service:
    """This instance's service, from the settings."""
    from common.costs.budgets import budget_file
    from common.costs.prices import prices
    from common.database.engine import engine
    from common.llm.extractive import ExtractiveModel
    from common.llm.models import chat_model
    from common.security.keyring import key_ring
    from functions.query.agents import agents
    from functions.query.routing import stored_router

    prices()  # a price file that cannot be used shows now, not after the first paid call
    budget_file()
    known = agents()
    return Service(
        settings=settings(),
        agents=known,
        router=stored_router(
            {card.name: card.examples for card in known.values() if card.examples}, settings().data_dir / "router"
        ),
        sessions=SessionStore(engine(), clock=_now, new_id=lambda: secrets.token_hex(16), ring=key_ring),
        model=chat_model(),
        embedded_model=ExtractiveModel(answer_words=settings().answer_words),
        allow=lambda principal: check_allowance(principal, settings(), engine(), _now()),
        stance=lambda principal, agent: question_stance(principal, agent, settings(), engine, _now()),
        retriever=retriever,
        engine=engine,
        ring=key_ring,
        clock=_now,
    )


@once
@trace_sync("load retriever")
def retriever() -> "Retriever":
    from common.knowledge.index import knowledge_index
    from common.llm.models import embedder
    from functions.query.retrieval import Retriever

    return Retriever(knowledge_index(), embedder(), settings())


def _now() -> datetime:
    return datetime.now(UTC)
