"""Who a request comes from: an API key, an ID token that Google signed, or the person at this machine.

One credential comes along, as `X-API-Key: KEY`, `Authorization: Bearer KEY` or `Authorization: Bearer TOKEN`. Every
refusal is the same problem with the same headers: it does not help to tell a wrong key from an ended one, or from none.
What checks keys and tokens is imported with the first of each: the health function never sees one.
"""

import re
from dataclasses import dataclass
from typing import Literal

import flask

from common.metrics import metrics_collector
from common.problems import QuotaExceeded, Unauthenticated, Unavailable
from common.security import anonymous
from common.security.callers import Callers
from common.security.client_address import limit_group
from common.security.principal import ANONYMOUS, Principal
from common.settings import settings

# RFC 6750, section 2.1. A repeated header arrives joined by a comma, which neither a key nor a token has.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Credential:
    """What came along. `kind` unreadable: it cannot be a key or token, or there are two."""

    kind: Literal["key", "token", "unreadable"]
    text: str


_UNREADABLE = _Credential("unreadable", "")


def authenticate(request: flask.Request, callers: Callers, address: str) -> Principal:
    """The principal of `request`, which comes from `address`.

    `callers` is what functions.json says of the function: "google" takes ID tokens alone (keys too with EVENTS_BY_KEY),
    anything else keys as well.

    Raises:
        Unauthenticated: no credential came along, more than one, or one that is not let in.
        QuotaExceeded: too many that came from this address were refused; this one was not looked at.
        Unavailable: the database, the limits or the issuer's keys are needed and away.
    """
    credential = _credential(request)
    if credential is None:
        return _without_credential(request, address)
    try:
        principal = _checked(credential, callers, address)
    except QuotaExceeded:
        metrics_collector.record_authentication(credential.kind, "limited")
        raise
    except Unavailable:
        metrics_collector.record_authentication(credential.kind, "unavailable")
        raise
    metrics_collector.record_authentication(credential.kind, "accepted" if principal else "refused")
    if principal is None:
        raise Unauthenticated
    return principal


def _without_credential(request: flask.Request, address: str) -> Principal:
    if not anonymous.is_granted(request, address):
        metrics_collector.record_authentication("none", "refused")
        raise Unauthenticated
    metrics_collector.record_authentication("anonymous", "accepted")
    return ANONYMOUS


def _checked(credential: _Credential, callers: Callers, address: str) -> Principal | None:
    from common.security.limits import limits

    group = limit_group(address)
    limits().before_credentials(group)
    principal = _principal(credential, callers)
    if principal is None:
        limits().credentials_refused(group)
    return principal


def _principal(credential: _Credential, callers: Callers) -> Principal | None:
    if credential.kind == "token":
        from common.security.id_tokens import id_tokens

        return id_tokens().check(credential.text, is_for_google_alone=callers == "google")
    if credential.kind == "key" and (callers != "google" or settings().events_by_key):
        from common.security.api_keys import api_keys

        return api_keys().check(credential.text)
    return None


def _credential(request: flask.Request) -> _Credential | None:
    """What came along, or None where nothing did. A header that is there and empty is a credential that is wrong."""
    key = request.headers.get("X-API-Key")
    authorization = request.headers.get("Authorization")
    if key is None and authorization is None:
        return None
    if authorization is None:
        return _Credential("key", key or "")
    bearer = _BEARER.fullmatch(authorization)
    if key is not None or bearer is None:
        return _UNREADABLE
    return _Credential("token" if "." in bearer[1] else "key", bearer[1])  # a JWT has two dots, a key none
