"""Against a real HTTP server of the test's own."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from common.settings import load_settings
from local.asking import NoAnswer, ask, in_words

ANSWER = {
    "answer": "The limit for raw land is 65% [1].",
    "answered": True,
    "agent": "knowledge",
    "confidence": 0.912,
    "citations": [
        {"document_id": "ltv", "title": "Limits", "quote": "65%", "score": 0.9, "source": "12 CFR 34"},
        {"document_id": "own", "title": "Policy", "quote": "60%", "score": 0.5, "source": None},
    ],
    "usage": {"model": "extractive", "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0},
    "degraded": [],
}
Serving = Callable[[int, str], AbstractContextManager[str]]


@pytest.fixture
def serving() -> Serving:
    @contextmanager
    def serve(status: int, body: str) -> Iterator[str]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert (self.path, asked) == ("/api/query", {"message": "Is $500,000 & 80% enough; or not?"})
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: object) -> None:
                """A test's output is its failures."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
        server.server_close()

    return serve


def test_the_answer_comes_with_its_citations_and_its_cost(serving: Serving) -> None:
    with serving(200, json.dumps(ANSWER)) as url:
        words = in_words(ask(url, "Is $500,000 & 80% enough; or not?"))
    assert words == (
        "The limit for raw land is 65% [1].\n\n"
        '[1] Limits (ltv): "65%"\n    12 CFR 34\n[2] Policy (own): "60%"\n\n'
        "(answered; agent knowledge; confidence 0.91; model extractive; cost 0 USD)"
    )


def test_what_is_not_known_is_said() -> None:
    usage = {"model": None, "cost_usd": None}
    answer = ANSWER | {"answered": False, "citations": [], "usage": usage, "degraded": ["model", "retrieval"]}
    assert in_words(answer).endswith(
        "(not answered; agent knowledge; confidence 0.91; model none; cost unknown; degraded: model, retrieval)"
    )


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            422,
            {
                "title": "The request breaks a rule",
                "detail": "d",
                "errors": [{"pointer": "/message", "detail": "Long."}],
            },
            "The request breaks a rule: /message Long.",
        ),
        (503, {"title": "Not available", "detail": "Try again."}, "Not available: Try again."),
        (
            401,
            {"title": "This needs a valid key or token"},
            "This needs a valid key or token: set API_KEY to a key with the role analyst: "
            "loancheck keys create --role analyst makes one",
        ),
        (500, {"title": "Something went wrong on our side"}, "Something went wrong on our side"),
        (404, "<html>", "what answers there is not this program (HTTP 404)"),
        (404, [], "what answers there is not this program (HTTP 404)"),
        (200, "<html>", "is not this program"),
    ],
)
def test_a_refusal_is_told_in_one_line(serving: Serving, status: int, body: object, reason: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    with serving(status, text) as url, pytest.raises(NoAnswer) as refused:
        ask(url, "Is $500,000 & 80% enough; or not?")
    assert str(refused.value).endswith(reason)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_the_question_or_the_key_elsewhere(status: int) -> None:
    key = load_settings(api_key="key-of-mine").api_key
    with (
        recording(200) as (elsewhere, reached),
        recording(status, Location=elsewhere) as (url, asked),
        pytest.raises(NoAnswer, match=rf"sends on to another address \(HTTP {status}\)") as refused,
    ):
        ask(url, "Hello", key)
    assert (asked, reached) == (["key-of-mine"], [])
    assert "key-of-mine" not in str(refused.value)


@contextmanager
def recording(status: int, **headers: str) -> Iterator[tuple[str, list[str | None]]]:
    """A server that answers all with `status` and `headers`, and the keys that requests brought."""
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers["X-API-Key"])
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

        def do_GET(self) -> None:  # what urllib makes of a POST on its way elsewhere
            self.do_POST()

        def log_message(self, *args: object) -> None:
            """A test's output is its failures."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", keys
    server.shutdown()
    thread.join()
    server.server_close()


def test_nothing_there_is_told_with_what_to_do() -> None:
    with pytest.raises(
        NoAnswer, match=r"^nothing answers at http://127\.0\.0\.1:1 \(Connection refused\): is `make run`"
    ):
        ask("http://127.0.0.1:1", "Hello")


def test_other_schemes_are_not_opened() -> None:
    with pytest.raises(NoAnswer, match="must begin with http"):
        ask("file:///etc/passwd", "Hello")


def test_a_citation_stays_on_its_line() -> None:
    cited = {"title": "A\n[2] B", "document_id": "a", "quote": "Yes.", "score": 1.0, "source": "C\nD"}
    assert in_words(ANSWER | {"citations": [cited]}).splitlines()[2:4] == ['[1] A [2] B (a): "Yes."', "    C D"]
