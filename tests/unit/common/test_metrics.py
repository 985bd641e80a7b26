"""The collector takes what the product's parts tell it, and the exposition gives it out in both text formats."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from math import nan

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from common import tracing
from common.metrics import REGISTRY, MetricsCollector, exposition, metrics_collector
from common.pii import PiiSpan, mask
from common.telemetry.metric_catalogue import CATALOGUE
from common.version import VERSION
from tests import servers

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
# As Prometheus 2.42 sends it.
PROMETHEUS_ACCEPTS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


class Told:
    """A collector of its own, and what it was told."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.collector = MetricsCollector(self.registry, lambda: TRACE_ID)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def series(self, name: str) -> list[dict[str, str]]:
        return [sample.labels for family in self.registry.collect() for sample in family.samples if sample.name == name]


@pytest.fixture
def told() -> Told:
    return Told()


def openmetrics_families(body: bytes) -> list[Family]:
    return list(parse_openmetrics(body.decode()))  # type: ignore[no-untyped-call]


def record_everything(collector: MetricsCollector) -> None:
    """Call each method once, as its owner does."""
    collector.record_http_request("query", "/api/query", "POST", 200, 0.012)
    collector.record_cold_start("query")
    collector.record_limit("principal", "refused")
    collector.record_authentication("key", "accepted")
    collector.record_intent_classification("question", 0.95, 0.002)
    collector.record_retrieval(0.03, 5)
    collector.record_critique(2, 0.9, True)
    collector.record_agent_run("knowledge", "answered", 0.3)
    collector.record_rejection("quote")
    collector.record_degraded("people_search")
    record_model_call(collector, cost_usd=Decimal("0.0015"))
    collector.set_budget_used("desk", 0.8)
    collector.record_budget_decision("soft")
    collector.record_provider_error("gcp.gemini", "ModelTimeout")
    collector.set_breaker_state("chat", "open")
    collector.record_database_query("select", 0.001)
    collector.set_database_connections(in_use=1, idle=4)
    collector.record_database_error("OperationalError")
    collector.record_cache_request("retrieval", hit=True)
    collector.record_cache_operation("retrieval", "set")
    collector.set_cache_entries("retrieval", 17)
    collector.record_vector_query(0.004)
    collector.set_knowledge(documents=12, chunks=340)
    collector.record_error("documents", "UnreadableDocument")
    collector.record_masked("EMAIL")
    collector.record_log_line("WARNING")
    collector.record_log_failure("closed")
    collector.record_telemetry_send("traces", "timed_out", 2.0)
    collector.record_telemetry_dropped("logs", 3)
    collector.record_notice("email", "sent")
    collector.set_component("database", up=True, seconds=0.003)


def record_model_call(
    collector: MetricsCollector, *, cost_usd: Decimal | None, error_type: str | None = None, tokens: int = 100
) -> None:
    collector.record_model_call(
        model="gemini-3.8-flash", provider="gcp.gemini", operation="chat", seconds=0.7, outcome="ok",
        error_type=error_type, response_model="gemini-3.8-flash-001",
        input_tokens=tokens, cached_tokens=tokens // 2, output_tokens=tokens // 5, thinking_tokens=tokens // 10,
        cost_usd=cost_usd,
    )  # fmt: skip


def test_a_request_is_counted_and_timed_by_its_template(told: Told) -> None:
    told.collector.record_http_request("documents", "/api/documents/{id}", "GET", 404, 0.012)
    labels = {"function": "documents", "route": "/api/documents/{id}"}
    assert told.value("assistant_http_requests_total", **labels, method="GET", status="404") == 1
    assert told.value("assistant_http_request_duration_seconds_sum", **labels) == 0.012
    assert told.value("assistant_http_request_duration_seconds_bucket", **labels, le="0.01") == 0
    assert told.value("assistant_http_request_duration_seconds_bucket", **labels, le="0.025") == 1


