"""The spine: one `Function` gives every route its correlation, checks, telemetry and errors.

The Functions Framework hands every path and method to one callable; `Function.entry_point` makes that callable.
What comes in passes, in this order: address and method, correlation, headers, format, who asks and their limits,
parameters, size, body, Idempotency-Key. Whatever escapes becomes a problem document, here and nowhere else. Every
request has a span, measures and a line (`common.exchange`), every answer the headers of `common.security.headers`.
"""

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from http import HTTPStatus
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import flask
import werkzeug.exceptions
from werkzeug.routing import Map, Rule

from common.exchange import Exchange, Streamed
from common.logging import bind_context, component_logger, frames_of, setup_logging
from common.metrics import exposition
from common.model_names import ModelName, model_of
from common.problems import (
    CONTENT_TYPE,
    AssistantError,
    Forbidden,
    MethodNotAllowed,
    Misconfigured,
    NotFound,
    UriTooLong,
    problem_document,
)
from common.request_body import pass_over_body, read_body
from common.request_head import Correlation, check_headers, chosen_type, correlate
from common.security.access import UNLIMITED, Needs, admit, note_forbidden
from common.security.anonymous import refuse_outside_emulator as check_anonymous
from common.security.callers import Callers, callers_of
from common.security.headers import check_origins, dress, is_preflight, preflight, without_type
from common.security.principal import NOBODY, PUBLIC_SCOPE, Principal
from common.settings import InvalidSettings
from common.tracing import setup_tracing
from common.visit import Visit

if TYPE_CHECKING:  # pydantic is for bodies and answers; a process runs and is asked for its health without it
    from pydantic import BaseModel

    from common.security.idempotency import Ticket

JSON = "application/json"
HTML = "text/html"
EVENT_STREAM = "text/event-stream"
MAX_URL_CHARACTERS = 2_048
_LEASE_MARGIN_SECONDS = 5.0  # after its time limit a request is surely over
SMALL_BODY_BYTES = 64_000

Body = TypeVar("Body", bound="BaseModel | None")

