"""`loancheck doctor`: each of the usual faults is found, and its fix said."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from threading import Thread

import pytest

from common.settings import load_settings
from local.catalogue import FunctionEntry
from local.doctor import Diagnosis, examine, health, imports, metrics, packages, traces
from tests.trace_servers import OtlpHttp

NOWHERE = "http://127.0.0.1:1"
METRICS = (
    'assistant_build_info{version="1"} 1.0\n'
    'assistant_telemetry_sends_total{channel="metrics",outcome="ok"} 3.0\n'
    'assistant_telemetry_sends_total{channel="traces",outcome="failed"} 9.0\n'
)
LOCK = """\
flask==3.1.3 \\
    --hash=sha256:00
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:00
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:00
psycopg[binary]==3.2.1 \\
    --hash=sha256:00
pywin32==311 ; sys_platform == 'win32' \\
    --hash=sha256:00
"""


@contextmanager
def answering(answers: dict[str, tuple[int, bytes]], keys: list[str | None] | None = None) -> Iterator[str]:
    """A server that gives `answers` by method and path, and 404 to all else. Where the status is a redirect, the body
    is its address. The key that each request brings goes to `keys`."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            given = answers.get(f"{self.command} {self.path}", answers.get(self.command, (404, b"")))
            if keys is not None:
                keys.append(self.headers["X-API-Key"])
            self.send_response(given[0])
            self.send_header("Content-Length", str(len(given[1])))
            if 300 <= given[0] < 400:
                self.send_header("Location", given[1].decode())
            self.end_headers()
            self.wfile.write(given[1])

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def report(status: str, **components: dict[str, str]) -> bytes:
    return json.dumps({"status": status, "version": "1", "components": components}).encode()


def versions(**installed: str) -> Callable[[str], str]:
    def version_of(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    return version_of


def test_packages_as_pinned_are_in_order_whichever_python_runs() -> None:
    found = packages(LOCK, versions(flask="3.1.3", numpy="2.4.6", psycopg="3.2.1"))
    assert (found.verdict, found.found) == ("ok", "4 as pinned")


def test_a_missing_and_another_version_are_faults() -> None:
    found = packages(LOCK, versions(flask="2.0", numpy="2.5.5"))
    assert found.verdict == "fault"
    assert found.found == "flask is 2.0, not 3.1.3; psycopg is missing"
    assert "requirements.txt" in str(found)


def test_a_long_list_is_cut() -> None:
    lock = "".join(f"one{number}==1 \\\n" for number in range(5))
    assert packages(lock, versions()).found.endswith("one2 is missing and 2 more")


def test_health_that_is_well_is_a_line() -> None:
    with answering({"GET /health": (200, report("healthy", database={"status": "healthy"}))}) as url:
        (found,) = health(url)
    assert (found.verdict, found.found) == ("ok", "1 components")


def test_each_component_that_is_not_well_has_its_fix() -> None:
    components = {
        "database": {"status": "unhealthy", "detail": "not reachable"},
        "disk": {"status": "healthy"},
        "own": {"status": "degraded"},
    }
    with answering({"GET /health": (503, report("unhealthy", **components))}) as url:
        database, own = health(url)
    assert database.found == "database is unhealthy (not reachable)"
    assert "DATABASE_URL" in str(database)
    assert "LOG_LEVEL" in str(own)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"\xff\xfe"),
        (200, b'{"components": {}}'),
        (200, b'{"components": {"a": {}}, "status": "degraded"}'),
        (404, b""),
    ],
)
def test_another_program_there_is_a_fault(answer: tuple[int, bytes]) -> None:
    with answering({"GET": answer}) as url:
        (found,) = health(url)
        assert (found.verdict, metrics(url, load_settings()).verdict) == ("fault", "fault")


