"""What is counted and measured: `metrics_collector` takes it from everywhere, `exposition` gives it to `/metrics`.

No method raises, whatever it is given: what cannot be recorded is counted in `assistant_errors_total`, component
"metrics". The names, labels and bounds are in `common/telemetry/metric_catalogue.py`.
"""

import functools
import re
from collections.abc import Callable
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol

from common.once import once
from common.pii import on_masked
from common.settings import InvalidSettings, settings
from common.telemetry import metric_catalogue as catalogue
from common.telemetry.metric_catalogue import Metric
from common.telemetry.metric_series import Counter, Gauge, Histogram
from common.telemetry.system_metrics import SystemCollector
from common.telemetry.trace_context import TraceContext
from common.version import VERSION

if TYPE_CHECKING:  # 10 ms of a cold start, for those that are asked for their metrics
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

Arguments = ParamSpec("Arguments")


def _guarded(
    method: Callable[Concatenate["MetricsCollector", Arguments], None],
) -> Callable[Concatenate["MetricsCollector", Arguments], None]:
    """For a method that works something out: what goes wrong there is counted too."""

    @functools.wraps(method)
    def guarded(self: "MetricsCollector", /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # a figure is never worth a request
            self.not_recorded(error)

    return guarded


class InProgress:
    """Counts a request as in progress, from entering to leaving."""

    __slots__ = ("_function", "_gauge")

    def __init__(self, gauge: Gauge, function: str) -> None:
        self._gauge = gauge
        self._function = function

    def __enter__(self) -> None:
        self._gauge.add((self._function,), 1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._gauge.add((self._function,), -1)


class Registrar(Protocol):
    """Where families of series are put: a registry of prometheus_client, or what waits for one."""

    def register(self, collector: "Collector", /) -> None: ...


class MetricsCollector:
    """Takes every figure of the product. Durations are in seconds; label values are bounded by the catalogue."""

    def __init__(self, registry: Registrar, trace_id: Callable[[], str | None]) -> None:
        self._trace_id = trace_id
        self._registry = registry
        self._errors = self._counter(catalogue.ERRORS)

        self._http_requests = self._counter(catalogue.HTTP_REQUESTS)
        self._http_duration = self._histogram(catalogue.HTTP_DURATION)
        self._http_in_progress = self._gauge(catalogue.HTTP_IN_PROGRESS)
        self._cold_starts = self._counter(catalogue.COLD_STARTS)
        self._limits = self._counter(catalogue.LIMITS)
        self._authentications = self._counter(catalogue.AUTHENTICATIONS)

        self._intents = self._counter(catalogue.INTENTS)
        self._intent_confidence = self._histogram(catalogue.INTENT_CONFIDENCE)
        self._routing_duration = self._histogram(catalogue.ROUTING_DURATION)
        self._retrieval_duration = self._histogram(catalogue.RETRIEVAL_DURATION)
        self._retrieval_passages = self._histogram(catalogue.RETRIEVAL_PASSAGES)
        self._critique_rounds = self._histogram(catalogue.CRITIQUE_ROUNDS)
        self._critique_score = self._histogram(catalogue.CRITIQUE_SCORE)
        self._critiques = self._counter(catalogue.CRITIQUES)
        self._agent_runs = self._counter(catalogue.AGENT_RUNS)
        self._agent_duration = self._histogram(catalogue.AGENT_DURATION)
        self._rejections = self._counter(catalogue.REJECTIONS)
        self._degraded = self._counter(catalogue.DEGRADED)

        self._model_calls = self._counter(catalogue.MODEL_CALLS)
        self._model_tokens = self._counter(catalogue.MODEL_TOKENS)
        self._model_cost = self._counter(catalogue.MODEL_COST)
        self._model_unpriced = self._counter(catalogue.MODEL_UNPRICED)
        self._budget_used = self._gauge(catalogue.BUDGET_USED)
        self._budget_decisions = self._counter(catalogue.BUDGET_DECISIONS)
        self._gen_ai_duration = self._histogram(catalogue.GEN_AI_DURATION)
        self._gen_ai_token_usage = self._histogram(catalogue.GEN_AI_TOKEN_USAGE)
        self._provider_errors = self._counter(catalogue.PROVIDER_ERRORS)
        self._breaker_state = self._gauge(catalogue.BREAKER_STATE)

        self._database_connections = self._gauge(catalogue.DATABASE_CONNECTIONS)
        self._database_query_duration = self._histogram(catalogue.DATABASE_QUERY_DURATION)
        self._database_errors = self._counter(catalogue.DATABASE_ERRORS)
        self._cache_requests = self._counter(catalogue.CACHE_REQUESTS)
        self._cache_operations = self._counter(catalogue.CACHE_OPERATIONS)
        self._cache_entries = self._gauge(catalogue.CACHE_ENTRIES)
        self._vector_query_duration = self._histogram(catalogue.VECTOR_QUERY_DURATION)
        self._knowledge_documents = self._gauge(catalogue.KNOWLEDGE_DOCUMENTS)
        self._knowledge_chunks = self._gauge(catalogue.KNOWLEDGE_CHUNKS)

        self._masked_spans = self._counter(catalogue.MASKED_SPANS)
        self._log_lines = self._counter(catalogue.LOG_LINES)
        self._log_failures = self._counter(catalogue.LOG_FAILURES)
        self._telemetry_sends = self._counter(catalogue.TELEMETRY_SENDS)
        self._telemetry_dropped = self._counter(catalogue.TELEMETRY_DROPPED)
        self._telemetry_send_duration = self._histogram(catalogue.TELEMETRY_SEND_DURATION)
        self._notices = self._counter(catalogue.NOTICES)
        self._component_up = self._gauge(catalogue.COMPONENT_UP)
        self._health_check_duration = self._histogram(catalogue.HEALTH_CHECK_DURATION)
        self._gauge(catalogue.BUILD_INFO).set((VERSION,), 1)

    # HTTP

    def record_http_request(self, function: str, route: str, method: str, status: int, seconds: float) -> None:
        """One answered request; `route` is the template, never the address."""
        self._http_requests.inc((function, route, method, status))
        self._http_duration.observe((function, route), seconds)

    def in_progress(self, function: str) -> InProgress:
        """A context manager, entered once: the request counts as in progress inside it."""
        return InProgress(self._http_in_progress, function)

    def record_cold_start(self, function: str) -> None:
        """The first request of an instance."""
        self._cold_starts.inc((function,))

    def record_limit(self, limit: str, outcome: str) -> None:
        """`limit`: principal, address, credentials, concurrency or allowance. `outcome`: refused; unavailable, where
        it could not be checked and the request was refused; alone, where this instance counted for itself."""
        self._limits.inc((limit, outcome))

    def record_authentication(self, method: str, outcome: str) -> None:
        """`method`: key, token, anonymous, none (nothing came along) or unreadable. `outcome`: accepted, refused,
        limited (not looked at) or unavailable (it cannot be checked)."""
        self._authentications.inc((method, outcome))

    # Agents

    def record_intent_classification(self, intent: str | None, confidence: float, seconds: float | None = None) -> None:
        """One routed message; `intent` is None where the router was unsure, `confidence` is 0 to 1."""
        label = (intent if intent is not None else "none",)
        self._intents.inc(label)
        self._intent_confidence.observe(label, confidence)
        if seconds is not None:
            self._routing_duration.observe((), seconds)

    def record_retrieval(self, seconds: float, passages: int) -> None:
        """One retrieval and how many passages it found."""
        self._retrieval_duration.observe((), seconds)
        self._retrieval_passages.observe((), passages)

    @_guarded
    def record_critique(self, rounds: int, score: float, accepted: bool) -> None:
        """The end of planning and critique for one answer; `score` is 0 to 1."""
        self._critique_rounds.observe((), rounds)
        self._critique_score.observe((), score)
        self._critiques.inc(("accepted" if accepted else "rejected",))

    def record_agent_run(self, agent: str, outcome: str, seconds: float) -> None:
        """`outcome`: answered, abstained, asked_back, failed, or cancelled by a client that went away."""
        self._agent_runs.inc((agent, outcome))
        self._agent_duration.observe((agent,), seconds)

    def record_rejection(self, check: str) -> None:
        """`check`: quote or statement (left out of a draft), withheld (an answer), injection or document_injection
        (signs in a message, or in what was retrieved for it)."""
        self._rejections.inc((check,))

    def record_degraded(self, part: str) -> None:
        """An answer was given without `part`."""
        self._degraded.inc((part,))

    # Models

    def set_budget_used(self, budget: str, ratio: float) -> None:
        """`budget` is its id, or "cloud"; `ratio` is 1 where all of it is spent."""
        self._budget_used.set((budget,), ratio)

    def record_budget_decision(self, outcome: str) -> None:
        """What budgets left a question or a paid call: open, soft (the cheap lane), hard (no paid call) or refused."""
        self._budget_decisions.inc((outcome,))

    @_guarded
    def record_model_call(
        self,
        *,
        model: str,
        provider: str,
        operation: str,
        seconds: float,
        outcome: str,
        error_type: str | None = None,
        response_model: str | None = None,
        input_tokens: int = 0,
        cached_tokens: int = 0,
        output_tokens: int = 0,
        thinking_tokens: int = 0,
        cost_usd: Decimal | None = None,
    ) -> None:
        """One call to a model. `cached_tokens` are a part of `input_tokens`; `thinking_tokens` come on top of
        `output_tokens`. `cost_usd` None is a cost that is not known, and is never counted as 0."""
        asked = (operation, provider, model)
        self._model_calls.inc((model, outcome))
        self._gen_ai_duration.observe((*asked, error_type or ""), seconds)
        tokens = {"input": input_tokens, "cached": cached_tokens, "output": output_tokens, "thinking": thinking_tokens}
        for kind, count in tokens.items():
            if count:
                self._model_tokens.inc((model, kind), count)
        answered = response_model or ""
        if input_tokens:
            self._gen_ai_token_usage.observe((*asked, "input", answered), input_tokens)
        if output_tokens or thinking_tokens:
            self._gen_ai_token_usage.observe((*asked, "output", answered), output_tokens + thinking_tokens)
        if cost_usd is not None:
            self._model_cost.inc((model,), cost_usd)
        elif input_tokens or output_tokens or thinking_tokens:
            self._model_unpriced.inc((model,))

    def record_provider_error(self, provider: str, error_type: str) -> None:
        self._provider_errors.inc((provider, error_type))

    @_guarded
    def set_breaker_state(self, breaker: str, state: str) -> None:
        """`state`: closed, open or half_open."""
        for one in BREAKER_STATES:
            self._breaker_state.set((breaker, one), 1 if one == state else 0)

    # Database, caches, vector index

    def record_database_query(self, operation: str, seconds: float) -> None:
        """`operation`: select, insert, update, delete or other."""
        self._database_query_duration.observe((operation,), seconds)

    def set_database_connections(self, in_use: int, idle: int) -> None:
        self._database_connections.set(("in_use",), in_use)
        self._database_connections.set(("idle",), idle)

    def record_database_error(self, error_type: str) -> None:
        self._database_errors.inc((error_type,))

    @_guarded
    def record_cache_request(self, cache: str, hit: bool) -> None:
        self._cache_requests.inc((cache, "hit" if hit else "miss"))

    def record_cache_operation(self, cache: str, operation: str) -> None:
        """`operation`: get, set, evict or clear."""
        self._cache_operations.inc((cache, operation))

    def set_cache_entries(self, cache: str, n: int) -> None:
        self._cache_entries.set((cache,), n)

    def record_vector_query(self, seconds: float) -> None:
        self._vector_query_duration.observe((), seconds)

    def set_knowledge(self, documents: int, chunks: int) -> None:
        self._knowledge_documents.set((), documents)
        self._knowledge_chunks.set((), chunks)

    # Errors, masks, logs, telemetry itself

    def record_error(self, component: str, error_type: str) -> None:
        """`error_type` is the exception's class name, never its message."""
        self._errors.inc((component, error_type))

    def record_masked(self, kind: str) -> None:
        """`kind`: a PiiKind."""
        self._masked_spans.inc((kind,))

    def record_log_line(self, severity: str) -> None:
        """`severity`: as Cloud Logging names it."""
        self._log_lines.inc((severity,))

    def record_log_failure(self, reason: str) -> None:
        self._log_failures.inc((reason,))

    def record_telemetry_send(self, channel: str, outcome: str, seconds: float) -> None:
        """`channel`: traces, metrics or logs. `outcome`: ok, failed or timed_out."""
        self._telemetry_sends.inc((channel, outcome))
        self._telemetry_send_duration.observe((channel,), seconds)

    def record_telemetry_dropped(self, channel: str, n: int = 1) -> None:
        self._telemetry_dropped.inc((channel,), n)

    def record_notice(self, channel: str, outcome: str) -> None:
        """`channel`: log, email or webhook. `outcome`: sent or failed, after all attempts of one call."""
        self._notices.inc((channel, outcome))

    @_guarded
    def set_component(self, component: str, up: bool, seconds: float) -> None:
        """What one health check found, and how long it took."""
        self._component_up.set((component,), 1 if up else 0)
        self._health_check_duration.observe((component,), seconds)

    def _counter(self, metric: Metric) -> Counter:
        counter = Counter(metric, self.not_recorded)
        self._registry.register(counter)
        return counter

    def _gauge(self, metric: Metric) -> Gauge:
        gauge = Gauge(metric, self.not_recorded)
        self._registry.register(gauge)
        return gauge

    def _histogram(self, metric: Metric) -> Histogram:
        histogram = Histogram(metric, self.not_recorded, self._trace_id)
        self._registry.register(histogram)
        return histogram

    def not_recorded(self, error: Exception) -> None:
        """Something was told that is no figure."""
        try:
            series = self._errors.find(("metrics", type(error).__name__))
        except Exception:  # noqa: BLE001  # not through `inc`, which would come here again, and again
            series = self._errors.rest()
        series.add(1)


BREAKER_STATES = ("closed", "open", "half_open")


@once
def _current_trace() -> Callable[[], TraceContext | None]:
    from common.tracing import current  # tracing counts its own sends here, so it is imported at its first use

    return current


def kept_trace_id() -> str | None:
    """The trace id of what runs now, where its trace is kept; an exemplar without a trace behind it helps nobody."""
    context = _current_trace()()
    return context.trace_id if context is not None and context.sampled else None


class _Waiting:
    """The collectors of this process, until somebody wants to read them."""

    def __init__(self) -> None:
        self.collectors: list[Collector] = [SystemCollector()]

    def register(self, collector: "Collector", /) -> None:
        self.collectors.append(collector)


_waiting = _Waiting()
metrics_collector = MetricsCollector(_waiting, kept_trace_id)
on_masked(metrics_collector.record_masked)


@once
def _registry() -> "CollectorRegistry":
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    for collector in _waiting.collectors:
        registry.register(collector)
    return registry


if TYPE_CHECKING:
    REGISTRY: CollectorRegistry
else:

    def __getattr__(name):
        """`REGISTRY`, made when it is first asked for."""
        if name == "REGISTRY":
            return _registry()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def exposition(accept: str | None) -> tuple[bytes, str]:
    """All metrics as they are now, and the content type: OpenMetrics where `accept` likes it at least as well as the
    older text format, which knows no exemplars."""
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    from prometheus_client.openmetrics import exposition as openmetrics

    if _prefers_openmetrics(accept or ""):
        body: bytes = openmetrics.generate_latest(_registry())  # type: ignore[no-untyped-call]
        return body, openmetrics.CONTENT_TYPE_LATEST
    text: bytes = generate_latest(_registry())
    return text, CONTENT_TYPE_PLAIN_0_0_4


_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def _prefers_openmetrics(accept: str) -> bool:
    quality = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for wanted in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in wanted.split(";"))
        if media_type in quality:
            found = [_QUALITY.fullmatch(parameter) for parameter in parameters]
            weight = min((float(match[1]) for match in found if match), default=1.0)
            quality[media_type] = max(quality[media_type], weight)
    return quality["application/openmetrics-text"] > 0 and (
        quality["application/openmetrics-text"] >= quality["text/plain"]
    )


def push_due() -> None:
    """At the end of a call: push to the Pushgateway, where one is set and a push is due. Never raises."""
    try:
        if settings().pushgateway_url is None:
            return
    except InvalidSettings:  # each request says so already
        return
    from common.telemetry.metrics_push import pusher  # for those that push; and it needs this module's registry

    delivery = pusher()
    if delivery is not None:
        delivery.after_call()
