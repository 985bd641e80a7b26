"""Mail, against a real server on this machine."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.notices.channels import NotSent
from common.notices.notice import Notice
from common.notices.smtp import EmailChannel
from common.notices.targets import EmailTarget
from tests.certificates import make_certificate, server_context
from tests.log_lines import log_lines
from tests.mail_server import MailServer, mail_server
from tests.servers import LOOPBACK, free_port

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOTICE = Notice(
    kind="budget",
    key="budget:b1:0.9",
    subject="Budget »prod« at 90 %",
    lines=("Spent 90 of 100 EUR.", "", ".", "From now on: ä €"),
    link="https://reports.example/1",
)


def target(port: int) -> EmailTarget:
    return EmailTarget(
        recipients=("a@example.com", "b@example.com"),
        sender="bot@lender.example",
        host=LOOPBACK,
        port=port,
        protection="plain",
    )


def send(to: EmailTarget, notice: Notice = NOTICE) -> None:
    EmailChannel(to).send(notice, put_at=AT, timeout_seconds=5)


def refused(to: EmailTarget) -> NotSent:
    with pytest.raises(NotSent) as refusal:
        send(to)
    return refusal.value


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def test_a_notice_arrives_as_it_was_written(server: MailServer) -> None:
    send(target(server.port))
    (message,) = server.messages
    assert message["Subject"] == NOTICE.subject
    assert (message["From"], message["To"]) == ("bot@lender.example", "a@example.com, b@example.com")
    assert message["Date"].datetime == AT
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == [*NOTICE.lines, "", NOTICE.link]
    assert server.envelopes == [("bot@lender.example", ["a@example.com", "b@example.com"])]
    assert server.greeted == ["lender.example"]


def test_sent_again_it_is_known_by_its_message_id(server: MailServer) -> None:
    for _ in range(2):
        send(target(server.port))
    assert {message["Message-ID"] for message in server.messages} == {f"<{NOTICE.id}@lender.example>"}


def test_the_longest_subject_and_line_arrive_whole(server: MailServer) -> None:
    long = replace(NOTICE, subject="ü" * 160, lines=("x" * 1000,))
    send(target(server.port), long)
    (message,) = server.messages
    assert (message["Subject"], message.get_content().splitlines()[0]) == (long.subject, "x" * 1000)


def test_starttls_comes_before_the_log_in(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(tls=server_context(certificate), login=("desk", "secret")) as server:
        send(replace(target(server.port), protection="starttls", user="desk", password="secret"))
    assert server.was_encrypted == [True]


def test_tls_from_the_first_byte(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mail_server(tls=server_context(certificate), implicit=True) as server:
        send(replace(target(server.port), protection="implicit"))
    assert server.was_encrypted == [True]


@pytest.mark.parametrize("protection", ["starttls", "implicit"])
def test_a_certificate_that_nobody_vouches_for_gets_nothing(certificate: Path, protection: str) -> None:
    with mail_server(tls=server_context(certificate), implicit=protection == "implicit") as server:
        error = refused(replace(target(server.port), protection=protection))  # type: ignore[arg-type]  # one of them
    assert (error.reason, error.is_outage) == ("mail server: TLS failed", False)
    assert server.messages == []


def test_a_server_without_starttls_gets_neither_mail_nor_password(server: MailServer) -> None:
    error = refused(replace(target(server.port), protection="starttls", user="u", password="p"))
    assert (error.reason, error.is_outage) == ("no STARTTLS, or no log-in", False)
    assert server.messages == []


def test_a_wrong_password_is_no_outage() -> None:
    with mail_server(login=("desk", "secret")) as server:
        error = refused(replace(target(server.port), user="desk", password="wrong"))
    assert (error.reason, error.is_outage) == ("mail server: 535", False)


@pytest.mark.parametrize(("answer", "is_outage"), [("451 later", True), ("550 no jane.roe@example.com", False)])
def test_a_server_says_later_or_never(server: MailServer, answer: str, is_outage: bool) -> None:
    server.answers = [answer]
    error = refused(target(server.port))
    assert (error.reason, error.is_outage) == (f"mail server: {answer[:3]}", is_outage)


def test_one_refused_address_does_not_keep_it_from_the_others(server: MailServer) -> None:
    server.refused = {"a@example.com"}
    with log_lines() as lines:
        send(target(server.port))
    assert server.envelopes[0][1] == ["b@example.com"]
    (line,) = [line for line in lines if line["event"] == "notice.recipients_refused"]
    assert line["count"] == 1
    server.refused |= {"b@example.com"}
    error = refused(target(server.port))
    assert (error.reason, error.is_outage) == ("recipients refused", False)


def test_nobody_there_is_an_outage() -> None:
    error = refused(target(free_port()))
    assert (error.reason, error.is_outage) == ("mail server: ConnectionRefusedError", True)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_told() -> None:
    with silent_server() as port, pytest.raises(NotSent) as refusal:
        EmailChannel(target(port)).send(NOTICE, put_at=AT, timeout_seconds=0.05)
    assert (refusal.value.reason, refusal.value.is_outage) == ("mail server: timed out", True)


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"554 go away\r\n"])
def test_something_else_that_listens_there_is_told(greeting: bytes) -> None:
    with silent_server(greeting, closes=True) as port:
        error = refused(target(port))
    assert error.reason.startswith("mail server: ")


@contextmanager
def silent_server(greeting: bytes = b"", *, closes: bool = False) -> Iterator[int]:
    """Accepts a connection, says `greeting`, and then closes it or nothing."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        over = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(greeting)
                if not closes:
                    over.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join()
