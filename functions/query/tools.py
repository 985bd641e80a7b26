"""What agents use: the search and the model, with every model call noted for the ledger."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from common.costs.embeddings import embedding_entries
from common.costs.ledger import CANCELLED, LEFT_IN_THE_MIDDLE, LedgerEntry, measure
from common.costs.prices import cost_usd
from common.llm.chat import ChatAnswer, ChatModel, ChatRequest, ModelError, ModelTimeout, Passage, TokenUsage
from common.llm.spent import recording
from common.logging import component_logger
from common.metrics import metrics_collector
from common.request_head import Correlation
from common.security.principal import Principal
from common.settings import settings
from common.telemetry import semconv
from common.tracing import Span, span, tell_span
from functions.query.agent import Retrieved, Status

if TYPE_CHECKING:
    from functions.query.retrieval import Retriever

log = component_logger("model")

_DOING = {"draft": "drafting", "critique": "reviewing"}  # what a client is told while a step goes on

GeneratedAnswer = Generator[Status, None, ChatAnswer]


@dataclass(kw_only=True)
class QueryTools:
    """The `Tools` of one query, with the rights of its principal, whatever a model says.

    `entries` grows by one with each model call, the failed ones too; `passages` holds all that was retrieved.
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
    agent: str = ""
    entries: list[LedgerEntry] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)

    @property
    def model_is_embedded(self) -> bool:
        return self.model.provider == self.embedded_model.provider

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        started = time.monotonic()
        seconds = min(self.model_timeout_seconds, self.deadline - started)
        with recording() as calls:
            found = self.retriever().retrieve(
                question, tenant=self.principal.tenant, where=where, timeout_seconds=seconds
            )
        metrics_collector.record_retrieval(time.monotonic() - started, len(found.passages))
        self.entries += embedding_entries(
            calls,
            self.correlation,
            self.principal,
            at=self.clock(),
            route=self.route,
            session_id=self.session_id,
            agent=self.agent,
        )
        self.passages += found.passages
        log.info(
            "retrieval.finished",
            passages=len(found.passages),
            score=round(found.support, 3),
            degraded=list(found.degraded),
            duration_ms=_ms_since(started),
        )
        return found

    def generate(self, step: str, request: ChatRequest) -> GeneratedAnswer:
        started = time.monotonic()
        seconds = min(self.model_timeout_seconds, self.deadline - started)
        if seconds <= 0:
            raise ModelTimeout  # no call was made, so none is noted
        outcome = CANCELLED  # what stands when the client goes away in the middle
        answer: ChatAnswer | None = None
        with _model_span(self.model, request) as active:
            try:
                asked = replace(request, timeout_seconds=seconds, conversation=self.session_id)
                answer = yield from self._chunks(step, asked)
                outcome = "ok"
            except ModelError as error:
                outcome, answer = type(error).__name__, error.answer  # billed all the same, where there is one
                raise
            finally:
                self._note(step, self.model, answer, outcome, started)
                _tell(active, answer)
        return answer

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        started = time.monotonic()
        with _model_span(self.embedded_model, request) as active:
            answer = self.embedded_model.generate(request)
            self._note(step, self.embedded_model, answer, "ok", started)
            _tell(active, answer)
        return answer

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

    def _note(self, step: str, model: ChatModel, answer: ChatAnswer | None, outcome: str, started: float) -> None:
        now = self.clock()
        answered = answer.model if answer else None
        # A call that was left in the middle may be billed all the same; one that was refused is not.
        unanswered = None if outcome in LEFT_IN_THE_MIDDLE else TokenUsage()
        counted = answer.usage if answer else unanswered
        usage = counted or TokenUsage()
        cost = None  # where no counts came nobody knows
        if counted is not None:
            cost = cost_usd(usage, model=answered or model.model, provider=model.provider, at=now)
        entry = LedgerEntry(
            created_at=now,
            request_id=self.correlation.request_id,
            trace_id=self.correlation.trace_id,
            tenant=self.principal.tenant,
            principal=self.principal.id,
            session_id=self.session_id,
            agent=self.agent,
            step=step,
            route=self.route,
            provider=model.provider,
            model_asked=answer.asked if answer else model.model,
            model_answered=answered,
            input_tokens=usage.input_tokens,
            cached_input_tokens=usage.cached_input_tokens,
            output_tokens=usage.output_tokens,
            thinking_tokens=usage.thinking_tokens,
            tool_tokens=usage.tool_tokens,
            cost_usd=cost,
            duration_ms=_ms_since(started),
            outcome=outcome,
        )
        self.entries.append(entry)
        measure(entry)
        if cost is not None:
            tell_span({semconv.COST_USD: float(cost)})


@contextmanager
def _model_span(model: ChatModel, request: ChatRequest) -> Iterator[Span]:
    """The span of one inference, retries included. A stream yields inside it, to readers in the same context."""
    attributes: dict[str, str | int | float] = {
        semconv.GEN_AI_OPERATION_NAME: semconv.OPERATION_CHAT,
        semconv.GEN_AI_PROVIDER_NAME: model.provider,
        semconv.GEN_AI_REQUEST_MODEL: model.model,
        semconv.GEN_AI_REQUEST_MAX_TOKENS: request.max_output_tokens,
        semconv.GEN_AI_REQUEST_TEMPERATURE: request.temperature,
    }
    with span(f"{semconv.OPERATION_CHAT} {model.model}", kind="client", attributes=attributes) as active:
        if settings().trace_content:
            active.set(semconv.GEN_AI_INPUT_MESSAGES, request.question)
        yield active


def _tell(active: Span, answer: ChatAnswer | None) -> None:
    """What came back, on the span of the call; tokens as the conventions count them, parts included."""
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