def test_a_request_counts_as_in_progress_until_it_is_left_also_by_an_error(told: Told) -> None:
    name = "assistant_http_requests_in_progress"

    def failing() -> None:
        with told.collector.in_progress("query"):
            assert told.value(name, function="query") == 2
            raise ValueError

    with told.collector.in_progress("query"):
        with contextlib.suppress(ValueError):
            failing()
        assert told.value(name, function="query") == 1
    assert told.value(name, function="query") == 0


def test_an_unsure_router_is_counted_as_none(told: Told) -> None:
    told.collector.record_intent_classification(None, 0.31)
    assert told.value("assistant_intents_total", intent="none") == 1
    assert told.value("assistant_intent_confidence_sum", intent="none") == 0.31
    assert told.value("assistant_routing_duration_seconds_count") == 0  # nobody told how long it took


def test_a_critique_is_accepted_or_rejected(told: Told) -> None:
    told.collector.record_critique(1, 0.9, accepted=True)
    told.collector.record_critique(2, 0.4, accepted=False)
    assert told.value("assistant_critiques_total", outcome="accepted") == 1
    assert told.value("assistant_critiques_total", outcome="rejected") == 1
    assert told.value("assistant_critique_rounds_sum") == 3
    assert told.value("assistant_critique_score_bucket", le="0.85") == 1


def test_tokens_are_counted_by_type_and_seen_whole_by_direction(told: Told) -> None:
    record_model_call(told.collector, cost_usd=Decimal("0.0015"))
    by_type = {
        labels["type"]: told.value("assistant_model_tokens_total", **labels)
        for labels in told.series("assistant_model_tokens_total")
    }
    assert by_type == {"input": 100, "cached": 50, "output": 20, "thinking": 10}
    asked = {
        "gen_ai_operation_name": "chat", "gen_ai_provider_name": "gcp.gemini",
        "gen_ai_request_model": "gemini-3.8-flash", "gen_ai_response_model": "gemini-3.8-flash-001",
    }  # fmt: skip
    usage = "gen_ai_client_token_usage_sum"
    assert told.value(usage, **asked, gen_ai_token_type="input") == 100  # cached ones are a part of it
    assert told.value(usage, **asked, gen_ai_token_type="output") == 30  # thinking included


def test_a_cost_is_added_up_in_dollars(told: Told) -> None:
    for _ in range(3):
        record_model_call(told.collector, cost_usd=Decimal("0.0015"))
    assert told.value("assistant_model_cost_usd_total", model="gemini-3.8-flash") == pytest.approx(0.0045)
    assert told.series("assistant_model_unpriced_calls_total") == []


def test_an_unknown_cost_is_not_zero_but_counted_apart(told: Told) -> None:
    record_model_call(told.collector, cost_usd=None)
    assert told.series("assistant_model_cost_usd_total") == []
    assert told.value("assistant_model_unpriced_calls_total", model="gemini-3.8-flash") == 1


def test_a_call_that_used_no_tokens_has_no_tokens_and_no_unknown_cost(told: Told) -> None:
    record_model_call(told.collector, cost_usd=None, error_type="ModelTimeout", tokens=0)
    for name in (
        "assistant_model_unpriced_calls_total",
        "assistant_model_tokens_total",
        "gen_ai_client_token_usage_sum",
    ):
        assert told.series(name) == []
    (labels,) = told.series("gen_ai_client_operation_duration_seconds_sum")
    assert labels["error_type"] == "ModelTimeout"


def test_a_breaker_is_in_one_state_at_a_time(told: Told) -> None:
    for state in ("closed", "open", "half_open"):
        told.collector.set_breaker_state("chat", state)
        states = told.series("assistant_breaker_state")
        on = [labels["state"] for labels in states if told.value("assistant_breaker_state", **labels) == 1]
        assert (len(states), on) == (3, [state])


