"""What agents use: the search and the model, with every model call noted for the ledger."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.costs.chats import ChatBill
from common.costs.embeddings import EmbeddingBill
from common.costs.governor import BudgetSpent, Stance
from common.costs.ledger import LedgerEntry
from common.llm.chat import (
    ChatAnswer,
    ChatModel,
    ChatRequest,
    ModelError,
    ModelTimeout,
    Passage,
    TokenUsage,
    estimated_tokens,
)
from common.logging import component_logger
from common.metrics import metrics_collector
from common.request_head import Correlation
from common.security.principal import Principal
from common.settings import settings
from common.telemetry import semconv
from common.tracing import Span, span
from functions.query.agent import Retrieved, Status

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.security.keyring import KeyRing
    from functions.query.retrieval import Retriever

log = component_logger("model")

LAPSE_MARGIN_SECONDS = 60.0  # after the query's end: whatever is not in the ledger by then was lost
_DOING = {"draft": "drafting", "critique": "reviewing"}  # what a client is told while a step goes on

GeneratedAnswer = Generator[Status, None, ChatAnswer]


@dataclass(kw_only=True)
class QueryTools:
    """The `Tools` of one query, with the rights of its principal, whatever a model says.

    `stance` decides on the lane, and whether paid calls are made at all. `entries` grows by one with each attempt at
    a model call, the failed ones too; `passages` holds all that was retrieved, in `generation` of the knowledge base,
    `given` those that a model was given, beside about `history_tokens` of earlier turns; `gave_earlier` tells that an
    earlier answer was given after all. `ring` is asked outside transactions.
    """

    retriever: "Callable[[], Retriever]"
    model: ChatModel
    embedded_model: ChatModel
    correlation: Correlation
    principal: Principal
    session_id: str
    route: str
    deadline: float  # a reading of time.monotonic()
    model_timeout_seconds: float
    streams: bool
    clock: Callable[[], datetime]
    engine: "Callable[[], Engine]"
    ring: "Callable[[], KeyRing]"
    stance: Stance = field(default_factory=Stance)
    embedder_is_paid: bool = False
    agent: str = ""
    entries: list[LedgerEntry] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    given: dict[tuple[str, str], Passage] = field(default_factory=dict)
    history_tokens: int = 0
    generation: int = 0
    gave_earlier: bool = False

    @property
    def model_is_embedded(self) -> bool:
        return self.model.provider == self.embedded_model.provider

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        started = time.monotonic()
        seconds = min(self.model_timeout_seconds, self.deadline - started)
        bill = EmbeddingBill(
            engine=self.engine,
            ring=self.ring,
            correlation=self.correlation,
            principal=self.principal,
            route=self.route,
            clock=self.clock,
            lapses_after=self._lapses_after(),
            session_id=self.session_id,
            agent=self.agent,
        )
        try:
            with bill.running():
                found = self.retriever().retrieve(
                    question,
                    tenant=self.principal.tenant,
                    where=where,
                    timeout_seconds=seconds,
                    only_lexical=self.embedder_is_paid and self.stance.state == "hard",
                )
        finally:
            self.entries += bill.entries()
        metrics_collector.record_retrieval(time.monotonic() - started, len(found.passages))
        self.passages += found.passages
        self.generation = found.generation
        log.info(
            "retrieval.finished",
            passages=len(found.passages),
            score=round(found.support, 3),
            degraded=list(found.degraded),
            duration_ms=_ms_since(started),
        )
        return found

    def generate(self, step: str, request: ChatRequest) -> GeneratedAnswer:
        """See `Tools`. Each attempt is held of the budgets first, and noted: its open call is closed with its entry."""
        seconds = min(self.model_timeout_seconds, self.deadline - time.monotonic())
        if seconds <= 0:
            raise ModelTimeout  # no call was made, so none is noted
        if self.stance.state == "hard":
            raise self._spent()
        bill = self._bill(step)
        is_paid = not self.model_is_embedded
        asked = replace(request, timeout_seconds=seconds, conversation=self.session_id)
        if is_paid:
            asked = replace(asked, lane=self.stance.lane, meter=bill)
        self._give(asked)
        return (yield from self._noted(step, asked, bill))

    def _noted(self, step: str, request: ChatRequest, bill: ChatBill) -> GeneratedAnswer:
        started, noted = time.monotonic(), len(self.entries)
        answer: ChatAnswer | None = None
        failure: ModelError | None = None
        with _model_span(self.model, request) as active:
            try:
                answer = yield from self._chunks(step, request)
            except ModelError as error:
                failure, answer = error, error.answer
                raise
            finally:
                is_told = len(self.entries) > noted
                if not is_told and (answer is not None or failure is not None):
                    # The embedded model, which has no meter; or a model that is left alone for a while.
                    outcome = "ok" if failure is None else type(failure).__name__
                    self._note(bill, self.model, request, answer, outcome, started)
                _tell(active, answer, self.entries[noted:])
        return answer

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        started, noted = time.monotonic(), len(self.entries)
        self._give(request)
        with _model_span(self.embedded_model, request) as active:
            answer = self.embedded_model.generate(request)
            self._note(self._bill(step), self.embedded_model, request, answer, "ok", started)
            _tell(active, answer, self.entries[noted:])
        return answer

    def _spent(self) -> BudgetSpent:
        budget, resets_at = self.stance.budget or "", self.stance.resets_at or self.clock()
        return BudgetSpent(budget=budget, over="extract", resets_at=resets_at, now=self.clock())

    def _give(self, request: ChatRequest) -> None:
        """Keep in mind what a model is given, for what is told of the answer."""
        self.given |= {(one.document_id, one.text): one for one in request.passages}
        history = sum(estimated_tokens(text) for _, text in request.history)
        self.history_tokens = max(self.history_tokens, history)

    def _chunks(self, step: str, request: ChatRequest) -> GeneratedAnswer:
        """Streamed where the client streams: each chunk gives a sign of life, by which a client that went away is
        noticed, and closing this generator ends the model's work."""
        if not self.streams:
            return self.model.generate(request)
        with closing(self.model.stream(request)) as chunks:
            for chunk in chunks:
                if chunk.answer is not None:
                    return chunk.answer
                yield Status(step=_DOING.get(step, step))
        raise ModelError

    def _note(
        self,
        bill: ChatBill,
        model: ChatModel,
        request: ChatRequest,
        answer: ChatAnswer | None,
        outcome: str,
        started: float,
    ) -> None:
        """Note a call that no meter was told of: it cost nothing."""
        bill.note(
            answer,
            answer.usage if answer is not None else TokenUsage(),
            request,
            provider=model.provider,
            model=model.model_on(request.lane),
            outcome=outcome,
            seconds=time.monotonic() - started,
        )

    def _bill(self, step: str) -> ChatBill:
        return ChatBill(
            engine=self.engine,
            ring=self.ring,
            correlation=self.correlation,
            principal=self.principal,
            route=self.route,
            step=step,
            clock=self.clock,
            lapses_after=self._lapses_after(),
            session_id=self.session_id,
            agent=self.agent,
            entries=self.entries,
        )

    def _lapses_after(self) -> timedelta:
        return timedelta(seconds=max(self.deadline - time.monotonic(), 0) + LAPSE_MARGIN_SECONDS)


