"""`/health` with each component really broken in turn, and through the emulator."""

import functools
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from functions_framework import create_app as untyped_create_app
from werkzeug.test import Client

from common.database.engine import create_engine_for, migrate
from common.database.moving import move
from common.settings import load_settings
from functions.health import answers, details
from tests import servers
from tests.emulators import emulator, environment
from tests.gemini_server import Behaviour, GeminiServer
from tests.wsgi import from_this_machine

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ROOT = Path(__file__).resolve().parents[2]
BOUND_SECONDS = 0.1  # for a whole answer, whatever hangs
Json = dict[str, Any]
create_app: "Callable[[str, str, str], WSGIApplication]" = untyped_create_app


class Health:
    """The function, asked without a network; nothing is given a second time but what its check keeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
        self._monkeypatch = monkeypatch
        self._data = data
        app = create_app("health", str(ROOT / "functions" / "health" / "main.py"), "http")
        self._client = Client(from_this_machine(app))

    def configure(self, **values: object) -> None:
        patient = {"health_timeout_ms": 5_000} | values  # this machine may be busy
        made = load_settings(data_dir=self._data, health_cache_seconds=0, **patient)
        for module in ("common.health", "functions.health.details"):
            self._monkeypatch.setattr(f"{module}.settings", lambda: made)
        self.forget()

    def forget(self) -> None:
        answers.checker.cache_clear()
        details.knowledge.cache_clear()

    def ask(self, path: str = "/health/detailed") -> tuple[int, Json]:
        response = self._client.get(path)
        body: Json = response.get_json()
        return response.status_code, body

    def component(self, name: str) -> Json:
        """Status and detail of one component."""
        found: Json = self.ask()[1]["components"][name]
        return {key: found.get(key) for key in ("status", "detail")}

    def timed(self) -> tuple[float, Json]:
        begun = time.perf_counter()
        _, body = self.ask("/health")
        return time.perf_counter() - begun, body


@pytest.fixture
def data(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """A DATA_DIR with a database and a catalogue of vectors."""
    for folder, name in (("database", "loan_collateral.db"), ("chroma", "chroma.sqlite3")):
        (tmp_path / folder).mkdir()
        shutil.copyfile(migrated_sqlite, tmp_path / folder / name)
    return tmp_path


@pytest.fixture
def database_file(data: Path) -> Path:
    return data / "database" / "loan_collateral.db"


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch, data: Path) -> Iterator[Health]:
    made = Health(monkeypatch, data)
    made.configure()
    yield made
    made.forget()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        port: int = server.getsockname()[1]
        yield port


@pytest.fixture
def gemini() -> Iterator[GeminiServer]:
    with GeminiServer() as server:
        yield server


def test_with_everything_in_place_it_is_healthy(health: Health) -> None:
    code, body = health.ask()
    assert (code, body["status"]) == (200, "healthy")
    assert {name: one["status"] for name, one in body["components"].items()} == dict.fromkeys(
        ["database", "vector_index", "gemini", "disk", "cache", "knowledge"], "healthy"
    )
    assert body["components"]["knowledge"]["facts"] == {"documents": 0, "chunks": 0}
    assert body["components"]["disk"]["facts"]["free_mb"] > 0


def test_a_database_file_that_is_gone_makes_the_whole_unhealthy_and_not_ready(
    health: Health, database_file: Path
) -> None:
    database_file.unlink()
    assert health.component("database") == {"status": "unhealthy", "detail": "not there"}
    assert (health.ask("/health")[0], health.ask("/health/ready")[0], health.ask("/health/live")[0]) == (503, 503, 200)


def test_a_database_file_that_is_damaged_makes_the_whole_unhealthy(health: Health, database_file: Path) -> None:
    database_file.write_bytes(b"no database at all. " * 1_000)
    assert health.component("database") == {"status": "unhealthy", "detail": "damaged"}
    assert health.ask("/health")[0] == 503


def test_a_database_that_is_locked_for_writers_is_degraded_and_ready(health: Health, database_file: Path) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert health.component("database") == {"status": "degraded", "detail": "locked"}
        assert health.ask("/health/ready")[0] == 200
        writer.execute("ROLLBACK")
    assert health.component("database") == {"status": "healthy", "detail": None}


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def test_a_schema_that_waits_for_its_migration_is_not_ready_until_then(
    health: Health, request: pytest.FixtureRequest, database_file: Path, kind: str
) -> None:
    url = f"sqlite:///{database_file}" if kind == "sqlite" else request.getfixturevalue("postgresql_url")
    engine = create_engine_for(url)
    move(engine, "0003", may_lose=False)
    health.configure(database_url=url, migrate_on_start=False)
    code, body = health.ask("/health/ready")
    database = {name: body["components"]["database"][name] for name in ("status", "detail")}
    assert (code, database) == (503, {"status": "unhealthy", "detail": "schema is behind"})
    assert health.ask("/health")[0] == 503
    migrate(engine)
    assert health.ask("/health/ready")[0] == 200
    engine.dispose()


@pytest.mark.servers
def test_a_postgresql_that_is_stopped_makes_the_whole_unhealthy(health: Health) -> None:
    with servers.postgresql() as server:
        health.configure(database_url=server.url("postgres"))
        code, body = health.ask()
        assert (code, body["components"]["database"]["status"]) == (200, "healthy")
        assert body["components"]["database"]["facts"] == {"kind": "postgresql"}
        assert body["components"]["knowledge"]["detail"] == "no tables yet"
    assert health.component("database") == {"status": "unhealthy", "detail": "not reachable"}
    assert health.ask("/health/ready")[0] == 503


@pytest.mark.servers
def test_documents_and_chunks_in_postgresql_are_counted(health: Health, postgresql_url: str) -> None:
    health.configure(database_url=postgresql_url)
    assert health.ask()[1]["components"]["knowledge"]["facts"] == {"documents": 0, "chunks": 0}


@pytest.mark.servers
def test_what_a_postgresql_url_tells_the_driver_makes_nothing_unhealthy(health: Health, postgresql_url: str) -> None:
    health.configure(database_url=f"{postgresql_url}?prepare_threshold=0&connect_timeout=3")
    assert health.component("database") == {"status": "healthy", "detail": None}


@pytest.mark.servers
def test_a_postgresql_that_takes_no_writes_is_unhealthy(health: Health, postgresql_url: str) -> None:
    health.configure(database_url=f"{postgresql_url}?options=-c%20default_transaction_read_only%3Don")
    assert health.component("database") == {"status": "unhealthy", "detail": "cannot be written"}


def test_a_postgresql_that_hangs_is_timed_out_and_then_told_as_it_failed(health: Health, silent_port: int) -> None:
    health.configure(database_url=f"postgresql://127.0.0.1:{silent_port}/loans", health_timeout_ms=80)
    _, body = health.ask("/health")
    assert (body["status"], body["components"]["database"]["detail"]) == ("degraded", "timed out")
    wait_until(lambda: health.component("database") == {"status": "unhealthy", "detail": "not reachable"})
    assert health.ask("/health/ready")[0] == 503


def wait_until(happens: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Asks again and again; each question takes its time."""
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline


