"""THE table of metrics: each name with its type, help, labels, and what bounds them. Alert rules, dashboards and the
registry go by it.

Names follow Prometheus: base unit, then `_total` for counters; those of model calls follow the semantic conventions of
OpenTelemetry for generative AI, v1.41.0, written as Prometheus writes them.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from common.recognizers.span import PiiKind

OTHER = "other"

HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STEP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
SEND_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)  # 0.85 accepts a draft
# Source of the next two: OpenTelemetry semantic conventions, generative AI metrics, v1.41.0.
GEN_AI_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
GEN_AI_TOKENS = tuple(float(4**power) for power in range(14))  # 1 to 67,108,864


@dataclass(frozen=True, slots=True)
class Label:
    """One label. Its values are `values`; without them they come from outside, and the first `most` distinct ones
    that look like a name, and not like personal data, are kept. Everything else is "other". An optional label may be
    empty, which is as no label."""

    name: str
    values: frozenset[str] | None = None
    most: int = 40
    is_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One family of series. `buckets` are upper bounds, in the metric's unit. `exemplars`: whether an observation
    keeps the id of its trace."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    exemplars: bool = False


def _counter(name: str, help_text: str, *labels: Label) -> Metric:
    return Metric(name=name, kind="counter", help=help_text, labels=labels)


def _gauge(name: str, help_text: str, *labels: Label) -> Metric:
    return Metric(name=name, kind="gauge", help=help_text, labels=labels)


def _histogram(
    name: str, help_text: str, *labels: Label, buckets: tuple[float, ...], exemplars: bool = False
) -> Metric:
    return Metric(name=name, kind="histogram", help=help_text, labels=labels, buckets=buckets, exemplars=exemplars)


def _one_of(name: str, *values: str) -> Label:
    return Label(name, frozenset(values))


FUNCTION = Label("function")
ROUTE = Label("route")
METHOD = _one_of("method", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "_OTHER")
STATUS = _one_of("status", *(str(status.value) for status in HTTPStatus), "499")  # nginx's: the caller went away
INTENT = Label("intent")
AGENT = Label("agent")
MODEL = Label("model")
COMPONENT = Label("component")
ERROR_TYPE = Label("error_type", most=60)
BREAKER = Label("breaker")
CACHE = Label("cache")
CHANNEL = _one_of("channel", "traces", "metrics", "logs")
GEN_AI = (Label("gen_ai_operation_name"), Label("gen_ai_provider_name"), Label("gen_ai_request_model"))

HTTP_REQUESTS = _counter("assistant_http_requests_total", "Requests answered.", FUNCTION, ROUTE, METHOD, STATUS)
HTTP_DURATION = _histogram(
    "assistant_http_request_duration_seconds", "Time from a request's arrival to its whole answer, in seconds.",
    FUNCTION, ROUTE, buckets=HTTP_SECONDS, exemplars=True,
)  # fmt: skip
HTTP_IN_PROGRESS = _gauge("assistant_http_requests_in_progress", "Requests being answered now.", FUNCTION)

INTENTS = _counter("assistant_intents_total", "Messages that the router gave an intent; none where unsure.", INTENT)
INTENT_CONFIDENCE = _histogram(
    "assistant_intent_confidence", "Confidence of the router in its intent, 0 to 1.", INTENT, buckets=SHARES
)
ROUTING_DURATION = _histogram(
    "assistant_routing_duration_seconds", "Time to route a message, in seconds.", buckets=SHORT_SECONDS
)
RETRIEVAL_DURATION = _histogram(
    "assistant_retrieval_duration_seconds", "Time to retrieve passages for a message, in seconds.", buckets=STEP_SECONDS
)
RETRIEVAL_PASSAGES = _histogram(
    "assistant_retrieval_passages", "Passages retrieved for a message.",
    buckets=(0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 50.0),
)  # fmt: skip
CRITIQUE_ROUNDS = _histogram(
    "assistant_critique_rounds", "Rounds of draft and critique for an answer.", buckets=(1.0, 2.0, 3.0, 4.0, 5.0)
)
CRITIQUE_SCORE = _histogram("assistant_critique_score", "Last score of the critique, 0 to 1.", buckets=SHARES)
CRITIQUES = _counter(
    "assistant_critiques_total", "Drafts that the critique judged in the end.",
    _one_of("outcome", "accepted", "rejected"),
)  # fmt: skip
AGENT_RUNS = _counter(
    "assistant_agent_runs_total", "Messages that an agent dealt with.",
    AGENT, _one_of("outcome", "answered", "abstained", "asked_back", "failed", "cancelled"),
)  # fmt: skip
AGENT_DURATION = _histogram(
    "assistant_agent_duration_seconds", "Time an agent took for a message, in seconds.", AGENT, buckets=HTTP_SECONDS
)
REJECTIONS = _counter(
    "assistant_rejections_total", "Sentences, quotes or messages that a check turned down.",
    _one_of("check", "quote", "statement", "withheld", "injection", "document_injection"),
)  # fmt: skip
LIMITS = _counter(
    "assistant_limits_total",
    "Requests that a limit refused; that were refused since limits could not be checked (unavailable), or were "
    "counted in this instance alone.",
    _one_of("limit", "principal", "address", "credentials", "concurrency", "allowance"),
    _one_of("outcome", "refused", "unavailable", "alone"),
)  # fmt: skip
AUTHENTICATIONS = _counter(
    "assistant_authentications_total",
    "Requests that had to say who they come from, by what they came with.",
    _one_of("method", "key", "token", "anonymous", "none", "unreadable"),
    # limited: after too many refusals, and not looked at; unavailable: what is needed to check it is away
    _one_of("outcome", "accepted", "refused", "limited", "unavailable"),
)  # fmt: skip
DEGRADED = _counter("assistant_degraded_total", "Answers given without a part that was not to be had.", Label("part"))

MODEL_CALLS = _counter("assistant_model_calls_total", "Calls to a model.", MODEL, Label("outcome", most=20))
MODEL_TOKENS = _counter(
    "assistant_model_tokens_total",
    "Tokens as the model counts them: cached is a part of input; thinking comes on top of output.",
    MODEL, _one_of("type", "input", "cached", "output", "thinking"),
)  # fmt: skip
MODEL_COST = _counter("assistant_model_cost_usd_total", "Known cost of model calls, in US dollars.", MODEL)
MODEL_UNPRICED = _counter(
    "assistant_model_unpriced_calls_total", "Model calls that used tokens and whose cost is not known.", MODEL
)
BUDGET_USED = _gauge(
    "assistant_budget_used_ratio",
    "Part of a budget that is spent, as it was last looked at: of one that each has, for whom it was looked at last.",
    Label("budget"),
)  # fmt: skip
BUDGET_DECISIONS = _counter(
    "assistant_budget_decisions_total",
    "Questions by what the budgets left them at their begin, and paid calls that a budget kept from being made.",
    # open: all; soft: the cheap lane; hard: no paid call; refused: nothing
    _one_of("outcome", "open", "soft", "hard", "refused"),
)  # fmt: skip
GEN_AI_DURATION = _histogram(
    "gen_ai_client_operation_duration_seconds", "Time of one call to a model, in seconds.",
    *GEN_AI, Label("error_type", most=60, is_optional=True), buckets=GEN_AI_SECONDS, exemplars=True,
)  # fmt: skip
GEN_AI_TOKEN_USAGE = _histogram(
    "gen_ai_client_token_usage", "Tokens of one call to a model: input with cached ones, output with thinking.",
    *GEN_AI, _one_of("gen_ai_token_type", "input", "output"), Label("gen_ai_response_model", is_optional=True),
    buckets=GEN_AI_TOKENS, exemplars=True,
)  # fmt: skip
PROVIDER_ERRORS = _counter(
    "assistant_provider_errors_total", "Calls to a provider that failed.", Label("provider"), ERROR_TYPE
)
BREAKER_STATE = _gauge(
    "assistant_breaker_state", "1 for the state that a circuit breaker is in, 0 for the others.",
    BREAKER, _one_of("state", "closed", "open", "half_open"),
)  # fmt: skip

DATABASE_CONNECTIONS = _gauge(
    "assistant_database_connections", "Connections in the pool.", _one_of("state", "in_use", "idle")
)
DATABASE_QUERY_DURATION = _histogram(
    "assistant_database_query_duration_seconds", "Time of one statement in the database, in seconds.",
    _one_of("operation", "select", "insert", "update", "delete"), buckets=SHORT_SECONDS,
)  # fmt: skip
DATABASE_ERRORS = _counter("assistant_database_errors_total", "Statements that failed.", ERROR_TYPE)
CACHE_REQUESTS = _counter(
    "assistant_cache_requests_total", "Look-ups in a cache.", CACHE, _one_of("outcome", "hit", "miss")
)
CACHE_OPERATIONS = _counter(
    "assistant_cache_operations_total", "Operations on a cache.",
    CACHE, _one_of("operation", "get", "set", "evict"),
)  # fmt: skip
CACHE_ENTRIES = _gauge("assistant_cache_entries", "Entries in a cache.", CACHE)
VECTOR_QUERY_DURATION = _histogram(
    "assistant_vector_query_duration_seconds", "Time of one query to the vector index, in seconds.",
    buckets=STEP_SECONDS,
)  # fmt: skip
KNOWLEDGE_DOCUMENTS = _gauge("assistant_knowledge_documents", "Documents in the knowledge base.")
KNOWLEDGE_CHUNKS = _gauge("assistant_knowledge_chunks", "Chunks in the knowledge base.")

ERRORS = _counter("assistant_errors_total", "Errors by the component that met them.", COMPONENT, ERROR_TYPE)
MASKED_SPANS = _counter(
    "assistant_masked_spans_total", "Pieces of personal data and secrets that were masked.",
    _one_of("kind", *(kind.value for kind in PiiKind)),
)  # fmt: skip
LOG_LINES = _counter(
    "assistant_log_lines_total", "Log lines written.",
    _one_of("severity", "DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"),
)  # fmt: skip
LOG_FAILURES = _counter("assistant_log_failures_total", "Log lines that could not be written.", Label("reason"))
TELEMETRY_SENDS = _counter(
    "assistant_telemetry_sends_total", "Attempts to send telemetry away.",
    CHANNEL, _one_of("outcome", "ok", "failed", "timed_out"),
)  # fmt: skip
TELEMETRY_DROPPED = _counter(
    "assistant_telemetry_dropped_total", "Pieces of telemetry that were given up.",
    # attributes: of spans, not on the allow-list; traceparent: a caller's header that was malformed
    _one_of("channel", "traces", "metrics", "logs", "attributes", "traceparent"),
)  # fmt: skip
TELEMETRY_SEND_DURATION = _histogram(
    "assistant_telemetry_send_duration_seconds", "Time of one attempt to send telemetry, in seconds.",
    CHANNEL, buckets=SEND_SECONDS,
)  # fmt: skip

NOTICES = _counter(
    "assistant_notices_total", "Notices to people that a channel took in the end, or did not take.",
    _one_of("channel", "log", "email", "webhook"), _one_of("outcome", "sent", "failed"),
)  # fmt: skip

COMPONENT_UP = _gauge("assistant_component_up", "1 where the last health check found the component well.", COMPONENT)
HEALTH_CHECK_DURATION = _histogram(
    "assistant_health_check_duration_seconds", "Time of one health check, in seconds.",
    COMPONENT, buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 0.25, 1.0, 5.0),
)  # fmt: skip
MEMORY = _gauge(
    "assistant_memory_bytes",
    "Memory in use, in bytes: of the container, without file cache that can go; without a limit of its own, "
    "of the process.",
)
MEMORY_LIMIT = _gauge("assistant_memory_limit_bytes", "Memory that may be used, in bytes: the container's, or all.")
CPU_SECONDS = _counter("assistant_cpu_seconds_total", "CPU time of the process, user and system, in seconds.")
START_TIME = _gauge("assistant_start_time_seconds", "When the process started, in seconds since 1970 UTC.")
COLD_STARTS = _counter("assistant_cold_starts_total", "First requests of an instance.", FUNCTION)
BUILD_INFO = _gauge("assistant_build_info", "1, with the version of the product.", Label("version"))

CATALOGUE: tuple[Metric, ...] = (
    HTTP_REQUESTS, HTTP_DURATION, HTTP_IN_PROGRESS, LIMITS, AUTHENTICATIONS,
    INTENTS, INTENT_CONFIDENCE, ROUTING_DURATION, RETRIEVAL_DURATION, RETRIEVAL_PASSAGES,
    CRITIQUE_ROUNDS, CRITIQUE_SCORE, CRITIQUES, AGENT_RUNS, AGENT_DURATION, REJECTIONS, DEGRADED,
    MODEL_CALLS, MODEL_TOKENS, MODEL_COST, MODEL_UNPRICED, GEN_AI_DURATION, GEN_AI_TOKEN_USAGE,
    BUDGET_USED, BUDGET_DECISIONS, PROVIDER_ERRORS, BREAKER_STATE,
    DATABASE_CONNECTIONS, DATABASE_QUERY_DURATION, DATABASE_ERRORS,
    CACHE_REQUESTS, CACHE_OPERATIONS, CACHE_ENTRIES,
    VECTOR_QUERY_DURATION, KNOWLEDGE_DOCUMENTS, KNOWLEDGE_CHUNKS,
    ERRORS, MASKED_SPANS, LOG_LINES, LOG_FAILURES, TELEMETRY_SENDS, TELEMETRY_DROPPED, TELEMETRY_SEND_DURATION,
    NOTICES, COMPONENT_UP, HEALTH_CHECK_DURATION, MEMORY, MEMORY_LIMIT, CPU_SECONDS, START_TIME, COLD_STARTS,
    BUILD_INFO,
)  # fmt: skip
