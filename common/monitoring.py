"""Telemetry and health for a function or an app of one's own: `setup_monitoring` gives it what the spine gives ours.

Each request has a server span, measures and a line in the log; `/metrics`, `/health`, `/health/live` and
`/health/ready` are answered here. Whatever the function raises is counted, and goes on as it would without us.
"""

import functools
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextvars import Context, copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import flask
from werkzeug.datastructures import EnvironHeaders, Headers
from werkzeug.wrappers import Request, Response

from common.exchange import Exchange, Streamed
from common.health import HealthChecker, HealthReport, init_health_checker, is_draining, last_checker
from common.logging import bind_context, get_logger
from common.metrics import exposition
from common.once import once
from common.settings import InvalidSettings
from common.telemetry.trace_context import Headers as ReadableHeaders

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

App = TypeVar("App", bound=Callable[..., Any])
Message = MutableMapping[str, Any]  # ASGI's own shape for scopes and events
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_EXCHANGE = "loancheck.exchange"
_OWN_PATHS = frozenset({"/metrics", "/health", "/health/ready", "/health/live"})
_PARAMETER = re.compile(r"<(?:[^<>:]{1,50}:)?([^<>:]{1,50})>")  # Flask's <int:id>, in measures {id}
_ASGI_PARAMETERS = ["scope", "receive", "send"]
_CLIENT_CLOSED = 499  # nginx's status for a caller that did not wait for the answer; HTTP has none
_LENGTH_DIGITS = 18  # more is no length, and beyond 4,300 not even a number for Python

log = get_logger("monitoring")


def setup_monitoring(app_or_function: App, *, name: str | None = None, health: HealthChecker | None = None) -> App:
    """`app_or_function`, monitored: a function for the Functions Framework (usable as a decorator), a Flask app, or
    an ASGI app as of FastAPI or Starlette.

    A Flask app or one that takes middleware is changed in place and given back; anything else comes back wrapped.
    `name` stands for it in measures and lines; it has one of its own otherwise. `health` answers for it; without it
    what `init_health_checker` gave last, before or after this call, and without that one by the settings.

    Raises:
        TypeError: it is none of these.
    """
    if not callable(app_or_function):
        raise TypeError("setup_monitoring takes a function, a Flask app or an ASGI app")
    watch = _Watch(name or _name_of(app_or_function), health)
    if isinstance(app_or_function, flask.Flask):
        app_or_function.before_request(_tell_route)
        flask.got_request_exception.connect(_tell_error, app_or_function)
        app_or_function.wsgi_app = _Wsgi(app_or_function.wsgi_app, watch)  # type: ignore[method-assign]  # Flask's way
        return app_or_function
    if hasattr(app_or_function, "add_middleware"):
        app_or_function.add_middleware(_Asgi, watch=watch)
        return app_or_function
    wrapped: Any = _watched(app_or_function, watch)  # of the same signature
    return wrapped  # type: ignore[no-any-return]


def _name_of(app: Callable[..., Any]) -> str:
    return str(getattr(app, "__name__", None) or getattr(app, "name", None) or type(app).__name__)


def _watched(app: Callable[..., Any], watch: "_Watch") -> Callable[..., Any]:
    if list(inspect.signature(app).parameters) == _ASGI_PARAMETERS:
        return _Asgi(app, watch)
    if inspect.iscoroutinefunction(app):
        raise TypeError("of asynchronous code setup_monitoring takes the whole ASGI app")
    return _watched_function(app, watch)


class _Answer(NamedTuple):
    status: HTTPStatus
    content_type: str
    content: bytes


class _Watch:
    """What all kinds of apps share: the paths answered here, and how a request is begun."""

    def __init__(self, name: str, health: HealthChecker | None) -> None:
        self._name = name
        self._given = health
        self._by_settings = once(init_health_checker)
        self._is_misconfigured = False

    def is_own(self, method: str, path: str) -> bool:
        """Whether it is answered here, and the app not asked."""
        return method in {"GET", "HEAD"} and path.rstrip("/") in _OWN_PATHS

    def answer(self, path: str, accept: str) -> _Answer:
        """The answer to a request that `is_own`."""
        match path.rstrip("/"):
            case "/metrics":
                content, content_type = exposition(accept)
                return _Answer(HTTPStatus.OK, content_type, content)
            case "/health/live":
                return _json(HTTPStatus.OK, {"status": "alive"})
            case asked:
                return self._health_answer(is_about_ready=asked == "/health/ready")

    def _health_answer(self, *, is_about_ready: bool) -> _Answer:
        try:
            report = self._health().report()
        except InvalidSettings as error:  # it names variables, never their values; the app may do without them
            if not self._is_misconfigured:
                self._is_misconfigured = True
                log.error("health.misconfigured", reason=str(error))
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "unhealthy", "detail": "misconfigured"})
        if is_about_ready:
            return _health_answer(report.of_needed(), is_refused=is_draining())
        return _health_answer(report)

    def _health(self) -> HealthChecker:
        return self._given or last_checker() or self._by_settings()

    def begin(self, method: str, headers: ReadableHeaders, bytes_in: int, route: str | None = None) -> Exchange:
        exchange = Exchange(self._name, method=method, headers=headers, route=route, bytes_in=bytes_in)
        bind_context(function=self._name)
        return exchange


