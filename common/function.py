"""The spine: one `Function` gives every route its correlation, checks, telemetry and errors.

The Functions Framework hands every path and method to one callable; `Function.entry_point` makes that callable.
What comes in passes, in this order: address and method, correlation, format, guards, size, body. Whatever escapes
becomes a problem document, here and nowhere else. Every request has a span, measures and a line (`common.exchange`).
"""

import json
import re
import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from http import HTTPStatus
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import flask
import werkzeug.exceptions
from werkzeug.datastructures import MIMEAccept
from werkzeug.routing import Map, Rule

from common.exchange import Exchange, Streamed
from common.logging import bind_context, component_logger, frames_of, setup_logging
from common.metrics import exposition
from common.model_names import ModelName, model_of
from common.pii import mask
from common.problems import (
    CONTENT_TYPE,
    AssistantError,
    MethodNotAllowed,
    Misconfigured,
    NotAcceptable,
    NotFound,
    UriTooLong,
    problem_document,
)
from common.request_body import pass_over_body, read_body
from common.settings import InvalidSettings
from common.telemetry import semconv
from common.tracing import current_span, setup_tracing

if TYPE_CHECKING:  # pydantic is for bodies and answers; a process runs and is asked for its health without it
    from pydantic import BaseModel

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
MAX_URL_CHARACTERS = 2_048
SMALL_BODY_BYTES = 64_000

Body = TypeVar("Body", bound="BaseModel | None")

log = component_logger("function")


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """What ties a request to its log lines and spans: `request_id` (the caller's `X-Request-ID` where it is
    well-formed and no personal data) and `trace_id` (32 hex digits, as `common.tracing.server_span` has it)."""

    request_id: str
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Body]):
    """One request that passed all checks. `deadline` is a reading of `time.monotonic()`; `content_type` is that of
    the route's `produces` which the caller likes best."""

    correlation: Correlation
    body: Body
    path: Mapping[str, str]
    deadline: float
    content_type: str = JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with a status other than the route's, without a body, or with one of another type than JSON.

    `content` goes out as it is, in place of `body`.
    """

    status: HTTPStatus = HTTPStatus.OK
    body: "BaseModel | None" = None
    content: bytes | None = None
    content_type: str = JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStream:
    """Server-Sent Events, as (event name, data). When the client goes away the generator is closed."""

    events: "Generator[tuple[str, BaseModel], None, None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path. `path` may hold `{name}`, or `{name:path}` for a rest with slashes.

    `scope` and `limit` are declarations that guards read. `produces` are the types it answers with, the first one
    where the caller does not care; `also` are other statuses than `status` that carry an `answer`. Models are told by
    name so that they are imported when the first body is read (`common.model_names`).
    """

    method: str
    path: str
    summary: str
    handler: "Callable[[Call[Any]], BaseModel | Reply | EventStream]"
    scope: str
    limit: str
    request: "type[BaseModel] | ModelName | None" = None
    answer: "type[BaseModel] | ModelName | None" = None
    status: HTTPStatus = HTTPStatus.OK
    also: tuple[HTTPStatus, ...] = ()
    produces: tuple[str, ...] = (JSON,)
    max_body_bytes: int = SMALL_BODY_BYTES


