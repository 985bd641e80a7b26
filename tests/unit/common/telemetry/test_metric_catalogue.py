"""The table of metrics is what alert rules and dashboards were written against: it changes here on purpose only."""

import itertools

import pytest

from common.metrics import REGISTRY, exposition
from common.telemetry.metric_catalogue import CATALOGUE, GEN_AI_SECONDS, GEN_AI_TOKENS, Metric

# Each name with its type and its labels; a label from outside has the number of values it may have.
TABLE = """
assistant_http_requests_total counter function(40) route(40) method status
assistant_http_request_duration_seconds histogram function(40) route(40)
assistant_http_requests_in_progress gauge function(40)
assistant_limits_total counter limit outcome
assistant_authentications_total counter method outcome
assistant_intents_total counter intent(40)
assistant_intent_confidence histogram intent(40)
assistant_routing_duration_seconds histogram
assistant_retrieval_duration_seconds histogram
assistant_retrieval_passages histogram
assistant_critique_rounds histogram
assistant_critique_score histogram
assistant_critiques_total counter outcome
assistant_agent_runs_total counter agent(40) outcome
assistant_agent_duration_seconds histogram agent(40)
assistant_rejections_total counter check
assistant_degraded_total counter part(40)
assistant_model_calls_total counter model(40) outcome(20)
assistant_model_tokens_total counter model(40) type
assistant_model_cost_usd_total counter model(40)
assistant_model_unpriced_calls_total counter model(40)
gen_ai_client_operation_duration_seconds histogram gen_ai_operation_name(40) gen_ai_provider_name(40) \
gen_ai_request_model(40) error_type(60)
gen_ai_client_token_usage histogram gen_ai_operation_name(40) gen_ai_provider_name(40) gen_ai_request_model(40) \
gen_ai_token_type gen_ai_response_model(40)
assistant_budget_used_ratio gauge budget(40)
assistant_budget_decisions_total counter outcome
assistant_provider_errors_total counter provider(40) error_type(60)
assistant_breaker_state gauge breaker(40) state
assistant_database_connections gauge state
assistant_database_query_duration_seconds histogram operation
assistant_database_errors_total counter error_type(60)
assistant_cache_requests_total counter cache(40) outcome
assistant_cache_operations_total counter cache(40) operation
assistant_cache_entries gauge cache(40)
assistant_vector_query_duration_seconds histogram
assistant_knowledge_documents gauge
assistant_knowledge_chunks gauge
assistant_errors_total counter component(40) error_type(60)
assistant_masked_spans_total counter kind
assistant_log_lines_total counter severity
assistant_log_failures_total counter reason(40)
assistant_telemetry_sends_total counter channel outcome
assistant_telemetry_dropped_total counter channel
assistant_telemetry_send_duration_seconds histogram channel
assistant_notices_total counter channel outcome
assistant_component_up gauge component(40)
assistant_health_check_duration_seconds histogram component(40)
assistant_memory_bytes gauge
assistant_memory_limit_bytes gauge
assistant_cpu_seconds_total counter
assistant_start_time_seconds gauge
assistant_cold_starts_total counter function(40)
assistant_build_info gauge version(40)
"""

VALUES = {
    ("assistant_http_requests_total", "method"): "DELETE GET HEAD OPTIONS PATCH POST PUT _OTHER",
    ("assistant_limits_total", "limit"): "address allowance concurrency credentials principal",
    ("assistant_limits_total", "outcome"): "alone refused unavailable",
    ("assistant_authentications_total", "method"): "anonymous key none token unreadable",
    ("assistant_authentications_total", "outcome"): "accepted limited refused unavailable",
    ("assistant_critiques_total", "outcome"): "accepted rejected",
    ("assistant_agent_runs_total", "outcome"): "abstained answered asked_back cancelled failed",
    ("assistant_rejections_total", "check"): "document_injection injection quote statement withheld",
    ("assistant_model_tokens_total", "type"): "cached input output thinking",
    ("assistant_budget_decisions_total", "outcome"): "hard open refused soft",
    ("gen_ai_client_token_usage", "gen_ai_token_type"): "input output",
    ("assistant_breaker_state", "state"): "closed half_open open",
    ("assistant_database_connections", "state"): "idle in_use",
    ("assistant_database_query_duration_seconds", "operation"): "delete insert select update",
    ("assistant_cache_requests_total", "outcome"): "hit miss",
    ("assistant_cache_operations_total", "operation"): "evict get set",
    ("assistant_masked_spans_total", "kind"): "CREDIT_CARD EMAIL IBAN IP PHONE SECRET SSN US_BANK",
    ("assistant_log_lines_total", "severity"): "ALERT CRITICAL DEBUG DEFAULT EMERGENCY ERROR INFO NOTICE WARNING",
    ("assistant_telemetry_sends_total", "channel"): "logs metrics traces",
    ("assistant_telemetry_sends_total", "outcome"): "failed ok timed_out",
    ("assistant_telemetry_dropped_total", "channel"): "attributes logs metrics traceparent traces",
    ("assistant_telemetry_send_duration_seconds", "channel"): "logs metrics traces",
    ("assistant_notices_total", "channel"): "email log webhook",
    ("assistant_notices_total", "outcome"): "failed sent",
}


def _row(metric: Metric) -> str:
    labels = [label.name + ("" if label.values is not None else f"({label.most})") for label in metric.labels]
    return " ".join([metric.name, metric.kind, *labels])


def test_the_names_types_labels_and_their_bounds_are_these() -> None:
    assert "\n".join(map(_row, CATALOGUE)) == TABLE.strip()


def test_labels_that_we_set_ourselves_have_these_values() -> None:
    closed = {
        (metric.name, label.name): " ".join(sorted(label.values))
        for metric in CATALOGUE
        for label in metric.labels
        if label.values is not None and label.name != "status"
    }
    assert closed == VALUES


def test_a_status_is_one_that_http_has() -> None:
    (status,) = (label for label in CATALOGUE[0].labels if label.name == "status")
    assert status.values is not None
    assert {"200", "404", "503"} < status.values
    assert "999" not in status.values


def test_every_metric_of_the_registry_is_in_the_catalogue_and_the_other_way_round() -> None:
    exposed = [line.split(" ")[2:] for line in exposition(None)[0].decode().splitlines() if line.startswith("# TYPE")]
    assert sorted(exposed) == sorted([metric.name, metric.kind] for metric in CATALOGUE)
    assert {one.name for one in REGISTRY.collect()} == {metric.name.removesuffix("_total") for metric in CATALOGUE}


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_names_and_help_say_the_unit(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.help.endswith(".")
    for unit, words in (("_seconds", "in seconds"), ("_bytes", "in bytes"), ("_usd", "in US dollars")):
        assert (unit in metric.name) == (words in metric.help)


@pytest.mark.parametrize("metric", [one for one in CATALOGUE if one.kind == "histogram"], ids=lambda one: one.name)
def test_a_histogram_has_rising_buckets(metric: Metric) -> None:
    assert 5 <= len(metric.buckets) <= 14
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_the_buckets_of_model_calls_are_those_of_the_semantic_conventions() -> None:
    assert GEN_AI_SECONDS[0] == 0.01
    assert all(later == pytest.approx(2 * sooner) for sooner, later in itertools.pairwise(GEN_AI_SECONDS))
    assert (len(GEN_AI_SECONDS), GEN_AI_SECONDS[-1]) == (14, 81.92)
    assert (GEN_AI_TOKENS[0], GEN_AI_TOKENS[1], GEN_AI_TOKENS[-1]) == (1, 4, 67108864)
