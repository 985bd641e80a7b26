"""The spine: one `Function` gives every route its correlation, checks, telemetry and errors.

The Functions Framework hands every path and method to one callable; `Function.entry_point` makes that callable.
What comes in passes, in this order: correlation, address and method, format, guards, size, body. Whatever escapes
becomes a problem document, here and nowhere else.
"""

import io
import json
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import FunctionType
from typing import Any, Generic, TypeVar

import flask
import werkzeug.exceptions
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import Headers
from werkzeug.routing import Map, Rule
from werkzeug.wsgi import get_input_stream

from common.logging import frames_of, get_logger, log_context, setup_logging
from common.openapi import openapi_document
from common.problems import (
    CONTENT_TYPE,
    AssistantError,
    BadRequest,
    FieldError,
    InvalidRequest,
    MethodNotAllowed,
    Misconfigured,
    NotAcceptable,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
    UriTooLong,
    problem_document,
)
from common.settings import InvalidSettings, settings

MAX_URL_CHARACTERS = 2_048
MAX_POINTER_CHARACTERS = 100
SMALL_BODY_BYTES = 64_000
MAX_PASSED_OVER_BYTES = 32 * 1024 * 1024  # what Cloud Run takes at most
PIECE_BYTES = 65_536

Body = TypeVar("Body", bound=BaseModel | None)

log = get_logger("function")


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """What ties a request to its log lines and spans: `request_id` (the caller's `X-Request-ID` where it is
    well-formed) and `trace_id` (32 hex digits, from `traceparent` or `X-Cloud-Trace-Context`, else new)."""

    request_id: str
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Body]):
    """One request that passed all checks. `deadline` is a reading of `time.monotonic()`."""

    correlation: Correlation
    body: Body
    path: Mapping[str, str]
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with a status other than 200, or without a body."""

    status: HTTPStatus
    body: BaseModel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStream:
    """Server-Sent Events, as (event name, data). When the client goes away the generator is closed."""

    events: Generator[tuple[str, BaseModel], None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path. `path` may hold `{name}`, or `{name:path}` for a rest with slashes.

    `scope` and `limit` are declarations that guards read.
    """

    method: str
    path: str
    summary: str
    handler: Callable[[Call[Any]], BaseModel | Reply | EventStream]
    scope: str
    limit: str
    request: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: HTTPStatus = HTTPStatus.OK
    streams: bool = False
    max_body_bytes: int = SMALL_BODY_BYTES

    @property
    def produces(self) -> tuple[str, ...]:
        return ("application/json", "text/event-stream") if self.streams else ("application/json",)


# Authentication and limits attach here: a guard sees each request before its body is read, and refuses it by
# raising an `AssistantError`.
Guard = Callable[[flask.Request, Route, Correlation], None]


class Live(BaseModel):
    """This process runs and takes requests; nothing else is looked at."""

    status: str = "alive"


