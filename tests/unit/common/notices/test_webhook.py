"""The webhook, against a real server on this machine."""

import base64
import hmac
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from common.notices.channels import NotSent
from common.notices.notice import Notice
from common.notices.targets import WebhookTarget
from common.notices.webhook import WebhookChannel, signature_headers
from tests.servers import LOOPBACK, free_port
from tests.webhook_receiver import Receiver, receiving

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOTICE = Notice(
    kind="budget", key="budget:b1:0.9", subject="Budget »prod« at 90 %", lines=("Spent 90 of 100 EUR.",), link="/r/1"
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def send(url: str, secret: bytes | None = None) -> None:
    channel = WebhookChannel(WebhookTarget(url=url, secret=secret), clock=lambda: 1_795_435_200.9)
    channel.send(NOTICE, put_at=AT, timeout_seconds=5)


def refused(url: str) -> NotSent:
    with pytest.raises(NotSent) as refusal:
        send(url)
    return refusal.value


def test_a_notice_arrives_as_json(receiver: Receiver) -> None:
    send(receiver.url)
    ((headers, body),) = receiver.requests
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "type": "budget",
        "timestamp": "2026-11-23T12:00:00+00:00",
        "data": {
            "key": "budget:b1:0.9",
            "subject": "Budget »prod« at 90 %",
            "lines": ["Spent 90 of 100 EUR."],
            "link": "/r/1",
        },
        "text": "Budget »prod« at 90 %\nSpent 90 of 100 EUR.\n\n/r/1",
    }
    assert "webhook-signature" not in headers


def test_it_is_signed_over_id_time_and_body(receiver: Receiver) -> None:
    send(receiver.url, secret=b"0123456789abcdef")
    ((headers, body),) = receiver.requests
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (f"msg_{NOTICE.id}", "1795435200")
    signed = f"msg_{NOTICE.id}.1795435200.".encode() + body
    version, _, signature = headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert base64.b64decode(signature) == hmac.digest(b"0123456789abcdef", signed, "sha256")


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Source: the example of https://github.com/standard-webhooks/standard-webhooks, libraries/python."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # pragma: allowlist secret
    headers = signature_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', secret)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_yes_will_do(receiver: Receiver, status: int) -> None:
    receiver.status = status
    send(receiver.url)


@pytest.mark.parametrize(
    ("status", "is_outage"),
    [(400, False), (401, False), (404, False), (410, False), (408, True), (425, True), (429, True), (500, True),
     (502, True), (503, True)],
)  # fmt: skip
def test_it_says_later_or_never(receiver: Receiver, status: int, is_outage: bool) -> None:
    receiver.status = status
    error = refused(receiver.url)
    assert (error.reason, error.is_outage) == (f"webhook: {status}", is_outage)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    with receiving() as elsewhere:
        receiver.status, receiver.location = status, elsewhere.url
        error = refused(receiver.url)
    assert (error.reason, error.is_outage) == (f"webhook: {status}", False)
    assert elsewhere.requests == []


def test_on_this_machine_no_proxy_hears_of_it(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    send(receiver.url)
    assert len(receiver.requests) == 1


def test_nobody_there_is_an_outage() -> None:
    error = refused(f"http://{LOOPBACK}:{free_port()}/secret-path")
    assert (error.reason, error.is_outage) == ("webhook: ConnectionRefusedError", True)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_told() -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        url = f"http://{LOOPBACK}:{listening.getsockname()[1]}/hook"
        with pytest.raises(NotSent) as refusal:
            WebhookChannel(WebhookTarget(url=url)).send(NOTICE, put_at=AT, timeout_seconds=0.05)
    assert (refusal.value.reason, refusal.value.is_outage) == ("webhook: timed out", True)


def test_what_does_not_speak_http_is_an_outage(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def send_nonsense(handler: Any, _status: int) -> None:  # Any: the server's own class
        handler.wfile.write(b"220 mail.example.com ESMTP\r\n")

    monkeypatch.setattr(BaseHTTPRequestHandler, "send_response", send_nonsense)
    error = refused(receiver.url)
    assert (error.reason, error.is_outage) == ("webhook: BadStatusLine", True)