def test_the_key_of_the_settings_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str | None] = []
    monkeypatch.setattr("local.doctor.current_settings", lambda: load_settings(api_key="key-for-metrics"))
    with answering({"GET /metrics": (200, METRICS.encode())}, keys) as url:
        assert metrics(url, load_settings()).verdict == "ok"
    assert keys == ["key-for-metrics"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_missing_or_may_not_is_a_fault_that_says_which_to_make(status: int) -> None:
    with answering({"GET /metrics": (status, b"{}")}) as url:
        found = metrics(url, load_settings())
    assert found == Diagnosis(
        subject="metrics",
        verdict="fault",
        found=f"{url}/metrics does not let us in (status {status})",
        fix="set API_KEY to a key with the role service: loancheck keys create --role service makes one",
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_the_key_elsewhere(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str | None] = []
    monkeypatch.setattr("local.doctor.current_settings", lambda: load_settings(api_key="key-for-metrics"))
    with (
        answering({"GET": (200, METRICS.encode())}, keys) as elsewhere,
        answering({"GET": (status, f"{elsewhere}/metrics".encode())}) as url,
    ):
        (asked,) = health(url)
        scraped = metrics(url, load_settings())
    assert keys == []
    assert (asked.verdict, scraped.verdict) == ("fault", "fault")
    assert f"status {status}, which sends on to another address" in scraped.found
    assert "key-for-metrics" not in f"{asked}{scraped}"


def entry(source: str, entry_point: str = "answer") -> FunctionEntry:
    return FunctionEntry(
        name="own", source=Path(source), entry_point=entry_point, paths=("/own",), trigger="http", callers="public",
        memory_mb=256, timeout_seconds=10,
    )  # fmt: skip


def test_functions_that_can_be_imported_are_in_order(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "main.py").write_text("print('loaded')\nanswer = 1\n")
    assert imports([entry("own/main.py")], tmp_path).found == "1 functions"


def test_each_function_that_cannot_be_imported_is_named_with_its_error_and_nothing_of_its_text(tmp_path: Path) -> None:
    for name, text in {"one": "import no_such_package", "two": "raise SystemExit('pass-word-1')", "three": ""}.items():
        (tmp_path / f"{name}.py").write_text(text)
    found = imports([entry(f"{name}.py") for name in ("one", "two", "three")], tmp_path)
    assert found.verdict == "fault"
    assert found.found == (
        "one cannot be imported (ModuleNotFoundError); two cannot be imported (SystemExit); "
        "three cannot be imported (AttributeError)"
    )
    assert "requirements.txt" in str(found)
    assert "pass-word-1" not in str(found)


def test_an_import_that_ends_python_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import os; os._exit(3)")
    found = imports([entry("own.py")], tmp_path)
    assert (found.verdict, found.found) == ("fault", "Python ends (CalledProcessError)")


def test_nobody_there_is_a_fault_that_says_how_to_start() -> None:
    lines = [str(one) for one in examine(NOWHERE, load_settings())]
    assert [line.split()[0] for line in lines] == ["ok", "ok", "fault", "fault", "not"]
    assert all("make run" in line for line in lines[2:4])


def test_metrics_without_a_gateway_are_counted() -> None:
    with answering({"GET /metrics": (200, METRICS.encode())}) as url:
        found = metrics(url, load_settings())
    assert (found.verdict, found.found) == ("ok", "/metrics gives 3 series; none pushed")


def test_a_push_that_arrives_is_in_order() -> None:
    with (
        answering({"GET /metrics": (200, METRICS.encode())}) as url,
        answering({"POST": (200, b""), "DELETE": (202, b"")}) as gateway,
    ):
        found = metrics(url, load_settings(pushgateway_url=gateway))
    assert (found.verdict, found.found) == ("ok", "a push arrives; sent so far: 3 ok")


@pytest.mark.parametrize(
    ("gateway", "reason"),
    [(NOWHERE, "Connection refused"), ("ftp://user:pass-word-1@host", "no address of an HTTP server")],
)
def test_a_push_that_does_not_is_a_fault_without_its_credentials(gateway: str, reason: str) -> None:
    with answering({"GET /metrics": (200, METRICS.encode())}) as url:
        found = metrics(url, load_settings(pushgateway_url=gateway))
    assert found.verdict == "fault"
    assert reason in found.found
    assert "pass-word-1" not in str(found)


def test_a_gateway_that_refuses_is_a_fault_with_its_status() -> None:
    with (
        answering({"GET /metrics": (200, METRICS.encode())}) as url,
        answering({"POST": (400, b"inconsistent")}) as gateway,
    ):
        assert "status 400" in metrics(url, load_settings(pushgateway_url=gateway)).found


def test_a_span_is_sent_where_traces_are_configured() -> None:
    with OtlpHttp() as receiver:
        found = traces(load_settings(trace_exporter="otlp", otlp_endpoint=receiver.url))
    assert found == Diagnosis(subject="traces", verdict="ok", found="a span arrives")
    assert [span.name for span in receiver.spans] == ["loancheck doctor"]


@pytest.mark.parametrize(
    ("endpoint", "reason"), [("http://127.0.0.1:1", "not accepted in time"), ("localhost:4317", "UnusableEndpoint")]
)
def test_a_span_that_does_not_arrive_is_a_fault(endpoint: str, reason: str) -> None:
    found = traces(load_settings(trace_exporter="otlp", otlp_endpoint=endpoint, telemetry_timeout_seconds=0.2))
    assert found.verdict == "fault"
    assert reason in found.found
    assert "OTLP_ENDPOINT" in str(found)
