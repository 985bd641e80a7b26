"""`setup_monitoring` on a plain function, a Flask app and an ASGI app: each as its owner would use it."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask.testing import FlaskClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from werkzeug.test import Client, create_environ

from common.health import HealthChecker, init_health_checker
from common.metrics import REGISTRY
from common.monitoring import setup_monitoring
from common.settings import load_settings
from tests.asgi import get
from tests.log_lines import log_lines
from tests.recorded_spans import recording

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECRET = "jane.roe@example.com"


class Broken(RuntimeError):
    """What the owner's code raises."""


def broken_stream() -> Iterator[str]:
    yield "a"
    raise Broken(SECRET)


def rate(request: flask.Request) -> Any:
    if request.path == "/broken":
        raise Broken(SECRET)
    if request.path == "/refused":
        flask.abort(409)
    if request.path == "/broken-gateway":
        flask.abort(502)
    if request.path == "/stream":
        return flask.Response(piece for piece in ("a", "b"))
    if request.path == "/broken-stream":
        return flask.Response(broken_stream())
    if request.path == "/exit":
        raise SystemExit(1)
    return {"rate": 5}


def flask_app(name: str, health: HealthChecker | None = None) -> flask.Flask:
    app = flask.Flask(name)
    app.add_url_rule("/rates/<bank>", view_func=lambda bank: {"bank": bank})
    app.add_url_rule("/broken", "broken", lambda: rate(flask.request))
    app.add_url_rule("/stream", "stream", lambda: rate(flask.request))
    for path in ("/broken-stream", "/exit"):
        app.add_url_rule(path, path, lambda: rate(flask.request))
    return setup_monitoring(app, name=name, health=health)


def function_app(name: str, health: HealthChecker | None = None) -> flask.Flask:
    """A plain function, as the Functions Framework mounts it."""
    app = flask.Flask(name)
    monitored = setup_monitoring(rate, name=name, health=health)
    for rule in ("/", "/<path:path>"):
        app.add_url_rule(rule, rule, lambda path="": monitored(flask.request))
    return app


def client_of(make: Callable[..., flask.Flask], name: str, health: HealthChecker | None = None) -> FlaskClient:
    return make(name, health).test_client()


