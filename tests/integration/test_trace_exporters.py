"""Spans through the real exporters to receivers on this machine: well, refused, hanging, and when a process ends."""

import os
import re
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from common import tracing
from common.metrics import REGISTRY
from common.settings import load_settings, settings
from common.telemetry import semconv
from common.telemetry.trace_exporters import cloud_trace
from common.telemetry.trace_pipeline import Pipeline
from common.tracing import flush_due, server_span, setup_tracing, span, use_pipeline
from tests import servers
from tests.trace_servers import CloudTrace, OtlpGrpc, OtlpHttp, Receiver

ROOT = Path(__file__).parents[2]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=canary-state"}
CANARIES = ("canary-state", "jane.roe@example.com", "078-05-1120", "4111 1111 1111 1111")
GRPC_PERMISSION_DENIED, GRPC_UNAVAILABLE = 7, 14
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COV")}

Otlp = OtlpHttp | OtlpGrpc


@pytest.fixture(params=[OtlpHttp, OtlpGrpc])
def otlp(request: pytest.FixtureRequest) -> Iterator[Otlp]:
    with request.param() as receiver:
        yield receiver


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets tracing up by environment variables, until the end of the test."""

    def set_up(**environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        setup_tracing()

    yield set_up
    tracing.shutdown()
    monkeypatch.undo()
    settings.cache_clear()


def query() -> None:
    """One request, with personal data wherever a mistake could put it."""
    mail, number, card = CANARIES[1:]
    try:
        with server_span(CALLER, "POST /api/query", {semconv.HTTP_ROUTE: "/api/query", "http.url": f"/?q={mail}"}):
            attributes: dict[str, str | int] = {
                semconv.GEN_AI_REQUEST_MODEL: "gemini-3.8-flash", semconv.GEN_AI_USAGE_INPUT_TOKENS: 12,
                semconv.GEN_AI_INPUT_MESSAGES: f"My card is {card}", semconv.OUTCOME: f"for {mail}",
            }  # fmt: skip
            with span("chat gemini-3.8-flash", kind="client", attributes=attributes) as call:
                call.set("note", f"SSN {number}")
                raise ValueError(f"{mail} {number} {card}")
    except ValueError:
        flush_due()


def sends(outcome: str) -> float:
    labels = {"channel": "traces", "outcome": outcome}
    return REGISTRY.get_sample_value("assistant_telemetry_sends_total", labels) or 0.0


def dropped() -> float:
    return REGISTRY.get_sample_value("assistant_telemetry_dropped_total", {"channel": "traces"}) or 0.0


def assert_arrived(receiver: Receiver) -> None:
    receiver.wait_for(2)
    spans = receiver.by_name()
    request, call = spans["POST /api/query"], spans["chat gemini-3.8-flash"]
    assert (request.trace_id, request.parent_id, request.kind) == (TRACE, SPAN, "server")
    assert (call.trace_id, call.parent_id, call.kind) == (TRACE, request.span_id, "client")
    assert call.attributes[semconv.GEN_AI_REQUEST_MODEL] == "gemini-3.8-flash"
    assert call.attributes[semconv.GEN_AI_USAGE_INPUT_TOKENS] == 12
    assert call.attributes[semconv.OUTCOME] == "for [EMAIL]"
    assert call.attributes[semconv.ERROR_TYPE] == "ValueError"
    assert (call.has_failed, call.status_message, call.events) == (True, "", 0)
    route = request.attributes.get(semconv.HTTP_ROUTE) or request.attributes["/http/route"]  # Cloud Trace's own name
    assert (request.has_failed, route) == (True, "/api/query")
    assert 0 <= call.duration_ms <= request.duration_ms
    for body in receiver.bodies:
        for canary in CANARIES:
            assert canary.encode() not in body


def test_a_query_arrives_by_otlp_and_nothing_personal_with_it(otlp: Otlp, set_up: Callable[..., None]) -> None:
    set_up(TRACE_EXPORTER="otlp", OTLP_ENDPOINT=otlp.url, SERVICE_NAME="desk")
    before = sends("ok")
    query()
    assert_arrived(otlp)
    for received in otlp.spans:
        assert received.resource["service.name"] == "desk"
    tracing.shutdown()
    assert sends("ok") > before


def test_a_path_in_the_endpoint_goes_before_that_of_the_protocol(set_up: Callable[..., None]) -> None:
    with OtlpHttp() as otlp:
        set_up(TRACE_EXPORTER="otlp", OTLP_ENDPOINT=f"{otlp.url}/v1/traces/")
        query()
        assert_arrived(otlp)


def test_a_jaeger_is_reached_by_its_host_alone(set_up: Callable[..., None]) -> None:
    with OtlpGrpc("127.0.0.7:4317") as jaeger:
        set_up(JAEGER_HOST="127.0.0.7")
        query()
        assert_arrived(jaeger)


def test_a_query_arrives_at_cloud_trace_and_nothing_personal_with_it() -> None:
    with CloudTrace() as google, google.client() as client:
        use_pipeline(Pipeline(load_settings(), "desk", lambda _settings: cloud_trace("p", client, 2.0)))
        query()
        tracing.shutdown()
        assert_arrived(google)
        assert b"projects/p/traces/" in google.bodies[0]


@pytest.mark.parametrize(
    ("kind", "status"),
    [(OtlpHttp, 400), (OtlpHttp, 503), (OtlpGrpc, GRPC_PERMISSION_DENIED), (OtlpGrpc, GRPC_UNAVAILABLE)],
)
def test_what_a_receiver_refuses_is_counted(kind: type[Otlp], status: int, set_up: Callable[..., None]) -> None:
    with kind() as receiver:
        receiver.status = status
        set_up(TRACE_EXPORTER="otlp", OTLP_ENDPOINT=receiver.url, TELEMETRY_TIMEOUT_SECONDS="0.3")
        failed, lost = sends("failed") + sends("timed_out"), dropped()
        query()
        receiver.wait_for_calls(1)
        tracing.shutdown()
    assert sends("failed") + sends("timed_out") == failed + 1
    assert dropped() == lost + 2


@pytest.mark.parametrize("status", [GRPC_PERMISSION_DENIED, GRPC_UNAVAILABLE])
def test_what_cloud_trace_refuses_is_counted_and_given_up_in_time(status: int) -> None:
    failed, lost = sends("failed") + sends("timed_out"), dropped()
    with CloudTrace() as google, google.client() as client:
        google.status = status
        use_pipeline(Pipeline(load_settings(), "desk", lambda _settings: cloud_trace("p", client, 0.3)))
        query()
        begun = time.monotonic()
        tracing.shutdown()
        seconds = time.monotonic() - begun
        assert google.calls == 1 if status == GRPC_PERMISSION_DENIED else google.calls > 1
    assert sends("failed") + sends("timed_out") == failed + 1
    assert dropped() == lost + 2
    assert seconds < 2.0


def test_a_receiver_that_is_not_there_is_counted(set_up: Callable[..., None]) -> None:
    set_up(
        TRACE_EXPORTER="otlp", TELEMETRY_TIMEOUT_SECONDS="0.3", OTLP_ENDPOINT=f"http://127.0.0.1:{servers.free_port()}"
    )
    failed = sends("failed") + sends("timed_out")
    query()
    tracing.shutdown()
    assert sends("failed") + sends("timed_out") == failed + 1


def call_times_ms(count: int) -> list[float]:
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        query()
        times.append((time.perf_counter() - begun) * 1000)
    return times


def test_a_receiver_that_hangs_costs_a_request_nothing(otlp: Otlp, set_up: Callable[..., None]) -> None:
    set_up(TRACE_EXPORTER="otlp", OTLP_ENDPOINT=otlp.url, TELEMETRY_TIMEOUT_SECONDS="0.5")
    well = call_times_ms(300)
    otlp.hang()
    calls = otlp.calls
    late = sends("timed_out")
    assert tracing._pipeline is not None
    tracing._pipeline.delivery.wake()
    query()
    otlp.wait_for_calls(calls + 1)  # from here on the delivery's thread is stuck
    hanging = call_times_ms(300)
    tracing.shutdown()
    assert sends("timed_out") > late  # more than one where the calls themselves took longer than one send may
    # The bound of one send is 500 ms; what is left is the noise of a busy machine.
    assert statistics.median(hanging) < statistics.median(well) + 2.0


def test_on_cloud_run_a_receiver_that_hangs_is_waited_for_once(otlp: Otlp, set_up: Callable[..., None]) -> None:
    otlp.hang()
    set_up(
        TRACE_EXPORTER="otlp", OTLP_ENDPOINT=otlp.url, TELEMETRY_TIMEOUT_SECONDS="0.3", TELEMETRY_WAIT_MS="50",
        K_SERVICE="query",
    )  # fmt: skip
    first, *rest = call_times_ms(50)
    assert 50 <= first < 300
    assert statistics.median(rest) < 10


def test_on_cloud_run_a_request_is_over_when_its_spans_have_left(otlp: Otlp, set_up: Callable[..., None]) -> None:
    set_up(TRACE_EXPORTER="otlp", OTLP_ENDPOINT=otlp.url, TELEMETRY_WAIT_MS="1000", K_SERVICE="query")
    with span("warm"):
        pass
    flush_due()
    assert [received.name for received in otlp.spans] == ["warm"]


# Processes


def run(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        cwd=ROOT, env={**MEASURED, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


WORK = """
    from common.logging import setup_logging
    from common.tracing import setup_tracing, span
    setup_logging(json_logs=True)
    setup_tracing()
    with span("last"):
        pass
    """


def test_a_process_that_ends_sends_its_last_spans(otlp: Otlp) -> None:
    done = run(WORK, TRACE_EXPORTER="otlp", OTLP_ENDPOINT=otlp.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [received.name for received in otlp.spans] == ["last"]


def test_a_process_ends_in_time_and_in_order_though_the_receiver_hangs(otlp: Otlp) -> None:
    otlp.hang()
    begun = time.monotonic()
    done = run(WORK, TRACE_EXPORTER="otlp", OTLP_ENDPOINT=otlp.url, TELEMETRY_TIMEOUT_SECONDS="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - begun < 10


def test_without_credentials_one_line_says_that_cloud_trace_cannot_be_used(tmp_path: Path) -> None:
    script = """
        from common.logging import setup_logging
        from common.tracing import setup_tracing, span, _pipeline
        setup_logging(json_logs=True)
        setup_tracing()
        from common import tracing
        for number in range(3):
            with span("work"):
                pass
            tracing._pipeline.delivery.wake()
        """
    done = run(
        script, TRACE_EXPORTER="cloud-trace", GOOGLE_CLOUD_PROJECT="p", NO_GCE_CHECK="true", HOME=str(tmp_path),
        TELEMETRY_TIMEOUT_SECONDS="20",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if '"component":"common.' in line]  # google.auth has one too
    assert len(lines) == 1
    assert "tracing.exporter_unusable" in lines[0]
    assert "DefaultCredentialsError" in lines[0]


def test_a_receiver_that_is_away_is_logged_about_not_with_each_send(tmp_path: Path) -> None:
    script = """
        from common.logging import setup_logging
        from common.tracing import setup_tracing, span
        setup_logging(json_logs=True)
        setup_tracing()
        from common import tracing
        delivery = tracing._pipeline.delivery
        for number in range(4):
            with span("work"):
                pass
            delivery.wake()
            with delivery._changed:
                delivery._changed.wait_for(lambda: delivery._done >= delivery._asked, 10)
        """
    port = servers.free_port()
    done = run(script, TRACE_EXPORTER="otlp", OTLP_ENDPOINT=f"grpc://127.0.0.1:{port}", TELEMETRY_TIMEOUT_SECONDS="0.3")
    assert (done.returncode, done.stderr) == (0, "")
    ours, theirs = "telemetry.failed", "opentelemetry.exporter"
    assert [line.count(ours) for line in done.stdout.splitlines()].count(1) == 1
    assert len(done.stdout.splitlines()) == 2, done.stdout  # of eight attempts
    assert theirs in done.stdout


def test_an_endpoint_that_is_none_is_said_once() -> None:
    done = run(WORK, TRACE_EXPORTER="otlp", OTLP_ENDPOINT="localhost:4318")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert "UnusableEndpoint" in line


FUNCTION = """
    import os
    import flask
    from common.logging import setup_logging
    from common.tracing import flush_due, outgoing_headers, server_span, setup_tracing, span

    setup_logging(json_logs=True)
    setup_tracing(service_name="of somebody's own")

    def serve(request: flask.Request) -> flask.Response:
        with server_span(request.headers, "GET /"), span(request.path):
            answer = flask.jsonify(pid=os.getpid(), **outgoing_headers())
        flush_due()
        return answer
    """


@pytest.mark.parametrize("runs_on", ["anywhere", "cloud run"])
def test_spans_of_a_functions_last_request_arrive_after_its_server_was_told_to_end(
    otlp: Otlp, tmp_path: Path, runs_on: str
) -> None:
    """Under the framework's own server, gunicorn, which imports in its master and forks the worker."""
    (tmp_path / "main.py").write_text(textwrap.dedent(FUNCTION))
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).parent / "functions-framework"), "--target", "serve", "--host", "127.0.0.1"]
    command += ["--source", str(tmp_path / "main.py"), "--port", str(port)]
    environment = {"PYTHONPATH": str(ROOT), "TRACE_EXPORTER": "otlp", "OTLP_ENDPOINT": otlp.url, "THREADS": "4"}
    if runs_on == "cloud run":
        environment |= {"K_SERVICE": "query", "K_REVISION": "query-00001-abc"}
    with servers.running(
        command, is_ready=lambda: servers.answers(url), log=tmp_path / "log", env=environment
    ) as process:
        otlp.wait_for(2) if runs_on == "cloud run" else None
        answer = httpx.get(f"{url}/last", headers=CALLER).json()
        assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", answer["traceparent"])
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    otlp.wait_for(4)
    last = otlp.by_name()["/last"]
    assert (last.trace_id, f"-{answer['pid']}-" in str(last.resource["service.instance.id"])) == (TRACE, True)
    assert answer["pid"] != process.pid
    assert last.resource["service.name"] == "of somebody's own"
    assert ("faas.name" in last.resource) == (runs_on == "cloud run")
