"""Lines to the logging API, by the real client to a local server that speaks its protocol."""

import json
import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it ships no types
import pytest
from google.logging.type import log_severity_pb2  # type: ignore[import-untyped]  # as above

from common.telemetry import cloud_logging, log_counts
from common.telemetry.cloud_logging import ApiOutput
from common.telemetry.log_lines import Line, Location
from common.telemetry.trace_context import TraceContext
from tests.cloud_logging_server import CloudLoggingServer
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
WAIT = 10


@pytest.fixture
def server() -> Iterator[CloudLoggingServer]:
    with CloudLoggingServer() as running:
        yield running


@pytest.fixture
def given_back() -> list[str]:
    """What went to the fallback."""
    return []


def output_to(server: CloudLoggingServer, given_back: list[str], *, timeout_seconds: float = 2.0) -> ApiOutput:
    return ApiOutput(
        "p", "loan check", fallback=given_back.append, timeout_seconds=timeout_seconds, wait_seconds=0.05,
        connect=server.client,
    )  # fmt: skip


def line(message: str = "request.finished", **fields: object) -> Line:
    location = Location("/app/main.py", 12, "answer")
    return Line(logging.WARNING, message, 1_700_000_000.25, "query", fields, None, location, None)


def write_many(output: ApiOutput, count: int) -> None:
    for _ in range(count):
        output.write(line())


def test_a_line_arrives_with_all_that_has_a_place_of_its_own(server: CloudLoggingServer, given_back: list[str]) -> None:
    output = output_to(server, given_back)
    traced = line(
        method="POST", route="/api/query", status=200, duration_ms=12.5, bytes_in=10, bytes_out=20, function="query",
        degraded=["model"], score=0.5,
    )._replace(trace=TraceContext("ab" * 16, "cd" * 8, True))  # fmt: skip
    output.write(traced)
    output.end()
    (entry,) = server.entries
    (request,) = server.requests
    assert (request.log_name, request.resource.type) == ("projects/p/logs/loan%20check", "global")
    assert (entry.severity, entry.timestamp.timestamp()) == (log_severity_pb2.WARNING, 1_700_000_000.25)
    assert (entry.trace, entry.span_id, entry.trace_sampled) == (f"projects/p/traces/{'ab' * 16}", "cd" * 8, True)
    assert (entry.http_request.request_method, entry.http_request.request_url) == ("POST", "/api/query")
    assert (entry.http_request.status, entry.http_request.response_size) == (200, 20)
    assert entry.http_request.latency.nanos == 12_500_000
    assert dict(entry.labels) == {"component": "query", "function": "query"}
    assert (entry.source_location.file, entry.source_location.line) == ("/app/main.py", 12)
    payload = dict(entry.json_payload)
    assert (payload["message"], payload["score"], list(payload["degraded"])) == ("request.finished", 0.5, ["model"])
    assert given_back == []


