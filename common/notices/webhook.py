"""Notices to a webhook: one POST of JSON, signed as Standard Webhooks has it; no redirect is followed.

Source: https://www.standardwebhooks.com
"""

import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from common.no_redirects import NoRedirects
from common.notices.channels import ChannelName, NotSent, TimedOut
from common.notices.notice import Notice
from common.notices.targets import WebhookTarget
from common.version import VERSION

_NOT_NOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class WebhookChannel:
    """Posts to `target`. Any 2xx is a yes; what the answer says is not read. `clock` gives seconds since 1970."""

    name: ChannelName = "webhook"

    def __init__(self, target: WebhookTarget, clock: Callable[[], float] = time.time) -> None:
        self._target = target
        self._clock = clock
        # Over plain http, to this machine, no proxy is asked; over https it sees nothing but whom it connects to.
        proxies = [ProxyHandler({})] if target.url.lower().startswith("http:") else []
        self._opener = build_opener(NoRedirects, *proxies)

    def send(self, notice: Notice, *, put_at: datetime, timeout_seconds: float) -> None:
        body = json.dumps(_content(notice, put_at)).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"LoanCollateralCheck/{VERSION}",
            **signature_headers(f"msg_{notice.id}", int(self._clock()), body, self._target.secret),
        }
        request = Request(self._target.url, data=body, headers=headers, method="POST")  # noqa: S310  # http(s) alone: `webhook_target`
        try:
            self._opener.open(request, timeout=timeout_seconds).close()
        except HTTPError as error:
            error.close()
            is_outage = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _NOT_NOW
            raise NotSent(f"webhook: {error.code}", is_outage=is_outage) from error
        except (OSError, HTTPException) as error:  # a certificate may be mended, as a name or a route
            reason = error.reason if isinstance(error, URLError) and isinstance(error.reason, OSError) else error
            if isinstance(reason, TimeoutError):
                raise TimedOut("webhook") from error
            raise NotSent(f"webhook: {type(reason).__name__}", is_outage=True) from error


def signature_headers(message_id: str, timestamp: int, body: bytes, secret: bytes | None) -> Mapping[str, str]:
    """Id and time of the attempt, and where there is a secret the signature over both and the body.

    A receiver checks the signature, refuses times that are minutes off, and does nothing for an id that it had before.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        signed = hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, "sha256")
        headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
    return headers


def _content(notice: Notice, put_at: datetime) -> Mapping[str, object]:
    """`text` is the whole notice: the one field that chat services look for."""
    data = {"key": notice.key, "subject": notice.subject, "lines": list(notice.lines), "link": notice.link}
    return {
        "type": notice.kind,
        "timestamp": put_at.isoformat(),
        "data": data,
        "text": f"{notice.subject}\n{notice.body}".rstrip(),
    }