def test_vectors_that_are_gone_degrade_the_whole(health: Health, data: Path) -> None:
    shutil.rmtree(data / "chroma")
    assert health.component("vector_index") == {"status": "unhealthy", "detail": "not there"}
    code, body = health.ask("/health")
    assert (code, body["status"], health.ask("/health/ready")[0]) == (200, "degraded", 200)


def test_vectors_that_cannot_be_read_degrade_the_whole(health: Health, data: Path) -> None:
    (data / "chroma" / "chroma.sqlite3").write_bytes(b"no database at all. " * 1_000)
    assert health.component("vector_index") == {"status": "unhealthy", "detail": "damaged"}
    assert health.ask("/health")[1]["status"] == "degraded"


@pytest.mark.servers
def test_a_chroma_server_that_is_stopped_degrades_the_whole(health: Health) -> None:
    with servers.chroma() as url:
        health.configure(chroma_url=url)
        assert health.component("vector_index") == {"status": "healthy", "detail": None}
    assert health.component("vector_index") == {"status": "unhealthy", "detail": "not reachable"}
    assert health.ask("/health")[1]["status"] == "degraded"


def test_a_chroma_server_that_hangs_is_timed_out_within_the_bound(health: Health, silent_port: int) -> None:
    health.configure(chroma_url=f"http://127.0.0.1:{silent_port}", health_timeout_ms=80)
    timed = [health.timed() for _ in range(5)]
    assert {body["components"]["vector_index"]["detail"] for _, body in timed} == {"timed out"}
    assert {body["status"] for _, body in timed} == {"degraded"}
    assert min(seconds for seconds, _ in timed) < BOUND_SECONDS


def test_gemini_that_answers_is_asked_once_for_many_reports_and_costs_no_tokens(
    health: Health, gemini: GeminiServer
) -> None:
    health.configure(gemini_api_key=gemini.api_key, gemini_base_url=gemini.url)
    for _ in range(5):
        assert health.component("gemini") == {"status": "healthy", "detail": None}
    assert [request.verb for request in gemini.requests] == ["get"]