def test_gauges_say_what_was_set_last(told: Told) -> None:
    record_everything(told.collector)
    told.collector.set_component("database", up=False, seconds=0.08)
    told.collector.set_knowledge(documents=0, chunks=0)
    assert told.value("assistant_component_up", component="database") == 0
    assert told.value("assistant_knowledge_documents") == 0
    assert told.value("assistant_database_connections", state="idle") == 4
    assert told.value("assistant_cache_entries", cache="retrieval") == 17
    assert told.value("assistant_build_info", version=VERSION) == 1


def test_every_metric_but_the_systems_gets_a_value_from_the_collector(told: Told) -> None:
    record_everything(told.collector)
    record_model_call(told.collector, cost_usd=None)
    with told.collector.in_progress("query"):
        families = {family.name for family in told.registry.collect() if any(one.value for one in family.samples)}
    of_the_system = {"memory_bytes", "memory_limit_bytes", "cpu_seconds", "start_time_seconds"}
    assert families == {one.name.removesuffix("_total") for one in CATALOGUE} - {
        f"assistant_{name}" for name in of_the_system
    }


class Broken:
    def __getattribute__(self, name: str) -> object:
        raise RuntimeError("078-05-1120")

    def __hash__(self) -> int:
        raise RuntimeError("078-05-1120")

    def __bool__(self) -> bool:
        return True


METHODS: list[tuple[str, int]] = [
    ("record_http_request", 5), ("record_cold_start", 1), ("record_limit", 2), ("record_authentication", 2),
    ("record_intent_classification", 3), ("record_retrieval", 2),
    ("record_critique", 3), ("record_agent_run", 3), ("record_rejection", 1), ("record_degraded", 1),
    ("record_provider_error", 2), ("set_breaker_state", 2), ("record_database_query", 2),
    ("set_database_connections", 2), ("record_database_error", 1), ("record_cache_request", 2),
    ("record_cache_operation", 2), ("set_cache_entries", 2), ("record_vector_query", 1), ("set_knowledge", 2),
    ("record_error", 2), ("record_masked", 1), ("record_log_line", 1), ("record_log_failure", 1),
    ("record_telemetry_send", 3), ("record_telemetry_dropped", 2), ("record_notice", 2), ("set_component", 3),
]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"078-05-1120",
        "078-05-1120\n",
        "\ud800",
        nan,
        -1,
        [],
        {},
        pytest.param(10**400, id="10**400"),
        pytest.param(Broken(), id="broken"),
    ],
)
@pytest.mark.parametrize(("method", "arguments"), METHODS, ids=[name for name, _ in METHODS])
def test_no_method_raises_and_nothing_odd_gets_out(told: Told, method: str, arguments: int, value: object) -> None:
    record: Callable[..., None] = getattr(told.collector, method)
    record(*[value] * arguments)
    assert "078-05" not in repr(list(told.registry.collect()))


@pytest.mark.parametrize(
    "value",
    [None, b"x", "\ud800", nan, -1, [], pytest.param(10**400, id="10**400"), pytest.param(Broken(), id="broken")],
)
def test_a_model_call_that_makes_no_sense_does_not_raise(told: Told, value: object) -> None:
    names = "model provider operation seconds outcome error_type response_model".split()
    names += "input_tokens cached_tokens output_tokens thinking_tokens cost_usd".split()
    record: Callable[..., None] = told.collector.record_model_call
    record(**dict.fromkeys(names, value))
    with told.collector.in_progress(value):  # type: ignore[arg-type]  # that is the point
        pass


def test_what_is_masked_anywhere_is_counted_by_its_kind() -> None:
    before = REGISTRY.get_sample_value("assistant_masked_spans_total", {"kind": "SSN"})
    assert before is not None
    mask("SSN 078-05-1120")
    assert REGISTRY.get_sample_value("assistant_masked_spans_total", {"kind": "SSN"}) == before + 1


def test_what_could_not_be_recorded_is_counted(told: Told) -> None:
    told.collector.record_retrieval(-1.0, 5)
    told.collector.record_error("x", None)  # type: ignore[arg-type]  # that is the point
    assert told.value("assistant_errors_total", component="metrics", error_type="ValueError") == 1
    assert told.value("assistant_errors_total", component="metrics", error_type="NotALabel") == 1
    assert told.value("assistant_errors_total", component="x", error_type="other") == 1


