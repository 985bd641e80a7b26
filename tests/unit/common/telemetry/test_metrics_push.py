"""The push goes to the group of its instance, in time or not at all, and tells nobody's password."""

import atexit
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import BadStatusLine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import CollectorRegistry, Gauge

from common.metrics import REGISTRY, push_due
from common.settings import load_settings, settings
from common.telemetry.metrics_push import Gateway, InvalidGateway, Pusher, PushRefused, delivery_to, pusher
from tests import servers

TIMEOUT = 0.3


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    authorization: str | None
    body: str


@dataclass(slots=True)
class Answering:
    """A stand-in for a gateway: what it was asked, and how it answers."""

    requests: list[Request] = field(default_factory=list)
    status: int = 200
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextmanager
def answering() -> Iterator[Answering]:
    state = Answering()

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            state.requests.append(Request(self.command, self.path, self.headers.get("Authorization"), body))
            state.asked.set()
            if state.answer is not None:
                state.answer(self)
                return
            self.send_response(state.status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(b"pushed metrics are invalid: user jane@example.com")

        def do_POST(self) -> None:
            self.handle_request()

        def do_DELETE(self) -> None:
            self.handle_request()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        server.shutdown()


@pytest.fixture
def gateway() -> Iterator[Answering]:
    with answering() as state:
        yield state


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Settings and push as in a new instance."""
    with ExitStack() as after:
        for factory in (settings, pusher):
            factory.cache_clear()
            after.callback(factory.cache_clear)
        yield monkeypatch


def pusher_to(url: str, *, place: str = "query-00007-abc") -> Pusher:
    registry = CollectorRegistry()
    Gauge("level", "Level.", registry=registry).set(3)
    return Pusher(Gateway.from_url(url), job="loans", place=place, registry=registry, timeout=TIMEOUT)


class TestAddress:
    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ("http://gateway:9091", "http://gateway:9091"),
            ("gateway:9091", "http://gateway:9091"),
            ("https://gateway/push/", "https://gateway/push"),
            ("http://[::1]:9091/", "http://[::1]:9091"),
        ],
    )
    def test_it_is_taken_with_or_without_a_scheme(self, given: str, address: str) -> None:
        assert Gateway.from_url(given) == Gateway(url=address, authorization=None)

    @pytest.mark.parametrize(
        ("credentials", "header"),
        [
            ("user:pass", "Basic dXNlcjpwYXNz"),
            ("user:p%40ss%3A", "Basic dXNlcjpwQHNzOg=="),
            ("user", "Basic dXNlcjo="),
            (":pass", "Basic OnBhc3M="),
        ],
    )
    def test_credentials_become_a_header(self, credentials: str, header: str) -> None:
        found = Gateway.from_url(f"https://{credentials}@gateway:9091")
        assert found == Gateway(url="https://gateway:9091", authorization=header)

    @pytest.mark.parametrize(
        "url", ["ftp://gateway", "http://", "http://u:pw@", "http://gateway:port", "http://gateway:99999",
                "http://[::1", "http://gateway?a=b", "http://gateway#x", "file:///etc/passwd"]
    )  # fmt: skip
    def test_what_is_no_http_server_is_refused_and_not_repeated(self, url: str) -> None:
        with pytest.raises(InvalidGateway) as refused:
            Gateway.from_url(url)
        assert str(refused.value) == ""


class TestGroup:
    def test_a_push_adds_to_the_group_of_this_instance(self, gateway: Answering) -> None:
        one = pusher_to(gateway.url)
        one.push()
        (request,) = gateway.requests
        assert (request.method, request.path) == ("POST", f"/metrics/job/loans/instance/{one.instance}")
        assert request.body == "# HELP level Level.\n# TYPE level gauge\nlevel 3.0\n"
        assert request.authorization is None

    def test_an_instance_is_named_after_its_place_process_and_chance(self) -> None:
        one, two = pusher_to("http://gateway"), pusher_to("http://gateway")
        assert one.instance.startswith(f"query-00007-abc-{os.getpid()}-")
        assert len({one.instance, one.instance, two.instance}) == 2

    def test_a_forked_process_is_another_instance(self, fresh: pytest.MonkeyPatch) -> None:
        one = pusher_to("http://gateway")
        before = one.instance
        fresh.setattr(os, "getpid", lambda: 4242)
        assert one.instance != before
        assert "-4242-" in one.instance

    def test_a_place_with_odd_letters_makes_a_plain_name(self) -> None:
        assert pusher_to("http://gateway", place="a/b c\u00e9").instance.startswith("a_b_c_-")

    def test_deleting_takes_the_same_group_away(self, gateway: Answering) -> None:
        one = pusher_to(gateway.url.replace("//", "//user:p%40ss@"))
        one.push()
        one.delete()
        pushed, deleted = gateway.requests
        assert (deleted.method, deleted.path, deleted.body) == ("DELETE", pushed.path, "")
        assert {pushed.authorization, deleted.authorization} == {"Basic dXNlcjpwQHNz"}


class TestTrouble:
    @pytest.mark.parametrize("status", [301, 307, 400, 401, 500])
    def test_a_refusal_is_told_by_its_status_once_and_without_the_gateways_words(
        self, gateway: Answering, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        gateway.status = status
        one = pusher_to(gateway.url.replace("//", "//user:secret-word@"))
        for _ in range(3):
            with pytest.raises(PushRefused) as refused:
                one.push()
            assert refused.value.status == status
        assert len(gateway.requests) == 3, "a redirect is not followed: it would be given the password"
        refusals = [record for record in caplog.records if "push_refused" in record.getMessage() + str(record.msg)]
        assert len(refusals) == 1
        assert "jane" not in caplog.text
        assert "secret-word" not in caplog.text

    def test_after_a_success_a_refusal_is_told_again(
        self, gateway: Answering, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = pusher_to(gateway.url)
        for status in (400, 200, 400):
            gateway.status = status
            if status == 200:
                one.push()
            else:
                with pytest.raises(PushRefused):
                    one.push()
        assert len([record for record in caplog.records if "push_refused" in str(record.msg)]) == 2

    def test_nobody_listening_is_an_error_at_once(self, free_port: int) -> None:
        with pytest.raises(ConnectionRefusedError):
            pusher_to(f"http://127.0.0.1:{free_port}").push()

    def test_no_answer_is_a_time_out(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            begun = time.monotonic()
            with pytest.raises(TimeoutError):
                pusher_to(f"http://127.0.0.1:{port}").push()
        assert TIMEOUT * 0.9 <= time.monotonic() - begun < TIMEOUT + 1

    def test_an_answer_that_is_no_http_is_an_error(self, gateway: Answering) -> None:
        def greet(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n")

        gateway.answer = greet
        with pytest.raises(BadStatusLine):
            pusher_to(gateway.url).push()

    def test_tls_is_spoken_where_the_address_says_https(self, gateway: Answering) -> None:
        with pytest.raises(ssl.SSLError):  # the stand-in does not speak it
            pusher_to(gateway.url.replace("http:", "https:")).push()


class TestDelivery:
    def values(self, body: str) -> dict[str, str]:
        return dict(line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))

    def test_the_first_call_that_ends_pushes_at_once(self, fresh: pytest.MonkeyPatch, gateway: Answering) -> None:
        fresh.setenv("PUSHGATEWAY_URL", gateway.url)
        fresh.setenv("K_REVISION", "query-00007-abc")
        fresh.setenv("SERVICE_NAME", "loans")
        push_due()
        assert gateway.asked.wait(10)
        assert gateway.requests[0].path.startswith("/metrics/job/loans/instance/query-00007-abc-")
        assert "assistant_http_requests_total" in gateway.requests[0].body
        push_due()  # not due
        delivery = pusher()
        assert delivery is not None
        delivery.close()
        methods = [request.method for request in gateway.requests]
        assert (methods[0], methods[-1], methods.count("DELETE")) == ("POST", "DELETE", 1)

    def test_an_instance_that_ends_takes_its_group_away_and_pushes_nothing_more(self, gateway: Answering) -> None:
        found = load_settings(pushgateway_url=gateway.url, push_every_seconds=3600)
        ends: list[Callable[[], None]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(atexit, "register", lambda end, *_: ends.append(end))
            delivery = delivery_to(Gateway.from_url(gateway.url), found)
        delivery.after_call()
        assert gateway.asked.wait(10)
        (end,) = (one for one in ends if getattr(one, "__name__", "") == "end")
        end()
        delivery.close()
        assert [request.method for request in gateway.requests] == ["POST", "DELETE"]

    def test_without_a_gateway_nothing_is_pushed(self, fresh: pytest.MonkeyPatch) -> None:
        fresh.delenv("PUSHGATEWAY_URL", raising=False)
        push_due()
        assert pusher() is None

    def test_an_address_that_cannot_be_used_is_told_once_and_costs_no_request(
        self, fresh: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        fresh.setenv("PUSHGATEWAY_URL", "http://user:secret-word@gateway:port")
        push_due()
        push_due()
        told = [record for record in caplog.records if "push_impossible" in str(record.msg)]
        assert [record.levelno for record in told] == [logging.ERROR]
        assert "secret-word" not in caplog.text

    def test_settings_that_cannot_be_read_are_told_by_the_request_and_not_here(self, fresh: pytest.MonkeyPatch) -> None:
        fresh.setenv("PUSH_EVERY_SECONDS", "often")
        push_due()

    def test_a_dead_gateway_costs_a_call_nothing_measurable_and_is_counted(
        self, fresh: pytest.MonkeyPatch, free_port: int
    ) -> None:
        fresh.setenv("PUSHGATEWAY_URL", f"http://127.0.0.1:{free_port}")
        failed = {"channel": "metrics", "outcome": "failed"}
        before = REGISTRY.get_sample_value("assistant_telemetry_sends_total", failed) or 0
        begun = time.perf_counter()
        push_due()
        assert time.perf_counter() - begun < 0.1
        servers.wait_for(
            lambda: (REGISTRY.get_sample_value("assistant_telemetry_sends_total", failed) or 0) > before,
            "it is counted",
        )
