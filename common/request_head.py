"""What is read of a request before its body: its size, the id it comes under, the format it wants."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import flask
from werkzeug.datastructures import MIMEAccept

from common.pii import mask
from common.problems import HeadersTooLarge, NotAcceptable
from common.settings import settings
from common.telemetry import semconv
from common.tracing import current_span

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """What ties a request to its log lines and spans: `request_id` (the caller's `X-Request-ID` where it is
    well-formed and no personal data) and `trace_id` (32 hex digits, as `common.tracing.server_span` has it)."""

    request_id: str
    trace_id: str


def correlate(request: flask.Request) -> Correlation:
    """Within the exchange's span, which gets the id too."""
    wanted = request.headers.get("X-Request-ID", "")
    is_usable = _REQUEST_ID.fullmatch(wanted) and mask(wanted) == wanted  # it goes into every line of the log
    request_id = wanted if is_usable else secrets.token_hex(16)
    span = current_span()
    assert span is not None  # the exchange's
    span.set(semconv.REQUEST_ID, request_id)
    return Correlation(request_id=request_id, trace_id=span.context.trace_id)


def check_headers(request: flask.Request) -> None:
    """
    Raises:
        HeadersTooLarge: together they are longer than the setting says.
    """
    most = settings().max_header_bytes
    if sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers) > most:
        raise HeadersTooLarge(f"The headers have more than {most:,} bytes.")


def chosen_type(request: flask.Request, produces: Sequence[str]) -> str:
    """The one of `produces` that the caller likes best, the first where it does not care.

    Raises:
        NotAcceptable: it takes none of them.
    """
    if not request.accept_mimetypes:
        return produces[0]
    # Without parameters, as Prometheus's `version=1.0.0`: there is one version of each type.
    accepted = MIMEAccept([(wanted.partition(";")[0], quality) for wanted, quality in request.accept_mimetypes])
    chosen = accepted.best_match(produces)
    if chosen is None:
        raise NotAcceptable(f"This address gives {' or '.join(produces)}.")
    return chosen