def test_a_failure_of_the_recording_itself_is_counted_once_and_goes_no_further(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(text: str) -> list[PiiSpan]:
        raise TypeError(text)

    monkeypatch.setattr("common.telemetry.metric_series.detect", failing)
    told.collector.record_degraded("people_search")
    assert told.value("assistant_errors_total", component="other", error_type="other") == 1


class TestExposition:
    @pytest.fixture(autouse=True)
    def recorded(self) -> None:
        record_everything(metrics_collector)

    def test_prometheus_gets_openmetrics_as_it_prefers(self) -> None:
        body, content_type = exposition(PROMETHEUS_ACCEPTS)
        assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert body.endswith(b"# EOF\n")
        families = {family.name: family for family in openmetrics_families(body)}
        assert set(families) == {metric.name.removesuffix("_total") for metric in CATALOGUE}
        assert not any(sample.name.endswith("_created") for one in families.values() for sample in one.samples)

    @pytest.mark.parametrize("accept", [None, "", "*/*", "text/plain", "text/html", "nonsense;;;,=,q", "," * 1000])
    def test_everybody_else_gets_the_older_text(self, accept: str | None) -> None:
        body, content_type = exposition(accept)
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"
        families = {family.name for family in parse_text(body.decode())}
        assert families == {metric.name.removesuffix("_total") for metric in CATALOGUE}

    @pytest.mark.parametrize(
        ("accept", "is_openmetrics"),
        [
            ("application/openmetrics-text", True),
            ("application/openmetrics-text; version=99; charset=utf-8", True),
            ("Application/OpenMetrics-Text", True),
            ("application/openmetrics-text;q=0", False),
            ("application/openmetrics-text;q=0.000, text/plain;q=0", False),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.9", False),
            ("text/plain, application/openmetrics-text", True),
            ("application/openmetrics-text;q=0.5;escaping=allow-utf-8, text/plain;q=0.3", True),
            ("application/openmetrics-text;q=much, text/plain;q=0.3", True),
        ],
    )
    def test_the_format_goes_by_what_is_liked_best(self, accept: str, is_openmetrics: bool) -> None:
        assert exposition(accept)[1].startswith("application/openmetrics-text") == is_openmetrics

    @pytest.mark.servers
    def test_promtool_finds_nothing_to_criticise(self) -> None:
        command = [servers.promtool(), "check", "metrics"]
        done = subprocess.run(command, input=exposition(None)[0], capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


class TestExemplars:
    def exemplar(self, seconds: float) -> dict[str, str] | None:
        """What an observation of `seconds`, a bucket of its own, kept."""
        metrics_collector.record_http_request("exemplars", "/", "GET", 200, seconds)
        for family in openmetrics_families(exposition("application/openmetrics-text")[0]):
            for sample in family.samples:
                if (
                    sample.exemplar
                    and sample.labels.get("function") == "exemplars"
                    and sample.exemplar.value == seconds
                ):
                    return dict(sample.exemplar.labels)
        return None

    def test_an_observation_within_a_kept_trace_carries_its_id(self) -> None:
        with tracing.server_span({"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}, "GET /", {}):
            assert self.exemplar(0.03) == {"trace_id": TRACE_ID}

    def test_an_observation_outside_any_trace_carries_none(self) -> None:
        assert self.exemplar(0.3) is None

    def test_an_observation_within_a_trace_that_is_not_kept_carries_none(self) -> None:
        with tracing.server_span({"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-00"}, "GET /", {}):
            assert self.exemplar(3.0) is None


def test_importing_metrics_imports_nothing_heavy() -> None:
    code = "import sys, common.metrics; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"sqlalchemy", "numpy", "opentelemetry", "pydantic", "chromadb", "redis", "structlog"}
    assert not heavy & set(done.stdout.split())