log = component_logger("function")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Body]):
    """One request that passed all checks. `deadline` is a reading of `time.monotonic()`; `content_type` is that of
    the route's `produces` which the caller likes best; `nonce` is what a page's scripts and styles must carry; `query`
    is of the route's own model, None where it has none: such a route does not look at parameters."""

    correlation: Correlation
    principal: Principal
    body: Body
    path: Mapping[str, str]
    deadline: float
    content_type: str = JSON
    nonce: str = ""
    query: Any = None  # its type is told by the route, and a second type variable cannot have a default in Python 3.11


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

    `scope` is what a principal must have, "public" for nobody's; `limit` is how often one may, as in "60/minute", or
    "none": `common.security.access` holds both. `produces` are the types it answers with, the first one
    where the caller does not care; `also` are other statuses than `status` that carry an `answer`. Models are told by
    name so that they are imported when the first body is read (`common.model_names`). `query` is that of what stands
    after the question mark, all of it texts; `request` that of the body, which may be left out where
    `is_body_optional`; `forms` are further types of JSON that the body may come as, each with a model of its own.
    """

    method: str
    path: str
    summary: str
    handler: "Callable[[Call[Any]], BaseModel | Reply | EventStream]"
    scope: str
    limit: str
    request: "type[BaseModel] | ModelName | None" = None
    is_body_optional: bool = False
    forms: tuple[tuple[str, ModelName], ...] = ()
    query: "type[BaseModel] | ModelName | None" = None
    answer: "type[BaseModel] | ModelName | None" = None
    status: HTTPStatus = HTTPStatus.OK
    also: tuple[HTTPStatus, ...] = ()
    produces: tuple[str, ...] = (JSON,)
    max_body_bytes: int = SMALL_BODY_BYTES

    @property
    def name(self) -> str:
        """As limits, keys of answers and the audit call it: "GET /path"."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Function:
    """A deployed function: its routes. Who may call it stands in `functions/functions.json`, by its name."""

    name: str
    title: str
    version: str
    routes: Sequence[Route]
    timeout_seconds: float = 60.0
    _map: Map = field(init=False, repr=False)
    _callers: Callers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_callers", callers_of(self.name))
        rules = [Rule(_werkzeug_path(route.path), methods=[route.method], endpoint=route) for route in self.all_routes]
        object.__setattr__(self, "_map", Map(rules, strict_slashes=False, merge_slashes=False))

    @property
    def all_routes(self) -> tuple[Route, ...]:
        """The function's own routes, and those that every function has."""
        return (
            *self.routes,
            Route(
                method="GET", path="/live", summary="Whether this process runs.", answer="common.openapi:Live",
                handler=_live, scope=PUBLIC_SCOPE, limit=UNLIMITED,
            ),
            Route(
                method="GET", path="/metrics", summary="This instance's metrics, for Prometheus.",
                handler=_metrics, produces=("text/plain", "application/openmetrics-text"),
                scope="metrics:read", limit=UNLIMITED,
            ),
            Route(
                method="GET", path="/openapi.json", summary="This description, as OpenAPI 3.1.",
                handler=self._describe, scope=PUBLIC_SCOPE, limit=UNLIMITED,
            ),
        )  # fmt: skip

    def entry_point(self) -> Callable[[flask.Request], flask.Response]:
        """The plain function that the framework asks for; it checks `isinstance(..., FunctionType)`.

        Raises:
            InvalidSettings: it would let in whom it must not.
        """
        setup_logging()
        setup_tracing()
        check_origins()
        check_anonymous()

        def serve(request: flask.Request) -> flask.Response:
            return self(request)

        assert isinstance(serve, FunctionType)
        serve.__name__ = self.name
        if flask.has_app_context():  # the framework imports a function within its app's
            _take_over_routing(flask.current_app, serve)
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
        correlation = correlate(request)
        bind_context(request_id=correlation.request_id, function=self.name)
        visit = Visit()
        try:
            if is_preflight(request) and isinstance(matched, MethodNotAllowed):
                response = preflight(matched.headers["Allow"])
            elif isinstance(matched, AssistantError):
                raise matched
            else:
                response = self._answer(request, *matched, correlation, exchange, context, visit)
        # The one place where everything is caught: what escaped here would be answered by the framework in
        # HTML, and logged with its whole message.
        except Exception as error:  # noqa: BLE001
            response = _problem(error, correlation, exchange)
            if isinstance(error, Forbidden) and route is not None and visit.admission is not None:
                note_forbidden(visit.admission, route.name, correlation.request_id)
        visit.settle(response)
        pass_over_body(request)
        response.headers["X-Request-ID"] = correlation.request_id
        dress(request, response, nonce=visit.nonce)
        if not response.is_streamed:  # the span and the line of a stream last as long as that
            exchange.finish(response.status_code, response.calculate_content_length())
        return response

    def _match(self, request: flask.Request) -> tuple[Route, Mapping[str, str]] | AssistantError:
        # Not `full_path`: that reads the query as UTF-8, which it need not be.
        if len(request.path) + len("?") + len(request.query_string) > MAX_URL_CHARACTERS:
            return UriTooLong(f"An address has at most {MAX_URL_CHARACTERS} characters.")
        if "\0" in request.path:  # nothing is called so, and PostgreSQL fails at being asked for it
            return NotFound()
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
        visit: Visit,
    ) -> flask.Response:
        check_headers(request)
        content_type = chosen_type(request, route.produces)
        visit.admission = admit(
            request,
            # What every function has is for those who watch it, whoever calls it for its work.
            Needs(
                route=route.name,
                scope=route.scope,
                limit=route.limit,
                callers=self._callers if route in self.routes else "api-key",
            ),
            request_id=correlation.request_id,
        )
        principal = visit.admission.principal
        query = _query(request, route)
        body = _body(request, route)
        if route.method == "POST" and principal is not NOBODY and "Idempotency-Key" in request.headers:
            begun = self._begin_once(request, route.name, principal, (query, body))
            if isinstance(begun, flask.Response):
                return begun
            visit.ticket = begun
        call = Call(
            correlation=correlation,
            principal=principal,
            body=body,
            path=path,
            deadline=exchange.started + self.timeout_seconds,
            content_type=content_type,
            nonce=visit.nonce,
            query=query,
        )
        answer = route.handler(call)
        if isinstance(answer, EventStream):
            pieces = _server_sent_events(answer, correlation, exchange, visit)
            response = flask.Response(
                Streamed(pieces, exchange, context, lambda: HTTPStatus.OK),
                content_type=EVENT_STREAM,
                headers={"X-Accel-Buffering": "no"},
            )
            response.call_on_close(visit.leave)
            return response
        reply = answer if isinstance(answer, Reply) else Reply(status=route.status, body=answer)
        content = reply.body.model_dump_json().encode() if reply.body is not None else reply.content
        if content is None:
            return without_type(flask.Response(status=reply.status))
        return flask.Response(content, status=reply.status, content_type=reply.content_type)

    def _begin_once(
        self, request: flask.Request, route: str, principal: Principal, given: "Sequence[BaseModel | None]"
    ) -> "Ticket | flask.Response":
        """The right to do the work of this Idempotency-Key, or the answer that it had before, for what is `given`."""
        from common.security.idempotency import Replay, begin

        begun = begin(
            request.headers["Idempotency-Key"],
            principal=principal,
            route=route,
            path=request.path,
            payload=b"".join(one.model_dump_json().encode() for one in given if one is not None),
            accept=str(request.accept_mimetypes),
            lease_seconds=self.timeout_seconds + _LEASE_MARGIN_SECONDS,
        )
        if not isinstance(begun, Replay):
            return begun
        headers = {"Idempotent-Replayed": "true"}
        replayed = flask.Response(begun.body, status=begun.status, content_type=begun.content_type, headers=headers)
        return replayed if begun.content_type is not None else without_type(replayed)

    def _describe(self, _call: Call[None]) -> "BaseModel":
        from common.openapi import openapi_document

        return openapi_document(self.title, self.version, self.all_routes)