def test_gemini_that_refuses_the_key_degrades_the_whole(health: Health, gemini: GeminiServer) -> None:
    gemini.script(Behaviour(status=403))
    health.configure(gemini_api_key=gemini.api_key, gemini_base_url=gemini.url)
    assert health.component("gemini") == {"status": "unhealthy", "detail": "does not accept the key"}
    code, body = health.ask("/health")
    assert (code, body["status"]) == (200, "degraded")


def test_gemini_that_nobody_runs_degrades_the_whole(health: Health, free_port: int) -> None:
    health.configure(gemini_api_key="key", gemini_base_url=f"http://127.0.0.1:{free_port}")
    assert health.component("gemini") == {"status": "unhealthy", "detail": "not reachable"}


def test_gemini_that_hangs_is_timed_out_within_the_bound(health: Health, gemini: GeminiServer) -> None:
    gemini.script(Behaviour(delay_seconds=30))
    health.configure(gemini_api_key=gemini.api_key, gemini_base_url=gemini.url, health_timeout_ms=80)
    timed = [health.timed() for _ in range(5)]
    assert {body["components"]["gemini"]["detail"] for _, body in timed} == {"timed out"}
    assert {body["components"]["gemini"]["status"] for _, body in timed} == {"degraded"}
    assert min(seconds for seconds, _ in timed) < BOUND_SECONDS
    assert len(gemini.requests) == 1


def test_a_disk_with_too_little_room_degrades_the_whole(health: Health) -> None:
    health.configure(min_free_disk_mb=10**12)
    assert health.component("disk") == {"status": "unhealthy", "detail": "almost full"}
    code, body = health.ask("/health")
    assert (code, body["status"]) == (200, "degraded")


def test_the_emulator_serves_it(tmp_path: Path) -> None:
    with emulator(tmp_path) as running, httpx.Client(base_url=running.url) as client:
        body = client.get("/health").json()
        assert (body["status"], body["components"]["database"]["status"]) == ("healthy", "healthy")
        assert client.get("/health", headers={"Accept": "application/health+json"}).json()["status"] == "pass"
        assert client.get("/health/ready").json()["status"] == "healthy"
        assert client.get("/health/live").json() == {"status": "alive"}
        knowledge = client.get("/health/detailed").json()["components"]["knowledge"]["facts"]
        assert knowledge["documents"] > 0
        assert knowledge["chunks"] > knowledge["documents"]
        assert "/health/detailed" in client.get("/openapi.json").json()["paths"]


def test_an_emulator_that_was_told_to_end_is_not_ready(tmp_path: Path) -> None:
    with emulator(tmp_path) as running:
        answer = last_answer(running.url, running.process.terminate)
        running.process.wait(timeout=15)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"detail":"draining"' in answer


def test_a_function_of_its_own_that_was_told_to_end_is_not_ready(data: Path, free_port: int) -> None:
    command = [
        str(Path(sys.executable).parent / "functions-framework"),
        "--source", str(ROOT / "functions" / "health" / "main.py"), "--target", "health",
        "--host", "127.0.0.1", "--port", str(free_port),
    ]  # fmt: skip
    url = f"http://127.0.0.1:{free_port}"
    settings = {name: value for name, value in environment(data).items() if name != "PORT"}
    is_ready = functools.partial(servers.answers, f"{url}/health/ready")
    with servers.running(command, is_ready=is_ready, log=data / "log", env=settings) as process:

        def stop() -> None:
            process.terminate()
            wait_until(lambda: not takes_requests(url))  # gunicorn's master has told its worker

        answer = last_answer(url, stop)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"detail":"draining"' in answer


def last_answer(url: str, stop: Callable[[], None]) -> bytes:
    """What `/health/ready` says to the first request that was begun before `stop` and finds the process ending."""
    address = httpx.URL(url)
    assert address.port is not None
    with ExitStack() as closing_all:
        begun = [
            closing_all.enter_context(socket.create_connection((address.host, address.port), timeout=10))
            for _ in range(6)  # each holds a thread, and there are eight at least
        ]
        for connection in begun:
            connection.sendall(b"GET /health/ready HTTP/1.1\r\nHost: here\r\nConnection: close\r\n")
        assert httpx.get(f"{url}/health/ready").status_code == 200  # who came after them was answered
        stop()
        for connection in begun:  # several, for the signal may take a moment
            connection.sendall(b"\r\n")
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))  # noqa: B023  # used up at once
            if b"draining" in answer:
                break
        return answer


def takes_requests(url: str) -> bool:
    try:
        httpx.get(f"{url}/health/live", timeout=0.2)
    except httpx.TransportError:
        return False
    return True