# Authentication and limits attach here: a guard sees each request before its body is read, and refuses it by
# raising an `AssistantError`.
Guard = Callable[[flask.Request, Route, Correlation], None]


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
        """The function's own routes, and those that every function has."""
        return (
            *self.routes,
            Route(
                method="GET", path="/live", summary="Whether this process runs.", answer="common.openapi:Live",
                handler=_live, scope="public", limit="none",
            ),
            Route(
                method="GET", path="/metrics", summary="This instance's metrics, for Prometheus.",
                handler=_metrics, produces=("text/plain", "application/openmetrics-text"),
                scope="metrics:read", limit="none",
            ),
            Route(
                method="GET", path="/openapi.json", summary="This description, as OpenAPI 3.1.",
                handler=self._describe, scope="public", limit="none",
            ),
        )  # fmt: skip

    def entry_point(self) -> Callable[[flask.Request], flask.Response]:
        """The plain function that the framework asks for; it checks `isinstance(..., FunctionType)`."""
        setup_logging()
        setup_tracing()

        def serve(request: flask.Request) -> flask.Response:
            return self(request)

        assert isinstance(serve, FunctionType)
        serve.__name__ = self.name
        return serve

    def __call__(self, request: flask.Request) -> flask.Response:
        """Each request in a context of its own, which a stream goes on in after this has returned."""
        context = copy_context()
        return context.run(self._serve, request, context)

    def _serve(self, request: flask.Request, context: Context) -> flask.Response:
        matched = self._match(request)
        route = matched[0] if isinstance(matched, tuple) else None
        exchange = Exchange(
            self.name,
            method=request.method,
            headers=request.headers,
            route=route.path if route else None,
            bytes_in=request.content_length or 0,
        )
        correlation = _correlate(request)
        bind_context(request_id=correlation.request_id, function=self.name)
        try:
            if isinstance(matched, AssistantError):
                raise matched
            response = self._answer(request, *matched, correlation, exchange, context)
        # The one place where everything is caught: what escaped here would be answered by the framework in
        # HTML, and logged with its whole message.
        except Exception as error:  # noqa: BLE001
            response = _problem(error, correlation, exchange)
        pass_over_body(request)
        response.headers["X-Request-ID"] = correlation.request_id
        if not response.is_streamed:  # the span and the line of a stream last as long as that
            exchange.finish(response.status_code, response.calculate_content_length())
        return response

    def _match(self, request: flask.Request) -> tuple[Route, Mapping[str, str]] | AssistantError:
        if len(request.full_path) > MAX_URL_CHARACTERS:
            return UriTooLong(f"An address has at most {MAX_URL_CHARACTERS} characters.")
        try:
            return self._map.bind("").match(request.path, request.method)
        except werkzeug.exceptions.MethodNotAllowed as error:
            allowed = ", ".join(sorted(error.valid_methods or ()))
            return MethodNotAllowed(f"Allowed: {allowed}.", headers={"Allow": allowed})
        except werkzeug.exceptions.HTTPException:
            return NotFound()

    def _answer(
        self,
        request: flask.Request,
        route: Route,
        path: Mapping[str, str],
        correlation: Correlation,
        exchange: Exchange,
        context: Context,
    ) -> flask.Response:
        content_type = _chosen_type(request, route)
        for guard in self.guards:
            guard(request, route, correlation)
        call = Call(
            correlation=correlation,
            body=read_body(request, model_of(route.request), route.max_body_bytes) if route.request else None,
            path=path,
            deadline=exchange.started + self.timeout_seconds,
            content_type=content_type,
        )
        answer = route.handler(call)
        if isinstance(answer, EventStream):
            return flask.Response(
                Streamed(_server_sent_events(answer, correlation, exchange), exchange, context, lambda: HTTPStatus.OK),
                content_type=EVENT_STREAM,
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            )
        reply = answer if isinstance(answer, Reply) else Reply(status=route.status, body=answer)
        content = reply.body.model_dump_json().encode() if reply.body is not None else reply.content
        if content is None:
            return flask.Response(status=reply.status)
        return flask.Response(content, status=reply.status, content_type=reply.content_type)

    def _describe(self, _call: Call[None]) -> "BaseModel":
        from common.openapi import openapi_document

        return openapi_document(self.title, self.version, self.all_routes)


def _live(_call: Call[None]) -> Reply:
    return Reply(content=b'{"status":"alive"}')  # as `common.openapi.Live` describes it


def _metrics(call: Call[None]) -> Reply:
    content, content_type = exposition(call.content_type)
    return Reply(content=content, content_type=content_type)


def _chosen_type(request: flask.Request, route: Route) -> str:
    if not request.accept_mimetypes:
        return route.produces[0]
    # Without parameters, as Prometheus's `version=1.0.0`: there is one version of each type.
    accepted = MIMEAccept([(wanted.partition(";")[0], quality) for wanted, quality in request.accept_mimetypes])
    chosen = accepted.best_match(route.produces)
    if chosen is None:
        raise NotAcceptable(f"This address gives {' or '.join(route.produces)}.")
    return chosen


def _werkzeug_path(path: str) -> str:
    return re.sub(r"\{(\w+):path\}", r"<path:\1>", re.sub(r"\{(\w+)\}", r"<\1>", path))


_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def _correlate(request: flask.Request) -> Correlation:
    wanted = request.headers.get("X-Request-ID", "")
    is_usable = _REQUEST_ID.fullmatch(wanted) and mask(wanted) == wanted  # it goes into every line of the log
    request_id = wanted if is_usable else secrets.token_hex(16)
    span = current_span()
    assert span is not None  # the exchange's
    span.set(semconv.REQUEST_ID, request_id)
    return Correlation(request_id=request_id, trace_id=span.context.trace_id)


def _problem(error: Exception, correlation: Correlation, exchange: Exchange) -> flask.Response:
    if isinstance(error, InvalidSettings):  # its message names variables, never their values
        log.error("settings.invalid", reason=str(error))
        error = Misconfigured()
    elif not isinstance(error, AssistantError) or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        reason = type(error.__cause__).__name__ if error.__cause__ else None
        log.error("request.failed", error_type=type(error).__name__, reason=reason, frames=frames_of(error))
    status, body = problem_document(error, request_id=correlation.request_id)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        exchange.fail(error)
    headers = error.headers if isinstance(error, AssistantError) else {}
    return flask.Response(json.dumps(body), status=status, content_type=CONTENT_TYPE, headers=headers)


def _server_sent_events(
    stream: EventStream, correlation: Correlation, exchange: Exchange
) -> Generator[str, None, None]:
    """Source: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    try:
        for event, data in stream.events:
            yield f"event: {event}\ndata: {data.model_dump_json()}\n\n"
    except Exception as error:  # noqa: BLE001  # the status line is gone: the problem is told as an event
        body = _problem(error, correlation, exchange).get_data(as_text=True)
        yield f"event: error\ndata: {body}\n\n"
    finally:
        stream.events.close()
