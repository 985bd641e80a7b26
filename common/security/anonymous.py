"""Requests without a key, on one's own machine: `make run` answers the person who started it, and nobody else.

The emulator alone grants this, for the address it listens on. A request counts as that person's when it comes from
this machine, not through a proxy, under a name of this machine (a page elsewhere may let its own name point here, which
is DNS rebinding), and not from a page of another origin.
"""

import re

import flask

from common.logging import component_logger
from common.security.client_address import is_loopback
from common.security.headers import allowed_origin
from common.settings import InvalidSettings, Settings, settings

log = component_logger("security")

_PROXY_HEADERS = ("forwarded", "x-forwarded-", "x-real-ip", "via")  # what a proxy's headers begin with
_LOCAL_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)

_granted_hosts: set[str] = set()  # of this process; the one that serves is the one that grants


def check_may_grant(settings: Settings) -> bool:
    """Whether requests without a key may be let in under these settings.

    Raises:
        InvalidSettings: ANONYMOUS asks for what is not safe: in production, or on an address that others reach.
    """
    is_safe = not settings.is_production and _is_local(settings.host)
    if settings.anonymous and not is_safe:
        raise InvalidSettings(
            "ANONYMOUS: requests without a key are let in only with ENVIRONMENT=development and a HOST that is this "
            "machine's own, as 127.0.0.1"
        )
    return is_safe and settings.anonymous is not False


def grant(host: str) -> None:
    """From now on this process lets in requests without a key, as `is_granted` says. For the emulator, once it listens
    on `host`.

    Raises:
        InvalidSettings: others can reach `host`.
    """
    if not _is_local(host):
        raise InvalidSettings("HOST: requests without a key are let in only on an address of this machine's own")
    _granted_hosts.add(host)
    log.warning("access.anonymous", host=host)


def withdraw() -> None:
    """Let nobody in without a key any more."""
    _granted_hosts.clear()


def refuse_outside_emulator() -> None:
    """For a function that starts: ANONYMOUS=true has no meaning where nothing was granted.

    Raises:
        InvalidSettings: it is set all the same.
    """
    if settings().anonymous and not _granted_hosts:
        raise InvalidSettings("ANONYMOUS: only the local emulator (loancheck run) lets in requests without a key")


def is_granted(request: flask.Request, address: str) -> bool:
    """Whether `request`, which comes from `address`, is let in without a key."""
    return (
        bool(_granted_hosts)
        and is_loopback(request.remote_addr or "")
        and is_loopback(address)
        and not any(name.lower().startswith(_PROXY_HEADERS) for name, _ in request.headers)
        and _LOCAL_HOST.fullmatch(request.headers.get("Host", "")) is not None
        and _is_from_here(request)
    )


def _is_from_here(request: flask.Request) -> bool:
    """Whether no page of another origin sends this, as far as browsers say: they set both headers, pages cannot.

    Source: https://www.w3.org/TR/fetch-metadata/, https://fetch.spec.whatwg.org/#origin-header
    """
    if allowed_origin(request) is not None:
        return True
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return False
    return origin is None or origin.lower() == f"http://{request.headers['Host'].lower()}"


def _is_local(host: str) -> bool:
    return host.lower() == "localhost" or is_loopback(host)