def _take_over_routing(app: flask.Flask, serve: Callable[[flask.Request], flask.Response]) -> None:
    """What the framework's own routes refuse comes to `serve` too: an address with a line break in it, /robots.txt.

    Its answer would be HTML, without a request id and without our headers.
    """
    app.url_map.strict_slashes = False  # an empty path is as "/": no redirect
    app.register_error_handler(werkzeug.exceptions.HTTPException, lambda _refusal: serve(flask.request))


def _query(request: flask.Request, route: Route) -> "BaseModel | None":
    if route.query is None:
        return None
    from common.query_string import read_query  # for the few routes that have parameters

    return read_query(request, model_of(route.query))


def _body(request: flask.Request, route: Route) -> "BaseModel | None":
    if route.request is None:
        return None
    named = dict(route.forms).get(request.mimetype)
    model, media_type = model_of(named or route.request), request.mimetype if named else JSON
    return read_body(request, model, route.max_body_bytes, is_optional=route.is_body_optional, media_type=media_type)


def _live(_call: Call[None]) -> Reply:
    return Reply(content=b'{"status":"alive"}')  # as `common.openapi.Live` describes it


def _metrics(call: Call[None]) -> Reply:
    content, content_type = exposition(call.content_type)
    return Reply(content=content, content_type=content_type)


def _werkzeug_path(path: str) -> str:
    return re.sub(r"\{(\w+):path\}", r"<path:\1>", re.sub(r"\{(\w+)\}", r"<\1>", path))


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
    stream: EventStream, correlation: Correlation, exchange: Exchange, visit: Visit
) -> Generator[str, None, None]:
    """Source: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    sent: list[str] = []
    try:
        for event, data in stream.events:
            piece = f"event: {event}\ndata: {data.model_dump_json()}\n\n"
            if visit.ticket is not None:
                sent.append(piece)
            yield piece
        visit.keep(HTTPStatus.OK, EVENT_STREAM, lambda: "".join(sent).encode())
    except Exception as error:  # noqa: BLE001  # the status line is gone: the problem is told as an event
        body = _problem(error, correlation, exchange).get_data(as_text=True)
        yield f"event: error\ndata: {body}\n\n"
    finally:
        stream.events.close()