@contextmanager
def _model_span(model: ChatModel, request: ChatRequest) -> Iterator[Span]:
    """The span of one inference, retries included. A stream yields inside it, to readers in the same context."""
    asked = model.model_on(request.lane)
    attributes: dict[str, str | int | float] = {
        semconv.GEN_AI_OPERATION_NAME: semconv.OPERATION_CHAT,
        semconv.GEN_AI_PROVIDER_NAME: model.provider,
        semconv.GEN_AI_REQUEST_MODEL: asked,
        semconv.GEN_AI_REQUEST_MAX_TOKENS: request.max_output_tokens,
        semconv.GEN_AI_REQUEST_TEMPERATURE: request.temperature,
    }
    with span(f"{semconv.OPERATION_CHAT} {asked}", kind="client", attributes=attributes) as active:
        if settings().trace_content:
            active.set(semconv.GEN_AI_INPUT_MESSAGES, request.question)
        yield active


def _tell(active: Span, answer: ChatAnswer | None, entries: Sequence[LedgerEntry]) -> None:
    """What came back and its cost, on the span of the call; tokens as the conventions count them, parts included."""
    costs = [entry.cost_usd for entry in entries if entry.cost_usd is not None]
    if costs and len(costs) == len(entries):
        active.set(semconv.COST_USD, float(sum(costs)))
    if answer is None:
        return
    active.set(semconv.GEN_AI_RESPONSE_MODEL, answer.model)
    active.set(semconv.GEN_AI_RESPONSE_FINISH_REASONS, (answer.finish_reason,))
    if answer.usage is not None:
        used = answer.usage
        active.set(semconv.GEN_AI_USAGE_INPUT_TOKENS, used.input_tokens + used.tool_tokens)
        active.set(semconv.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, used.cached_input_tokens)
        active.set(semconv.GEN_AI_USAGE_OUTPUT_TOKENS, used.output_tokens + used.thinking_tokens)
        active.set(semconv.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, used.thinking_tokens)
    if settings().trace_content:
        active.set(semconv.GEN_AI_OUTPUT_MESSAGES, answer.text)


def _ms_since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
