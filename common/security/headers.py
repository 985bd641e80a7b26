"""What every answer carries for the browser that may show it, and which pages elsewhere may call us.

Source: OWASP Secure Headers Project, https://owasp.org/www-project-secure-headers/
"""

import functools
from urllib.parse import urlsplit

import flask

from common.settings import InvalidSettings, settings

_ALWAYS = (
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (
        "Permissions-Policy",
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        "microphone=(), midi=(), payment=(), usb=()",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
    ("X-Permitted-Cross-Domain-Policies", "none"),
)
_NO_STORE = "no-store, max-age=0"
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PREFLIGHT_SECONDS = 600
_SENT = "Authorization, Content-Type, Idempotency-Key, X-API-Key, X-Request-ID, traceparent"
_READ = "Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID, traceparent"


def page_policy(nonce: str) -> str:
    """The Content-Security-Policy of a page whose scripts and styles carry `nonce`; nothing comes from elsewhere."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def dress(request: flask.Request, response: flask.Response, *, nonce: str) -> None:
    """Put the headers on; what the answer has already stays."""
    headers = response.headers
    headers.extend(_ALWAYS)
    if "Cache-Control" not in headers:
        headers.add("Cache-Control", _NO_STORE)
    is_page = response.mimetype == "text/html"
    headers.add("Content-Security-Policy", page_policy(nonce) if is_page else _DATA_POLICY)
    allowed = settings().cors_origins
    if allowed is not None:
        headers.add("Vary", "Origin")
        if (origin := allowed_origin(request)) is not None:
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            headers.add("Access-Control-Allow-Origin", origin)
            headers.add("Access-Control-Expose-Headers", _READ)


def allowed_origin(request: flask.Request) -> str | None:
    """The request's `Origin`, where it is one of CORS_ORIGINS: compared as a whole, none of them a pattern."""
    origin = request.headers.get("Origin")
    return origin if origin in _origins(settings().cors_origins or "") else None


def check_origins() -> None:
    """
    Raises:
        InvalidSettings: CORS_ORIGINS names what is no origin.
    """
    _origins(settings().cors_origins or "")


def is_preflight(request: flask.Request) -> bool:
    """Whether a browser asks if a page of an allowed origin may send its request."""
    return (
        request.method == "OPTIONS"
        and "Access-Control-Request-Method" in request.headers
        and allowed_origin(request) is not None
    )


def preflight(methods: str) -> flask.Response:
    """The answer to that: `methods` of the address ("GET, POST"), and the headers that may come along."""
    headers = {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": _SENT,
        "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
    }
    return without_type(flask.Response(status=204, headers=headers))


def without_type(response: flask.Response) -> flask.Response:
    """`response`, which has no body, without the type of a page that Flask gives it."""
    response.headers.remove("Content-Type")
    return response


@functools.lru_cache(maxsize=1)
def _origins(listed: str) -> frozenset[str]:
    origins = frozenset(one.strip() for one in listed.split(",")) - {""}
    for one in origins:
        parts = urlsplit(one)
        is_origin = parts.scheme in {"http", "https"} and parts.hostname and one == f"{parts.scheme}://{parts.netloc}"
        if not is_origin or "*" in one:
            raise InvalidSettings("CORS_ORIGINS: each must be https://HOST or https://HOST:PORT, without a path or *")
    return origins