def test_lines_leave_by_themselves_and_in_order(server: CloudLoggingServer, given_back: list[str]) -> None:
    output = output_to(server, given_back)
    for number in range(1_200):
        output.write(line(count=number))
    output.after_call()
    entries = server.wait_for(1_200)
    assert [entry.json_payload["count"] for entry in entries] == list(range(1_200))
    assert len(server.requests) >= 3
    output.end()


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED])
def test_what_the_api_refuses_goes_to_the_fallback(
    server: CloudLoggingServer, given_back: list[str], status: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []
    monkeypatch.setattr(log_counts, "failed", failures.append)
    server.status = status
    output = output_to(server, given_back)
    for number in range(700):
        output.write(line(count=number))
    output.end()
    assert [json.loads(text)["count"] for text in given_back] == list(range(700))
    assert failures == ["api"] * 700
    assert server.entries == []


def test_it_is_tried_again_once_the_api_is_back(server: CloudLoggingServer, given_back: list[str]) -> None:
    server.status = grpc.StatusCode.UNAVAILABLE
    output = output_to(server, given_back)
    output.write(line("first"))
    output.after_call()
    deadline = time.monotonic() + WAIT
    while not given_back and time.monotonic() < deadline:
        server.wait_for(1, 0.05)
    server.status = None
    output.write(line("second"))
    output.end()
    assert [entry.json_payload["message"] for entry in server.entries] == ["second"]
    assert len(given_back) == 1


def test_an_api_that_hangs_costs_the_caller_nothing_and_the_end_little(
    server: CloudLoggingServer, given_back: list[str]
) -> None:
    server.hangs = True
    output = output_to(server, given_back, timeout_seconds=0.5)
    started = time.perf_counter()
    for _ in range(100):
        output.write(line())
        output.after_call()
    assert time.perf_counter() - started < 0.5
    output.end()
    assert time.perf_counter() - started < 5
    assert len(given_back) == 100


def test_a_line_that_the_api_cannot_hold_keeps_nobody_else_back(
    server: CloudLoggingServer, given_back: list[str]
) -> None:
    output = output_to(server, given_back)
    output.write(line("first"))
    output.write(line("odd", httpRequest=1))
    output.write(line("last"))
    output.end()
    assert [entry.json_payload["message"] for entry in server.entries] == ["first", "last"]
    assert [json.loads(text)["message"] for text in given_back] == ["odd"]


def test_a_full_queue_refuses_at_once(server: CloudLoggingServer, given_back: list[str]) -> None:
    server.hangs = True
    output = output_to(server, given_back, timeout_seconds=0.5)
    for _ in range(cloud_logging.MAX_WAITING):
        output.write(line())
    with pytest.raises(BufferError):  # one batch has left the queue at most
        write_many(output, cloud_logging.MAX_BATCH + 1)
    output.end()


def test_the_queue_is_bounded_by_what_its_lines_hold(
    server: CloudLoggingServer, given_back: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_logging, "MAX_WAITING_CHARACTERS", 10_000)
    output = output_to(server, given_back)
    long = line(reason="x" * 4_000)
    output.write(long)
    output.write(long)
    with pytest.raises(BufferError):
        output.write(long)
    output._send()
    output.write(long)  # there is room again
    output.end()
    assert (len(server.entries), given_back) == (3, [])


def test_lines_go_on_after_somebody_closed_all_handlers_and_are_refused_after_the_end(
    server: CloudLoggingServer, given_back: list[str]
) -> None:
    output = output_to(server, given_back)
    output.write(line("before"))
    output.after_call()
    server.wait_for(1)
    output.close()
    output.write(line("after"))
    output.after_call()
    assert [entry.json_payload["message"] for entry in server.wait_for(2)] == ["before", "after"]
    output.end()
    with pytest.raises(BufferError):
        output.write(line("late"))
    output.end()
    assert given_back == []


def test_no_thread_runs_before_a_call_ended_a_batch_is_full_or_the_process_has_started(
    server: CloudLoggingServer, given_back: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_running(output: ApiOutput) -> bool:
        return output._delivery._thread is not None

    by_call, by_batch = output_to(server, given_back), output_to(server, given_back)
    write_many(by_call, cloud_logging.MAX_BATCH - 1)
    write_many(by_batch, cloud_logging.MAX_BATCH - 1)
    assert not is_running(by_call)
    by_call.after_call()
    by_batch.write(line())
    monkeypatch.setattr(cloud_logging, "START_SECONDS", 0.0)
    has_started, has_forked = output_to(server, given_back), output_to(server, given_back)
    has_started.write(line())
    monkeypatch.setattr(cloud_logging, "_has_forked", True)
    has_forked.write(line())
    outputs = (by_call, by_batch, has_started, has_forked)
    assert [is_running(output) for output in outputs] == [True, True, True, False]
    for output in outputs:
        output.end()
    assert (len(server.entries), given_back) == (cloud_logging.MAX_BATCH * 2 + 1, [])


def test_without_credentials_lines_go_to_the_fallback(
    given_back: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    output = ApiOutput("p", "x", fallback=given_back.append, timeout_seconds=10, wait_seconds=0)
    output.write(line())
    output._delivery.wake()
    output.end()
    assert len(given_back) == 1


def test_a_fallback_that_fails_is_counted(server: CloudLoggingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[str] = []
    monkeypatch.setattr(log_counts, "failed", failures.append)

    def broken(text: str) -> None:
        raise OSError

    server.status = grpc.StatusCode.UNAVAILABLE
    output = ApiOutput("p", "x", fallback=broken, timeout_seconds=2, wait_seconds=0, connect=server.client)
    output.write(line())
    output.end()
    assert failures == ["api", "lost"]


def test_a_forked_process_leaves_the_lines_of_its_parent_to_it(
    server: CloudLoggingServer, given_back: list[str]
) -> None:
    output = output_to(server, given_back)
    output.write(line("of the parent"))
    output._leaving.append("on the wire of the parent")
    output._forget()
    output.write(line("of the child"))
    output.end()
    assert given_back == []
    assert [entry.json_payload["message"] for entry in server.entries] == ["of the child"]


FORKING = """
import os
from common.telemetry import cloud_logging
from tests.cloud_logging_server import client
cloud_logging._connect = lambda: client({target!r})
from common.logging import get_logger, setup_logging
from common.telemetry.log_capture import installed
setup_logging(log_level="INFO")
get_logger("x").info("of.the_parent")
installed().handler._outputs[0]._send()  # the parent has a channel of its own
get_logger("x").info("of.the_parent_later")
child = os.fork()
if child == 0:
    get_logger("x").info("of.the_child")
else:
    assert os.waitpid(child, 0)[1] == 0
"""

IMPORTING = """
import os, sys, threading
from common.telemetry import cloud_logging
def connect():
    print(os.getpid() == master, file=sys.stderr)
    from tests.cloud_logging_server import client  # gRPC is not imported before
    return client({target!r})
cloud_logging._connect = connect
from common.logging import get_logger, setup_logging
master = os.getpid()
setup_logging(log_level="INFO")
get_logger("x").info("of.the_import")
assert threading.active_count() == 1 and "grpc" not in sys.modules
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0 and cloud_logging._has_forked
else:
    assert not cloud_logging._has_forked
"""

CONFIGURING = """
import logging.config
from common.telemetry import cloud_logging
from tests.cloud_logging_server import client
cloud_logging._connect = lambda: client({target!r})
from common.logging import flush_due, get_logger, setup_logging
setup_logging(log_level="INFO")
get_logger("x").info("first")
flush_due()
for _ in range(2):
    logging.config.dictConfig({{"version": 1, "disable_existing_loggers": False, "root": {{"level": "INFO"}}}})
    get_logger("x").info("later")
"""

SCRIPT = """
import sys, time
from common.telemetry import cloud_logging
from tests.cloud_logging_server import client
cloud_logging._connect = lambda: client({target!r})
from common.logging import get_logger, setup_logging, flush_due
setup_logging(log_level="INFO")
import logging
started = time.perf_counter()
for number in range(50):
    get_logger("x").info("some.event", reason="078-05-1120", count=number)
    logging.getLogger("y").warning("for jane.roe@example.com")
    flush_due()
print("took", time.perf_counter() - started, file=sys.stderr)
"""


def run(target: str, script: str = SCRIPT) -> "tuple[subprocess.CompletedProcess[str], float]":
    """A process that logs to the API, 100 lines if nothing else is said, and how long it ran in seconds."""
    settings = {"LOG_TO": "api", "GOOGLE_CLOUD_PROJECT": "p", "TELEMETRY_TIMEOUT_SECONDS": "1", "PYTHONPATH": str(ROOT)}
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COVERAGE")}
    command = [sys.executable, "-c", textwrap.dedent(script.format(target=target))]
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=kept | settings, capture_output=True, text=True, timeout=60, check=True
    )
    return done, time.perf_counter() - started


def test_a_whole_process_sends_its_lines_masked_before_it_ends(server: CloudLoggingServer) -> None:
    done, _ = run(server.target)
    assert len(server.entries) == 100
    assert {str(entry.json_payload["message"]) for entry in server.entries} == {"some.event", "for [EMAIL]"}
    assert "078-05" not in str(server.requests)
    assert done.stdout == ""


@pytest.mark.parametrize("fault", ["refuses", "hangs", "not there"])
def test_a_process_ends_soon_and_loses_nothing_while_the_api_is_away(server: CloudLoggingServer, fault: str) -> None:
    server.hangs = fault == "hangs"
    server.status = grpc.StatusCode.UNAVAILABLE
    done, seconds = run(f"127.0.0.1:{free_port()}" if fault == "not there" else server.target)
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    assert sum(line["message"] == "some.event" for line in lines) == 50
    assert float(done.stderr.split()[1]) < 0.5
    assert seconds < 15


def test_a_forked_process_sends_its_own_lines_and_no_others(server: CloudLoggingServer) -> None:
    done, _ = run(server.target, FORKING)
    assert (done.stdout, done.stderr) == ("", "")
    messages = [entry.json_payload["message"] for entry in server.entries]
    assert sorted(messages) == ["of.the_child", "of.the_parent", "of.the_parent_later"]


def test_a_line_of_an_import_leaves_by_the_master_alone_which_forks_without_threads(server: CloudLoggingServer) -> None:
    done, _ = run(server.target, IMPORTING)
    assert (done.stdout, done.stderr) == ("", "True\n")
    assert [entry.json_payload["message"] for entry in server.entries] == ["of.the_import"]


def test_lines_still_leave_after_somebody_configured_logging_anew(server: CloudLoggingServer) -> None:
    done, _ = run(server.target, CONFIGURING)
    assert (done.stdout, done.stderr) == ("", "")
    assert [entry.json_payload["message"] for entry in server.entries] == ["first", "later", "later"]
