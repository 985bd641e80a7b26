"""Which exporter the settings ask for. What each of them sends is tested in tests/integration."""

import logging

import pytest

from common.settings import load_settings
from common.telemetry.trace_exporters import TALKATIVE, Occasionally, UnusableEndpoint, create_exporter, is_wanted


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, False),
        ({"trace_exporter": "console"}, True),
        ({"trace_exporter": "otlp"}, True),
        ({"trace_exporter": "cloud-trace"}, True),
        ({"jaeger_host": "jaeger"}, True),
    ],
)
def test_spans_go_somewhere_only_where_a_setting_says_so(settings: dict[str, object], wanted: bool) -> None:
    assert is_wanted(load_settings(**settings)) == wanted


@pytest.mark.parametrize(
    ("settings", "module", "endpoint"),
    [
        ({}, "http.trace_exporter", "http://127.0.0.1:4318/v1/traces"),
        ({"otlp_endpoint": "https://tempo:443/otlp/"}, "http.trace_exporter", "https://tempo:443/otlp/v1/traces"),
        ({"otlp_endpoint": "grpc://tempo:4317"}, "grpc.trace_exporter", "tempo:4317"),
        ({"otlp_endpoint": "grpcs://tempo:4317"}, "grpc.trace_exporter", "tempo:4317"),
        ({"jaeger_host": "jaeger"}, "grpc.trace_exporter", "jaeger:4317"),
    ],
)
def test_an_otlp_endpoint_says_its_protocol_by_its_scheme(
    settings: dict[str, object], module: str, endpoint: str
) -> None:
    exporter = create_exporter(load_settings(trace_exporter="otlp", telemetry_timeout_seconds=1.5, **settings))
    try:
        assert type(exporter).__module__.endswith(module)
        assert vars(exporter)["_endpoint"] == endpoint
        timed = vars(exporter).get("_client") if module.startswith("http") else exporter
        assert vars(timed)["_timeout"] == 1.5
    finally:
        exporter.shutdown()


@pytest.mark.parametrize("scheme", ["grpc", "grpcs"])
def test_tls_is_for_grpcs_alone(scheme: str) -> None:
    exporter = create_exporter(load_settings(trace_exporter="otlp", otlp_endpoint=f"{scheme}://127.0.0.1:4317"))
    assert vars(exporter)["_insecure"] == (scheme == "grpc")
    exporter.shutdown()


@pytest.mark.parametrize("endpoint", ["localhost:4318", "tempo", "file:///etc/passwd", "ftp://tempo", "http://"])
def test_an_endpoint_of_another_kind_is_refused(endpoint: str) -> None:
    with pytest.raises(UnusableEndpoint):
        create_exporter(load_settings(trace_exporter="otlp", otlp_endpoint=endpoint))


def test_the_console_is_an_exporter_too() -> None:
    assert type(create_exporter(load_settings(trace_exporter="console"))).__name__ == "ConsoleSpanExporter"


def test_exporters_say_at_most_a_line_a_minute() -> None:
    now = 5.0
    occasionally = Occasionally(lambda: now)
    record = logging.makeLogRecord({})
    assert [occasionally.filter(record), occasionally.filter(record)] == [True, False]
    now += 60.0
    assert [occasionally.filter(record), occasionally.filter(record)] == [True, False]


def test_that_holds_for_each_exporter_however_often_one_is_made() -> None:
    for _ in range(2):
        create_exporter(load_settings(trace_exporter="console"))
    for name in TALKATIVE:
        assert [type(one) for one in logging.getLogger(name).filters].count(Occasionally) == 1


@pytest.mark.parametrize("name", [name for name in TALKATIVE if "cloud" not in name])
def test_the_loggers_named_are_those_that_the_exporters_use(name: str) -> None:
    from opentelemetry.exporter.otlp.proto.grpc import exporter as over_grpc
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as over_http

    assert name in {over_grpc.logger.name, over_http._logger.name}