def count(name: str, function: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(name, {"function": function, **labels})
    return found or 0.0


def in_progress(function: str) -> float:
    return count("assistant_http_requests_in_progress", function)


def errors(component: str, error_type: str) -> float:
    labels = {"component": component, "error_type": error_type}
    return REGISTRY.get_sample_value("assistant_errors_total", labels) or 0.0


@pytest.fixture(autouse=True)
def no_checker_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.health._last", None)


both = pytest.mark.parametrize("make", [flask_app, function_app], ids=["flask", "function"])


@pytest.fixture
def health() -> HealthChecker:
    checker = HealthChecker(timeout_seconds=1.0, cache_seconds=0.0)
    checker.add("database", lambda: None, needed=True)
    return checker


@both
def test_a_request_is_measured_traced_and_logged(make: Callable[..., flask.Flask]) -> None:
    name = f"rates-{make.__name__}"
    with recording() as spans, log_lines() as lines:
        response = client_of(make, name).get("/rates/acme", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert response.status_code == 200
    route = "/rates/{bank}" if make is flask_app else "-"
    labels = {"route": route, "method": "GET", "status": "200"}
    assert count("assistant_http_requests_total", name, **labels) == 1
    (span,) = spans.spans
    assert span.context is not None
    assert (f"{span.context.trace_id:032x}", span.name) == ("a" * 32, "GET")
    assert [line["event"] for line in lines] == ["request.finished"]


@both
def test_an_exception_is_counted_by_its_class_and_goes_on(make: Callable[..., flask.Flask]) -> None:
    name = f"broken-{make.__name__}"
    client = client_of(make, name)
    client.application.config["PROPAGATE_EXCEPTIONS"] = True
    with log_lines() as lines, pytest.raises(Broken):
        client.get("/broken")
    assert count("assistant_http_requests_total", name, route="/broken" if make is flask_app else "-",
                 method="GET", status="500") == 1  # fmt: skip
    assert REGISTRY.get_sample_value("assistant_errors_total", {"component": name, "error_type": "Broken"}) == 1
    assert SECRET not in str(lines)


@pytest.mark.parametrize(("path", "status", "errors"), [("/refused", 409, None), ("/broken-gateway", 502, 1)])
def test_a_function_that_aborts_has_answered(path: str, status: int, errors: int | None) -> None:
    name = f"aborting-{status}"
    with log_lines() as lines:
        assert client_of(function_app, name).get(path).status_code == status
    assert count("assistant_http_requests_total", name, route="-", method="GET", status=str(status)) == 1
    failed = {"component": name, "error_type": "BadGateway"}
    assert REGISTRY.get_sample_value("assistant_errors_total", failed) == errors
    assert [(line["event"], line["function"], line["status"]) for line in lines] == [("request.finished", name, status)]


@both
def test_a_stream_is_measured_when_it_ends(make: Callable[..., flask.Flask]) -> None:
    name = f"stream-{make.__name__}"
    route = "/stream" if make is flask_app else "-"
    labels = {"route": route, "method": "GET", "status": "200"}
    response = client_of(make, name).get("/stream", buffered=False)
    assert count("assistant_http_requests_total", name, **labels) == 0
    assert list(response.iter_encoded()) == [b"a", b"b"]
    response.close()
    assert count("assistant_http_requests_total", name, **labels) == 1


@both
def test_a_stream_that_breaks_off_is_an_error_of_an_answer_that_was_begun(make: Callable[..., flask.Flask]) -> None:
    name = f"broken-stream-{make.__name__}"
    with recording() as spans, log_lines() as lines:
        response = client_of(make, name).get("/broken-stream", buffered=False)
        with pytest.raises(Broken):
            list(response.iter_encoded())
        response.close()
    assert [(line["event"], line["status"]) for line in lines] == [("request.finished", 200)]
    assert (errors(name, "Broken"), in_progress(name)) == (1, 0)
    assert [span.status.is_ok for span in spans.spans] == [False]
    assert SECRET not in str(lines)


@both
def test_an_exit_ends_its_request_too(make: Callable[..., flask.Flask]) -> None:
    name = f"exit-{make.__name__}"
    with recording() as spans, log_lines() as lines, pytest.raises(SystemExit):
        client_of(make, name).get("/exit")
    assert [(line["event"], line["status"]) for line in lines] == [("request.finished", 500)]
    assert (errors(name, "SystemExit"), in_progress(name), len(spans.spans)) == (1, 0, 1)


def test_a_file_that_a_function_sends_is_measured_when_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("5")

    def send(request: flask.Request) -> flask.Response:
        return flask.send_file(tmp_path / "rates.csv")

    monitored = setup_monitoring(send, name="file")
    app = flask.Flask("file")
    app.add_url_rule("/", view_func=lambda: monitored(flask.request))
    response = app.test_client().get("/", buffered=True)
    assert (response.data, in_progress("file")) == (b"5", 0)
    assert count("assistant_http_requests_total", "file", route="-", method="GET", status="200") == 1


def wrapped(name: str, app: "WSGIApplication") -> flask.Flask:
    """A Flask app whose owner put `app` in its place before it was monitored."""
    flask_app = flask.Flask(name)
    vars(flask_app)["wsgi_app"] = app
    return setup_monitoring(flask_app, name=name)


def test_an_app_that_answers_when_its_first_piece_is_asked_for_is_measured() -> None:
    def lazy(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("202 Accepted", [("Content-Length", "1")])
        yield b"x"

    response = Client(wrapped("lazy", lazy)).get("/")
    assert (response.status_code, response.data) == (202, b"x")
    assert count("assistant_http_requests_total", "lazy", route="-", method="GET", status="202") == 1
    assert in_progress("lazy") == 0


def test_an_app_that_fails_before_it_answers_lazily_is_a_500() -> None:
    def lazy(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/":
            raise Broken(SECRET)
        yield b""

    with pytest.raises(Broken):
        Client(wrapped("lazy-broken", lazy)).get("/")
    assert count("assistant_http_requests_total", "lazy-broken", route="-", method="GET", status="500") == 1
    assert (errors("lazy-broken", "Broken"), in_progress("lazy-broken")) == (1, 0)


@pytest.mark.parametrize("has_close", [True, False])
def test_an_answer_that_nobody_reads_is_closed_all_the_same(has_close: bool) -> None:
    closed: list[bool] = []

    class Pieces(list[bytes]):
        if has_close:

            def close(self) -> None:
                closed.append(True)

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return Pieces([b"x"])

    name = f"unread-{has_close}"
    answer: Any = wrapped(name, app)(create_environ("/"), lambda *_: lambda _piece: None)
    answer.close()
    assert (closed, in_progress(name)) == ([True] * has_close, 0)


def test_settings_that_cannot_be_used_are_told_and_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = load_settings(database_url="mysql://root:pass-word-1@db/x")
    monkeypatch.setattr("common.health.settings", lambda: made)
    client = client_of(flask_app, "misconfigured")
    with log_lines() as lines:
        for path in ("/health", "/health/ready"):
            response = client.get(path)
            assert response.status_code == 503
            assert response.get_json() == {"status": "unhealthy", "detail": "misconfigured"}
    assert [line["event"] for line in lines] == ["health.misconfigured"]
    assert "DATABASE_URL" in lines[0]["reason"]
    assert "pass-word-1" not in str(lines)
    assert client.get("/health/live").status_code == 200
    assert client.get("/rates/acme").status_code == 200


@both
def test_metrics_and_health_are_answered(make: Callable[..., flask.Flask], health: HealthChecker) -> None:
    client = client_of(make, "own", health)
    assert b"assistant_build_info" in client.get("/metrics").data
    assert client.get("/health").get_json() == {
        "status": "healthy",
        "components": {"database": {"status": "healthy", "detail": None}},
    }
    assert client.get("/health/ready").status_code == 200
    assert client.get("/health/live").get_json() == {"status": "alive"}
    assert client.post("/health").status_code in {200, 404, 405}  # the app's own to answer


def test_what_is_needed_and_away_is_a_503() -> None:
    checker = HealthChecker(timeout_seconds=1.0, cache_seconds=0.0)

    def fail() -> None:
        raise RuntimeError(SECRET)

    checker.add("database", fail, needed=True)
    client = client_of(function_app, "away", checker)
    for path in ("/health", "/health/ready"):
        response = client.get(path)
        assert (response.status_code, response.get_json()["status"]) == (503, "unhealthy")
        assert SECRET not in response.text
    assert client.get("/health/live").status_code == 200


def test_without_a_checker_health_is_by_the_settings() -> None:
    client = client_of(function_app, "by-settings")
    assert client.get("/health").get_json()["components"]["database"]["detail"] != "not configured"


def test_the_checker_that_was_made_last_answers_whether_it_came_before_or_after(tmp_path: Path) -> None:
    init_health_checker(chromadb_path=tmp_path / "nowhere")
    client = client_of(function_app, "made")
    components = client.get("/health").get_json()["components"]
    assert (components["vector_index"]["detail"], components["database"]["detail"]) == ("not there", "not configured")
    init_health_checker(db_path=tmp_path / "rates.db")
    components = client.get("/health").get_json()["components"]
    assert (components["vector_index"]["detail"], components["database"]["detail"]) == ("not configured", "not there")


def test_a_checker_that_is_given_goes_before_the_one_made_last(health: HealthChecker) -> None:
    client = client_of(function_app, "given", health)
    init_health_checker()
    assert list(client.get("/health").get_json()["components"]) == ["database"]


async def starlette_rate(request: Request) -> JSONResponse:
    if request.path_params["bank"] == "broken":
        raise Broken(SECRET)
    return JSONResponse({"bank": request.path_params["bank"]})


def starlette_app(health: HealthChecker | None = None) -> Starlette:
    app = Starlette(routes=[Route("/rates/{bank}", starlette_rate)])
    return setup_monitoring(app, name="asgi", health=health)


def test_an_asgi_app_is_measured_by_its_route(health: HealthChecker) -> None:
    app = starlette_app(health)
    status, _, body = get(app, "/rates/acme")
    assert (status, json.loads(body)) == (200, {"bank": "acme"})
    labels = {"route": "/rates/{bank}", "method": "GET", "status": "200"}
    assert count("assistant_http_requests_total", "asgi", **labels) == 1
    status, headers, body = get(app, "/health")
    assert (status, headers["content-type"]) == (200, "application/json")


def test_an_asgi_apps_exception_is_counted_and_goes_on() -> None:
    app = starlette_app()
    with pytest.raises(Broken):
        get(app, "/rates/broken")
    assert REGISTRY.get_sample_value("assistant_errors_total", {"component": "asgi", "error_type": "Broken"}) == 1
    assert count("assistant_http_requests_total", "asgi", route="/rates/{bank}", method="GET", status="500") == 1


def test_an_address_that_a_flask_app_does_not_have_has_no_route() -> None:
    assert client_of(flask_app, "unknown-address").get("/jane.roe@example.com").status_code == 404
    labels = {"route": "-", "method": "GET", "status": "404"}
    assert count("assistant_http_requests_total", "unknown-address", **labels) == 1


def test_a_bare_asgi_callable_is_wrapped() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        if scope["type"] == "http":
            await JSONResponse({})(scope, receive, send)

    monitored = setup_monitoring(app, name="bare")
    assert get(monitored, "/")[0] == 200
    get(monitored, "/", kind="lifespan")
    assert seen == ["http", "lifespan"]
    assert count("assistant_http_requests_total", "bare", route="-", method="GET", status="200") == 1


def run_http(app: Callable[..., Any], headers: list[tuple[bytes, bytes]]) -> Any:
    """An ASGI request on its way, whose answer goes nowhere."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: object) -> None: ...

    return app({"type": "http", "method": "GET", "path": "/", "headers": headers}, receive, send)


def test_an_asgi_request_that_is_cancelled_is_no_fault_of_the_server() -> None:
    async def cancelled() -> None:
        began = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            began.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(run_http(setup_monitoring(app, name="cancelled"), []))
        await began.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert count("assistant_http_requests_total", "cancelled", route="-", method="GET", status="499") == 1
    assert (errors("cancelled", "CancelledError"), in_progress("cancelled")) == (0, 0)


def test_an_asgi_stream_that_breaks_off_is_an_error_of_an_answer_that_was_begun() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise Broken(SECRET)

    with pytest.raises(Broken):
        asyncio.run(run_http(setup_monitoring(app, name="asgi-stream"), []))
    assert count("assistant_http_requests_total", "asgi-stream", route="-", method="GET", status="200") == 1
    assert (errors("asgi-stream", "Broken"), in_progress("asgi-stream")) == (1, 0)


@pytest.mark.parametrize(("length", "told"), [(b"12", 12), (b"9" * 5_000, 0), (b"-1", 0)])
def test_a_length_that_is_none_does_no_harm(length: bytes, told: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({})(scope, receive, send)

    with log_lines() as lines:
        asyncio.run(run_http(setup_monitoring(app, name="length"), [(b"content-length", length)]))
    finished = [line for line in lines if line["event"] == "request.finished"]  # asyncio logs too
    assert [(line["status"], line["bytes_in"]) for line in finished] == [(200, told)]


def test_what_is_no_app_is_refused() -> None:
    with pytest.raises(TypeError, match="takes a function"):
        setup_monitoring("rates")  # type: ignore[type-var]

    async def alone(request: Request) -> None: ...

    with pytest.raises(TypeError, match="whole ASGI app"):
        setup_monitoring(alone)


def test_a_function_keeps_its_name_and_may_be_decorated() -> None:
    @setup_monitoring
    def mortgage(request: flask.Request) -> str:
        """Rates of mortgages."""
        return "5"

    assert (mortgage.__name__, mortgage.__doc__) == ("mortgage", "Rates of mortgages.")


def test_an_error_that_flask_answers_itself_is_counted_once() -> None:
    client = client_of(flask_app, "own-page")
    assert client.get("/broken").status_code == 500
    assert REGISTRY.get_sample_value("assistant_errors_total", {"component": "own-page", "error_type": "Broken"}) == 1