@dataclass(frozen=True, kw_only=True)
class Function:
    """A deployed function: its routes and the checks before them."""

    name: str
    title: str
    version: str
    routes: Sequence[Route]
    guards: Sequence[Guard] = ()
    timeout_seconds: float = 60.0
    _map: Map = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rules = [Rule(_werkzeug_path(route.path), methods=[route.method], endpoint=route) for route in self.all_routes]
        object.__setattr__(self, "_map", Map(rules, strict_slashes=False, merge_slashes=False))

    @property
    def all_routes(self) -> tuple[Route, ...]:
        """The function's own routes, and the two that every function has."""
        return (
            *self.routes,
            Route(
                method="GET", path="/live", summary="Whether this process runs.", answer=Live,
                handler=lambda _call: Live(), scope="public", limit="none",
            ),
            Route(
                method="GET", path="/openapi.json", summary="This description, as OpenAPI 3.1.",
                handler=self._describe, scope="public", limit="none",
            ),
        )  # fmt: skip

    def entry_point(self) -> Callable[[flask.Request], flask.Response]:
        """The plain function that the framework asks for; it checks `isinstance(..., FunctionType)`."""
        setup_logging(production=settings().environment == "production", level=settings().log_level)

        def serve(request: flask.Request) -> flask.Response:
            return self(request)

        assert isinstance(serve, FunctionType)
        serve.__name__ = self.name
        return serve

    def __call__(self, request: flask.Request) -> flask.Response:
        started = time.monotonic()
        correlation = _correlate(request.headers)
        with log_context(request_id=correlation.request_id, trace_id=correlation.trace_id, function=self.name):
            route: Route | None = None
            try:
                route, path = self._match(request)
                response = self._answer(request, route, path, correlation, started)
            # The one place where everything is caught: what escaped here would be answered by the framework in
            # HTML, and logged with its whole message.
            except Exception as error:  # noqa: BLE001
                response = _problem(error, correlation)
            _pass_over_body(request)
            response.headers["X-Request-ID"] = correlation.request_id
        if response.is_streamed:  # its line tells how long the whole stream took
            response.call_on_close(lambda: self._log_access(request, route, response, correlation, started))
        else:
            self._log_access(request, route, response, correlation, started)
        return response

    def _match(self, request: flask.Request) -> tuple[Route, Mapping[str, str]]:
        if len(request.full_path) > MAX_URL_CHARACTERS:
            raise UriTooLong(f"An address has at most {MAX_URL_CHARACTERS} characters.")
        try:
            return self._map.bind("").match(request.path, request.method)
        except werkzeug.exceptions.MethodNotAllowed as error:
            allowed = ", ".join(sorted(error.valid_methods or ()))
            raise MethodNotAllowed(f"Allowed: {allowed}.", headers={"Allow": allowed}) from None
        except werkzeug.exceptions.HTTPException:
            raise NotFound from None

    def _answer(
        self,
        request: flask.Request,
        route: Route,
        path: Mapping[str, str],
        correlation: Correlation,
        started: float,
    ) -> flask.Response:
        if request.accept_mimetypes and request.accept_mimetypes.best_match(route.produces) is None:
            raise NotAcceptable(f"This address gives {' or '.join(route.produces)}.")
        for guard in self.guards:
            guard(request, route, correlation)
        body = _read_body(request, route.request, route.max_body_bytes) if route.request is not None else None
        call = Call(correlation=correlation, body=body, path=path, deadline=started + self.timeout_seconds)
        answer = route.handler(call)
        if isinstance(answer, EventStream):
            return flask.Response(
                _server_sent_events(answer, correlation, self.name),
                content_type="text/event-stream",
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            )
        reply = answer if isinstance(answer, Reply) else Reply(status=route.status, body=answer)
        if reply.body is None:
            return flask.Response(status=reply.status)
        return flask.Response(reply.body.model_dump_json(), status=reply.status, content_type="application/json")

    def _describe(self, _call: Call[None]) -> BaseModel:
        return openapi_document(self.title, self.version, self.all_routes)

    def _log_access(
        self,
        request: flask.Request,
        route: Route | None,
        response: flask.Response,
        correlation: Correlation,
        started: float,
    ) -> None:
        with log_context(request_id=correlation.request_id, trace_id=correlation.trace_id, function=self.name):
            log.info(
                "request.finished",
                method=request.method if route else "-",
                route=route.path if route else "-",  # the template: an address may hold anything
                status=response.status_code,
                bytes_in=request.content_length or 0,
                duration_ms=round((time.monotonic() - started) * 1000, 1),
            )


def _werkzeug_path(path: str) -> str:
    return re.sub(r"\{(\w+):path\}", r"<path:\1>", re.sub(r"\{(\w+)\}", r"<\1>", path))


_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_CLOUD_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/\d{1,20})?(?:;o=\d)?")


