"""Errors as RFC 9457 problem details: what a caller may know, and nothing that came from a user or a document."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One reason why a request was refused: a JSON pointer to the field, and the reason."""

    pointer: str
    detail: str


class AssistantError(Exception):
    """An error that a caller can do something about.

    Subclasses fix `type` (clients branch on it, it never changes), `title` (always the same words) and
    `status`. `detail` may name limits and fields of ours, never text from a user, a document or a model.
    """

    type: ClassVar[str] = "/problems/internal"
    title: ClassVar[str] = "Something went wrong on our side"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, str] | None = None,
    ) -> None:
        """`members` are the problem document's own beside those that all have."""
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})


class BadRequest(AssistantError):
    """The request could not be read at all: bad JSON, a body that is no text."""

    type = "/problems/bad-request"
    title = "The request cannot be read"
    status = HTTPStatus.BAD_REQUEST


class Unauthenticated(AssistantError):
    """No key or token that is let in came along. What is wrong with it is not said: that would help to guess one."""

    type = "/problems/unauthenticated"
    title = "This needs a valid key or token"
    status = HTTPStatus.UNAUTHORIZED

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="LoanCollateralCheck"'})


class Forbidden(AssistantError):
    """The principal has not the scope that the route declares, or may not come in this way."""

    type = "/problems/forbidden"
    title = "This key or token may not do that"
    status = HTTPStatus.FORBIDDEN


class NotFound(AssistantError):
    type = "/problems/not-found"
    title = "There is nothing here"
    status = HTTPStatus.NOT_FOUND


class MethodNotAllowed(AssistantError):
    type = "/problems/method-not-allowed"
    title = "This address does not take that method"
    status = HTTPStatus.METHOD_NOT_ALLOWED


class NotAcceptable(AssistantError):
    type = "/problems/not-acceptable"
    title = "The answer cannot be given in a format that the request accepts"
    status = HTTPStatus.NOT_ACCEPTABLE


class TooLarge(AssistantError):
    type = "/problems/too-large"
    title = "The request is too large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UriTooLong(AssistantError):
    type = "/problems/uri-too-long"
    title = "The address is too long"
    status = HTTPStatus.REQUEST_URI_TOO_LONG


class HeadersTooLarge(AssistantError):
    type = "/problems/headers-too-large"
    title = "The request's headers are too large"
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class UnsupportedMediaType(AssistantError):
    type = "/problems/unsupported-media-type"
    title = "The body is in a format that is not read here"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class InvalidRequest(AssistantError):
    """The request was read, but a field breaks a rule; `errors` names each field and the reason."""

    type = "/problems/invalid-request"
    title = "The request breaks a rule"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class QuotaExceeded(AssistantError):
    """A limit is used up. `retry_after_seconds` is when the same request may pass.

    Source of the type: https://iana.org/assignments/http-problem-types
    """

    type = "https://iana.org/assignments/http-problem-types#quota-exceeded"
    title = "Too many requests, or a day's allowance is used up"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(
        self,
        detail: str,
        *,
        retry_after_seconds: float,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, str] | None = None,
    ) -> None:
        wait = {"Retry-After": str(max(1, math.ceil(retry_after_seconds)))}
        super().__init__(detail, headers={**wait, **(headers or {})}, members=members)


class Unavailable(AssistantError):
    """Asking again later may help: `Retry-After` says so, after `RETRY_AFTER_SECONDS` where `headers` does not."""

    type = "/problems/unavailable"
    title = "A part that this needs is not available"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        wait = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        super().__init__(detail, errors=errors, headers={**wait, **(headers or {})})


class Misconfigured(AssistantError):
    """A setting cannot be used. The log says which one; the caller cannot do anything about it."""

    type = "/problems/misconfigured"
    title = "This service is not configured correctly"
    status = HTTPStatus.SERVICE_UNAVAILABLE


def problem_document(error: Exception, *, request_id: str) -> tuple[HTTPStatus, dict[str, Any]]:
    """Status and body for `error`; anything but an `AssistantError` becomes a 500 without a detail."""
    known = error if isinstance(error, AssistantError) else AssistantError()
    body: dict[str, Any] = {
        "type": known.type,
        "title": known.title,
        "status": int(known.status),
        "instance": f"/requests/{request_id}",
        "request_id": request_id,
    }
    if known.detail is not None:
        body["detail"] = known.detail
    if known.errors:
        body["errors"] = [{"pointer": one.pointer, "detail": one.detail} for one in known.errors]
    body |= known.members
    return known.status, body