def _health_answer(report: HealthReport, *, is_refused: bool = False) -> _Answer:
    components = {name: {"status": one.status, "detail": one.detail} for name, one in report.components.items()}
    is_away = is_refused or report.status == "unhealthy"
    status = HTTPStatus.SERVICE_UNAVAILABLE if is_away else HTTPStatus.OK
    return _json(status, {"status": "unhealthy" if is_away else report.status, "components": components})


def _json(status: HTTPStatus, body: object) -> _Answer:
    return _Answer(status, "application/json", json.dumps(body).encode())


def _watched_function(function: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    @functools.wraps(function)
    def monitored(request: flask.Request) -> flask.Response:
        if watch.is_own(request.method, request.path):
            own = watch.answer(request.path, request.headers.get("Accept", ""))
            return flask.Response(own.content, status=own.status, content_type=own.content_type)
        context = copy_context()
        return context.run(serve, request, context)

    def serve(request: flask.Request, context: Context) -> flask.Response:
        exchange = watch.begin(request.method, request.headers, request.content_length or 0)
        try:
            given = function(request)
            response = given if isinstance(given, flask.Response) else flask.make_response(given)
        except BaseException as error:
            exchange.leave(error)
            raise
        if response.is_streamed:
            response.response = Streamed(response.response, exchange, context, lambda: response.status_code)
        else:
            exchange.finish(response.status_code, response.calculate_content_length())
        return response

    return monitored


class _Wsgi:
    """Around a whole Flask app, so that every answer is seen, those to its own errors too."""

    def __init__(self, app: "WSGIApplication", watch: _Watch) -> None:
        self._app = app
        self._watch = watch

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        if self._watch.is_own(request.method, request.path):
            own = self._watch.answer(request.path, request.headers.get("Accept", ""))
            return Response(own.content, status=own.status, content_type=own.content_type)(environ, start_response)
        context = copy_context()
        return context.run(self._serve, environ, start_response, context)

    def _serve(self, environ: "WSGIEnvironment", start_response: "StartResponse", context: Context) -> Iterable[bytes]:
        headers = EnvironHeaders(environ)
        exchange = self._watch.begin(environ["REQUEST_METHOD"], headers, headers.get("Content-Length", 0, type=int))
        environ[_EXCHANGE] = exchange
        answered: list[tuple[int, int | None]] = []

        def begin_answer(status: str, answer_headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            size = Headers(answer_headers).get("Content-Length", type=int)
            answered.append((int(status.split()[0]), size))
            return start_response(status, answer_headers, *error)

        try:
            pieces = self._app(environ, begin_answer)
        except BaseException as error:
            exchange.leave(error)
            raise
        # What has a length is no stream: it is finished here, since CPU may end with the answer's last byte.
        if answered and answered[-1][1] is not None:
            exchange.finish(*answered[-1])
            return pieces
        # A generator answers only when its first piece is asked for: the status is read as late as that.
        return Streamed(pieces, exchange, context, lambda: answered[-1][0] if answered else None)


def _tell_route() -> None:
    """Flask knows the route's template only inside."""
    exchange = flask.request.environ.get(_EXCHANGE)
    if exchange is not None and flask.request.url_rule is not None:
        exchange.route = _PARAMETER.sub(r"{\1}", flask.request.url_rule.rule)


def _tell_error(_app: flask.Flask, exception: Exception, **_: object) -> None:
    """Flask answers an error with a page of its own, and nobody outside sees it."""
    exchange = flask.request.environ.get(_EXCHANGE)
    if exchange is not None:
        exchange.fail(exception)


class _Asgi:
    """Around an ASGI app. Its requests run in tasks of their own, so that their contexts never mix."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]], watch: _Watch) -> None:
        self._app = app
        self._watch = watch

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if self._watch.is_own(scope["method"], scope["path"]):
            import asyncio  # who has an ASGI app has it already

            # In a thread: a health check may take its time, and everybody else's requests share this loop.
            own = await asyncio.to_thread(self._watch.answer, scope["path"], headers.get("accept", ""))
            await _send(own, send)
        else:
            await self._serve(scope, receive, send, headers)

    async def _serve(self, scope: Message, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        from asyncio import CancelledError  # who has an ASGI app has it already

        exchange = self._watch.begin(scope["method"], headers, _length(headers.get("content-length", "")))
        sent: int | None = None

        async def send_on(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                sent = message["status"]
            await send(message)

        try:
            try:
                await self._app(scope, receive, send_on)
            finally:
                exchange.route = getattr(scope.get("route"), "path", None)  # the router told it meanwhile
        except CancelledError:
            exchange.finish(sent or _CLIENT_CLOSED, None)
            raise
        except BaseException as error:
            exchange.leave(error, sent)
            raise
        exchange.finish(sent or int(HTTPStatus.INTERNAL_SERVER_ERROR), None)


def _length(header: str) -> int:
    return int(header) if header.isdecimal() and len(header) <= _LENGTH_DIGITS else 0


async def _send(answer: _Answer, send: Send) -> None:
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.content))]
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})