def _correlate(headers: Headers) -> Correlation:
    """Source: https://www.w3.org/TR/trace-context/ and https://cloud.google.com/trace/docs/trace-context"""
    wanted = headers.get("X-Request-ID", "")
    request_id = wanted if _REQUEST_ID.fullmatch(wanted) else secrets.token_hex(16)
    trace = _TRACEPARENT.fullmatch(headers.get("traceparent", "")) or _CLOUD_TRACE.fullmatch(
        headers.get("X-Cloud-Trace-Context", "")
    )
    trace_id = trace[1].lower() if trace and trace[1].strip("0") else secrets.token_hex(16)
    return Correlation(request_id=request_id, trace_id=trace_id)


def _read_body(request: flask.Request, model: type[BaseModel], max_bytes: int) -> BaseModel:
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("The body must be JSON, uncompressed, sent as application/json.")
    request.max_content_length = max_bytes + 1  # one more: a body that comes in chunks is cut there without a word
    try:
        raw = request.get_data(cache=False)
        is_too_large = len(raw) > max_bytes
    except werkzeug.exceptions.RequestEntityTooLarge:
        is_too_large = True
    if is_too_large:
        raise TooLarge(f"The body has more than {max_bytes:,} bytes.")
    if not raw:
        raise BadRequest("The body is empty.")
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise _invalid(error) from None


def _pass_over_body(request: flask.Request) -> None:
    """Read away what is left of the body, so that the client is done sending and takes the answer.

    The framework does the same after us, but whole into memory, and an oversized body makes it fail there
    (functions_framework.read_request); so it finds nothing left. At most `MAX_PASSED_OVER_BYTES` are waited for.
    """
    if request.environ.get("wsgi.input_terminated"):  # the server itself knows where the body ends
        body = request.environ["wsgi.input"]
    else:
        body = request.stream if "stream" in request.__dict__ else get_input_stream(request.environ)
    left = MAX_PASSED_OVER_BYTES
    try:
        while left > 0 and (piece := body.read(min(left, PIECE_BYTES))):
            left -= len(piece)
    except (werkzeug.exceptions.HTTPException, OSError) as error:
        log.info("request.body_left", error_type=type(error).__name__)  # larger still, or the client went away
    request.__dict__["stream"] = io.BytesIO()  # where werkzeug keeps the stream that is read


def _invalid(error: ValidationError) -> AssistantError:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    if any(one["type"] == "json_invalid" for one in found):
        return BadRequest(f"The body is no valid JSON. {found[0]['msg']}.")
    return InvalidRequest(
        "Each entry of `errors` names a field and the reason.",
        errors=[FieldError(pointer=_pointer(one["loc"]), detail=one["msg"]) for one in found[:20]],
    )


def _pointer(location: tuple[int | str, ...]) -> str:
    """A JSON pointer (RFC 6901). An unknown field's name is the caller's own text, so it is bounded."""
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in location]
    printable = "".join(letter for letter in "/" + "/".join(parts) if letter.isprintable())
    return printable[:MAX_POINTER_CHARACTERS] if location else ""


def _problem(error: Exception, correlation: Correlation) -> flask.Response:
    if isinstance(error, InvalidSettings):  # its message names variables, never their values
        log.error("settings.invalid", reason=str(error))
        error = Misconfigured()
    elif not isinstance(error, AssistantError) or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        reason = type(error.__cause__).__name__ if error.__cause__ else None
        log.error("request.failed", error_type=type(error).__name__, reason=reason, frames=frames_of(error))
    status, body = problem_document(error, request_id=correlation.request_id)
    headers = error.headers if isinstance(error, AssistantError) else {}
    return flask.Response(json.dumps(body), status=status, content_type=CONTENT_TYPE, headers=headers)


def _server_sent_events(stream: EventStream, correlation: Correlation, name: str) -> Iterator[str]:
    """Source: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    with log_context(request_id=correlation.request_id, trace_id=correlation.trace_id, function=name):
        try:
            for event, data in stream.events:
                yield f"event: {event}\ndata: {data.model_dump_json()}\n\n"
        except Exception as error:  # noqa: BLE001  # the status line is gone: the problem is told as an event
            body = _problem(error, correlation).get_data(as_text=True)
            yield f"event: error\ndata: {body}\n\n"
        finally:
            stream.events.close()
