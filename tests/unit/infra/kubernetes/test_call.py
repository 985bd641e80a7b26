"""The call by the clock, as a CronJob makes it, to a real server and to the real function."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.kubernetes.generate import FOLDER
from infra.kubernetes.listed import ListedFunction, load_functions
from tests import servers
from tests.api_keys import new_key
from tests.emulators import environment

SCHEDULED = [one for one in load_functions() if one.schedule is not None]
KEY = "a-key"


def call(url: str, key: Path, seconds: str = "5") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(FOLDER / "call.py"), url, "--key", str(key), "--seconds", seconds]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "api-key"
    file.write_text(f"{KEY}\n")  # as an editor or a heredoc leaves it
    return file


class Answering(ThreadingHTTPServer):
    """Answers every call with one status, and remembers what came."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__((servers.LOOPBACK, 0), _Handler)
        self.status = status
        self.answered_headers = headers
        self.calls: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://{servers.LOOPBACK}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_POST(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.calls.append((self.command, self.path, dict(self.headers.items())))
        body = b'{"type": "/problems/some", "detail": "Jane Roe"}'
        self.send_response(self.server.status)
        for name, value in self.server.answered_headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        """Tests read what the caller says."""


@contextmanager
def answering(status: int, **headers: str) -> Iterator[Answering]:
    with Answering(status, headers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_call_is_a_post_with_the_key_from_the_file(key: Path) -> None:
    with answering(204) as server:
        done = call(f"{server.url}/events/retention", key)
    ((method, path, headers),) = server.calls
    assert (method, path, headers["X-API-Key"], headers["Content-Length"]) == ("POST", "/events/retention", KEY, "0")
    assert (done.returncode, done.stdout) == (0, f"{server.url}/events/retention: 204\n")


@pytest.mark.parametrize(
    ("status", "code"), [(200, 0), (401, 2), (403, 2), (404, 2), (408, 1), (409, 1), (429, 1), (500, 1), (503, 1)]
)
def test_what_may_pass_is_tried_again_and_what_was_refused_is_not(status: int, code: int, key: Path) -> None:
    with answering(status) as server:
        done = call(f"{server.url}/run", key)
    assert done.returncode == code
    if code:
        assert done.stderr == f"{server.url}/run: {status} /problems/some\n"  # and nothing of anybody's


def test_a_redirect_is_not_followed_for_the_key_would_go_along(key: Path) -> None:
    with answering(200) as elsewhere, answering(307, Location=f"{elsewhere.url}/run") as server:
        assert call(f"{server.url}/run", key).returncode == 2
    assert elsewhere.calls == []


def test_nobody_there_and_silence_are_worth_another_attempt(key: Path) -> None:
    done = call(f"http://{servers.LOOPBACK}:{servers.free_port()}/run", key)
    assert (done.returncode, done.stderr.splitlines()[-1].rpartition(": ")[2]) == (1, "ConnectionRefusedError")
    with servers.silence() as url:
        done = call(f"{url}/run", key, seconds="0.2")
    assert (done.returncode, done.stderr.splitlines()[-1].rpartition(": ")[2]) == (1, "TimeoutError")


def test_a_call_without_a_key_or_to_no_address_is_told_in_one_line(key: Path, tmp_path: Path) -> None:
    done = call("http://127.0.0.1:1/run", tmp_path / "missing")
    assert (done.returncode, done.stderr) == (1, "http://127.0.0.1:1/run: FileNotFoundError\n")
    done = call("ftp://127.0.0.1/run", key)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "call.py: error: url: must begin with http://")


@pytest.mark.parametrize("function", SCHEDULED, ids=lambda function: function.name)
def test_the_real_function_does_what_it_is_called_for(function: ListedFunction, tmp_path: Path, free_port: int) -> None:
    (tmp_path / "api-key").write_text(new_key(tmp_path))
    command = [
        str(Path(sys.executable).parent / "functions-framework"),
        "--source",
        str(FOLDER.parents[1] / function.source),
    ]
    command += ["--target", function.entry_point, "--host", servers.LOOPBACK, "--port", str(free_port)]
    env = {
        name: value
        for name, value in environment(tmp_path, EVENTS_BY_KEY="true").items()
        if name not in {"PORT", "PYTHONPATH"}
    }
    url = f"http://{servers.LOOPBACK}:{free_port}"
    with servers.running(command, is_ready=lambda: servers.answers(f"{url}/live"), log=tmp_path / "log", env=env):
        assert function.schedule is not None
        done = call(f"{url}{function.schedule.path}", tmp_path / "api-key", seconds=str(function.timeout_seconds))
    assert done.returncode == 0, done.stderr
