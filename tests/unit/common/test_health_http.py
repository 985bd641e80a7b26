"""Gemini and a Chroma server: each answer that they can give, and none."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common import health_http
from common.health_http import chroma_server_check, gemini_check
from common.health_runs import Check, Fault
from tests.gemini_server import Behaviour, GeminiServer

MODEL = "gemini-3.8-flash"


@pytest.fixture
def gemini() -> Iterator[GeminiServer]:
    with GeminiServer() as server:
        yield server


@contextmanager
def answering(status: int, headers: Mapping[str, str] | None = None) -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """The URL of a server that gives this answer to everything, and the headers that it got."""
    received: list[Mapping[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", received
        server.shutdown()


def refusal(check: Check) -> tuple[str, str]:
    with pytest.raises(Fault) as caught:
        check()
    return caught.value.status, caught.value.detail


@pytest.mark.parametrize("name", [MODEL, f"models/{MODEL}"])
def test_gemini_is_asked_for_the_models_description_with_the_key_in_a_header(gemini: GeminiServer, name: str) -> None:
    assert gemini_check(name, gemini.api_key, f"{gemini.url}/")() is None
    (request,) = gemini.requests
    assert (request.verb, request.model, request.path) == ("get", MODEL, f"/v1beta/models/{MODEL}")
    assert request.headers["x-goog-api-key"] == gemini.api_key


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, ("unhealthy", "does not accept the key")),
        (401, ("unhealthy", "does not accept the key")),
        (403, ("unhealthy", "does not accept the key")),
        (404, ("unhealthy", "does not know the model")),
        (429, ("degraded", "over its quota")),
        (503, ("unhealthy", "answers with an error")),
    ],
)
def test_what_gemini_answers_is_told_in_our_own_words(gemini: GeminiServer, status: int, told: tuple[str, str]) -> None:
    gemini.script(Behaviour(status=status))
    assert refusal(gemini_check(MODEL, gemini.api_key, gemini.url)) == told


def test_a_wrong_key_is_not_accepted(gemini: GeminiServer) -> None:
    assert refusal(gemini_check(MODEL, "wrong", gemini.url)) == ("unhealthy", "does not accept the key")


def test_without_another_address_it_is_googles(gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert health_http.GEMINI_URL == "https://generativelanguage.googleapis.com"
    monkeypatch.setattr(health_http, "GEMINI_URL", gemini.url)
    assert gemini_check(MODEL, gemini.api_key, None)() is None


def test_nobody_there_is_not_reachable(free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    assert refusal(gemini_check(MODEL, "key", url)) == ("unhealthy", "not reachable")


def test_an_answer_that_is_no_http_is_not_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        threading.Thread(target=greet, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert refusal(chroma_server_check(url, None)) == ("unhealthy", "not reachable")


def test_the_key_does_not_follow_a_redirect() -> None:
    with answering(200) as (elsewhere, received), answering(302, {"Location": f"{elsewhere}/"}) as (url, _):
        assert refusal(gemini_check(MODEL, "key", url)) == ("unhealthy", "answers with an error")
        assert received == []


def test_chroma_is_asked_for_its_heartbeat_with_the_token() -> None:
    with answering(200) as (url, received):
        assert chroma_server_check(f"{url}/", "local-token")() is None
    assert (received[0]["path"], received[0]["x-chroma-token"]) == ("/api/v2/heartbeat", "local-token")


@pytest.mark.parametrize(
    ("status", "detail"),
    [(401, "does not accept the token"), (403, "does not accept the token"), (500, "answers with an error")],
)
def test_what_chroma_answers_is_told_in_our_own_words(status: int, detail: str) -> None:
    with answering(status) as (url, _):
        assert refusal(chroma_server_check(url, None)) == ("unhealthy", detail)
