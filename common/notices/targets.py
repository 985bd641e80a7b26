"""Where notices go, as the settings say: mail addresses and a server, a webhook, or nowhere but the log."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from common.security.client_address import is_loopback
from common.settings import InvalidSettings, Secret, Settings, settings

MAX_RECIPIENTS = 20
MIN_SECRET_BYTES = 16
SUBMISSION_PORT, SUBMISSIONS_PORT = 587, 465

# Addresses alone, without names beside them: what could end a header's value or add to it is none.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,188}[A-Za-z0-9])?")

Protection = Literal["starttls", "implicit", "plain"]
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailTarget:
    """Who gets notices by mail, and the server that takes them. `user` empty: it asks for none."""

    recipients: tuple[str, ...]
    sender: str
    host: str
    port: int
    protection: Protection
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """`url` may hold a token in its path, so it stands in no log; `secret` signs, where there is one."""

    url: str = field(repr=False)
    secret: bytes | None = field(default=None, repr=False)


def check_targets() -> None:
    """For a function that sends notices, at its start: a setting that cannot be used is named then, not at the first
    notice.

    Raises:
        InvalidSettings: as `email_target` and `webhook_target`.
    """
    email_target(settings())
    webhook_target(settings())


def email_target(chosen: Settings) -> EmailTarget | None:
    """None where no address gets notices.

    Raises:
        InvalidSettings: an address or the server's URL cannot be used; without their texts.
    """
    if chosen.notice_email_to is None:
        return None
    recipients = tuple(filter(None, map(str.strip, chosen.notice_email_to.split(","))))
    if not 0 < len(recipients) <= MAX_RECIPIENTS or not all(map(_ADDRESS.fullmatch, recipients)):
        raise InvalidSettings(f"NOTICE_EMAIL_TO: must be 1 to {MAX_RECIPIENTS} addresses, separated by commas")
    sender = chosen.notice_email_from or recipients[0]
    if not _ADDRESS.fullmatch(sender):
        raise InvalidSettings("NOTICE_EMAIL_FROM: must be an address")
    if chosen.smtp_url is None:
        raise InvalidSettings("SMTP_URL: NOTICE_EMAIL_TO needs a server that takes the mail")
    parts = _split("SMTP_URL", chosen.smtp_url, ("smtp", "smtps"))
    host, port = _host_and_port("SMTP_URL", parts)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise InvalidSettings("SMTP_URL: has nothing after the port")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) is not bool(password) or not (user + password).isascii() or not (user + password + "-").isprintable():
        raise InvalidSettings("SMTP_URL: user and password come together, in ASCII, others as %XX")
    is_implicit = parts.scheme == "smtps"
    return EmailTarget(
        recipients=recipients,
        sender=sender,
        host=host,
        port=port or (SUBMISSIONS_PORT if is_implicit else SUBMISSION_PORT),
        protection="implicit" if is_implicit else "plain" if _is_here(host) else "starttls",
        user=user,
        password=password,
    )


def webhook_target(chosen: Settings) -> WebhookTarget | None:
    """None where there is no webhook.

    Raises:
        InvalidSettings: its URL or secret cannot be used; without their texts.
    """
    if chosen.notice_webhook_url is None:
        return None
    parts = _split("NOTICE_WEBHOOK_URL", chosen.notice_webhook_url, ("https", "http"))
    host, _ = _host_and_port("NOTICE_WEBHOOK_URL", parts)
    if parts.scheme == "http" and not _is_here(host):
        raise InvalidSettings("NOTICE_WEBHOOK_URL: must begin with https://")
    if parts.username is not None:
        raise InvalidSettings("NOTICE_WEBHOOK_URL: holds no user and password")
    url = chosen.notice_webhook_url.get_secret_value()
    secret = chosen.notice_webhook_secret
    return WebhookTarget(url=url, secret=_secret(secret.get_secret_value()) if secret is not None else None)


def _split(setting: str, url: Secret, schemes: tuple[str, ...]) -> SplitResult:
    text = url.get_secret_value()
    parts = _unless_broken(lambda: urlsplit(text), setting)
    if parts.scheme not in schemes or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidSettings(f"{setting}: must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return parts


def _host_and_port(setting: str, parts: SplitResult) -> tuple[str, int | None]:
    host, port = parts.hostname, _unless_broken(lambda: parts.port, setting)
    if not host or port == 0:
        raise InvalidSettings(f"{setting}: must name a host")
    return host, port


def _unless_broken(read: Callable[[], Part], setting: str) -> Part:
    """What `read` finds in a URL; urllib raises a ValueError that may hold the URL's text."""
    try:
        return read()
    except ValueError:
        raise InvalidSettings(f"{setting}: is no URL") from None


def _is_here(host: str) -> bool:
    return host == "localhost" or is_loopback(host)


def _secret(text: str) -> bytes:
    """Source: https://www.standardwebhooks.com, symmetric signatures."""
    encoded = text.removeprefix("whsec_")
    try:
        secret = text.encode() if encoded == text else base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidSettings("NOTICE_WEBHOOK_SECRET: what follows whsec_ must be base64") from None
    if len(secret) < MIN_SECRET_BYTES:
        raise InvalidSettings(f"NOTICE_WEBHOOK_SECRET: must have at least {MIN_SECRET_BYTES} characters")
    return secret
