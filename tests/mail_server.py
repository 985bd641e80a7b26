"""A real mail server on loopback, by aiosmtpd, that keeps what it is given."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers import LOOPBACK, free_port


@dataclass
class MailServer:
    """`messages` as they came, `envelopes` beside them: sender and recipients. `refused` addresses get a 550;
    `answers` are given to the next messages instead of taking them."""

    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)
    greeted: list[str] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)

    # The names and Any are aiosmtpd's.
    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.greeted.append(hostname)
        return responses

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(cast("EmailMessage", message_from_bytes(content, policy=cast("Any", default))))
        self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos)))
        assert server.transport is not None
        self.was_encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 ok"


@contextmanager
def mail_server(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: tuple[str, str] | None = None
) -> Iterator[MailServer]:
    """A server until the end of the block. With `tls` it insists on STARTTLS, or speaks TLS at once (`implicit`); with
    `login`, a user and a password, it lets in nobody else (without `tls` also who does not log in)."""
    server = MailServer(port=free_port())

    def authenticate(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == login, handled=False)

    options: dict[str, Any] = {}  # Any: keyword arguments
    if tls is not None:
        options |= {"ssl_context": tls} if implicit else {"tls_context": tls, "require_starttls": True}
    if login is not None:
        options |= {
            "authenticator": authenticate,
            "auth_required": tls is not None,
            "auth_require_tls": tls is not None,
        }
    controller = Controller(server, hostname=LOOPBACK, port=server.port, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
