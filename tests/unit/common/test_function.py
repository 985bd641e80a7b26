"""The spine: correlation, refusals, the access line, the description; over a function of the test's own."""

import io
import json
import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Literal

import flask
import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from opentelemetry.trace import StatusCode
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.test import TestResponse

from common.function import EVENT_STREAM, JSON, Call, EventStream, Function, Reply, Route
from common.openapi import Live
from common.problems import FieldError, InvalidRequest
from common.request_head import Correlation
from common.settings import InvalidSettings
from tests.recorded_spans import recording

TRACE = "0af7651916cd43dd8448eb211c80319c"
SECRET = "Jane Roe, 078-05-1120"  # a number that SSA withdrew


class Greeting(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=20)
    times: int = 1


class Greeted(BaseModel):
    text: str


def greet(call: Call[Greeting]) -> Greeted:
    return Greeted(text=f"Hello {call.body.name}" * call.body.times)


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Literal["red", "blue"] = "red"
    shade: int | None = Field(default=None, ge=1, description="How dark.")
    sort: str


def paint(call: Call[None]) -> Greeted:
    return Greeted(text=f"{call.query.colour} {call.query.shade} {call.query.sort}")


class Perhaps(BaseModel):
    name: str = "anybody"


def greet_anybody(call: Call[Perhaps]) -> Greeted:
    return Greeted(text=call.body.name)


def fail(_call: Call[None]) -> Greeted:
    raise RuntimeError(SECRET)


def misconfigured(_call: Call[None]) -> Greeted:
    raise InvalidSettings("PRICE_FILE: cannot be read")


def refuse(_call: Call[None]) -> Greeted:
    raise InvalidRequest("No such day.", errors=[FieldError(pointer="/day", detail="not in the calendar")])


def echo_path(call: Call[None]) -> Greeted:
    return Greeted(text=call.path["rest"])


def forget(_call: Call[None]) -> Reply:
    return Reply(status=HTTPStatus.NO_CONTENT)


class Closed:
    """Events that note how they end."""

    def __init__(self, *, fails: bool = False) -> None:
        self.closed = False
        self.fails = fails

    def events(self) -> Generator[tuple[str, BaseModel], None, None]:
        try:
            yield "status", Greeted(text="one")
            if self.fails:
                raise RuntimeError(SECRET)
            yield "done", Greeted(text="two")
        finally:
            self.closed = True


@pytest.fixture
def stream() -> Closed:
    return Closed()


@pytest.fixture
def function(stream: Closed) -> Function:
    def route(method: str, path: str, handler: Any, **more: Any) -> Route:
        return Route(method=method, path=path, summary="A test.", handler=handler, scope="public", limit="none", **more)

    return Function(
        name="testing",
        title="A function of the tests",
        version="1.2.3",
        timeout_seconds=5,
        routes=[
            route("POST", "/greet", greet, request=Greeting, answer=Greeted, max_body_bytes=200),
            route("POST", "/perhaps", greet_anybody, request=Perhaps, answer=Greeted, is_body_optional=True),
            route(
                "POST",
                "/either",
                greet_anybody,
                request=Greeting,
                answer=Greeted,
                forms=(("application/perhaps+json", f"{__name__}:Perhaps"),),
            ),
            route("GET", "/paint", paint, query=Wish, answer=Greeted),
            route("GET", "/fail", fail),
            route("GET", "/misconfigured", misconfigured),
            route("GET", "/refuse", refuse),
            route("GET", "/echo/{rest:path}", echo_path, answer=Greeted),
            route("DELETE", "/things/{id}", forget, status=HTTPStatus.NO_CONTENT),
            route(
                "GET",
                "/stream",
                lambda _call: EventStream(events=stream.events()),
                answer=Greeted,
                produces=(JSON, EVENT_STREAM),
            ),
        ],
    )


@pytest.fixture
def client(function: Function) -> FlaskClient:
    app = flask.Flask("testing")
    entry = function.entry_point()

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    @app.route("/<path:path>", methods=["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    def everything(path: str) -> flask.Response:
        return entry(flask.request._get_current_object())  # type: ignore[attr-defined]  # as the framework does

    return app.test_client()


def body_of(response: TestResponse) -> dict[str, Any]:
    body = response.get_json()
    assert isinstance(body, dict)
    return body


def problem(response: TestResponse) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    assert body_of(response)["status"] == response.status_code
    assert body_of(response)["request_id"] == response.headers["X-Request-ID"]
    return response.status_code, body_of(response)["type"]


def test_a_body_that_fits_its_model_is_answered(client: FlaskClient) -> None:
    response = client.post("/greet", json={"name": "Ada"})
    assert (response.status_code, response.json) == (200, {"text": "Hello Ada"})


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "/problems/not-found"),
        ("GET", "/greet", 405, "/problems/method-not-allowed"),
        ("GET", "/fail/", 500, "/problems/internal"),
        ("GET", "/" + "x" * 3000, 414, "/problems/uri-too-long"),
    ],
)
def test_what_is_not_served_is_a_problem(client: FlaskClient, method: str, path: str, status: int, kind: str) -> None:
    assert problem(client.open(path, method=method)) == (status, kind)


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    assert client.get("/greet").headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[" * 10, 400, "JSON"),
        (b"[" * 150, 400, "deeper than 16"),
        (b'{"name": "[[[[[[[[[[[[[[[[[[[[\\"[[[", "x": [[[[[[[[[[[[[[[[', 400, "deeper than 16"),
        (b'{"name": "' + b"x" * 300 + b'"}', 413, "200 bytes"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(client: FlaskClient, body: bytes, status: int, says: str) -> None:
    response = client.post("/greet", data=body, content_type="application/json")
    assert problem(response)[0] == status
    assert says in body_of(response)["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": 3}, "/name"),
        ({"name": "x" * 21}, "/name"),
        ({"name": "Ada", "times": "3"}, "/times"),
        ({"name": "Ada", "colour/~": 1}, "/colour~1~0"),
        ([], ""),
    ],
)
def test_a_field_that_breaks_a_rule_is_named_with_the_reason(client: FlaskClient, body: Any, pointer: str) -> None:
    response = client.post("/greet", json=body)
    assert problem(response) == (422, "/problems/invalid-request")
    assert body_of(response)["errors"][0]["pointer"] == pointer
    assert body_of(response)["errors"][0]["detail"]


@pytest.mark.parametrize("more", [{}, {"content_type": "text/plain"}, {"content_type": "application/json"}])
def test_a_body_that_may_be_left_out_is_left_out(client: FlaskClient, more: dict[str, Any]) -> None:
    assert body_of(client.post("/perhaps", **more)) == {"text": "anybody"}
    assert body_of(client.post("/perhaps", json={"name": "Ada"})) == {"text": "Ada"}
    assert problem(client.post("/perhaps", data=b"name=Ada", content_type="text/plain"))[0] == 415
    chunked = {"Transfer-Encoding": "chunked"}
    assert problem(client.post("/perhaps", headers=chunked, content_type="application/json"))[0] == 400


def test_a_body_of_another_type_has_a_model_of_its_own(client: FlaskClient) -> None:
    other = {"content_type": "application/perhaps+json; charset=utf-8"}
    assert body_of(client.post("/either", data=b"{}", **other)) == {"text": "anybody"}
    assert body_of(client.post("/either", json={"name": "Ada"})) == {"text": "Ada"}
    assert problem(client.post("/either", json={}))[0] == 422
    assert problem(client.post("/perhaps", data=b"{}", **other))[0] == 415


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("sort=matt", "red None matt"),
        ("sort=a%20b+c&shade=3&colour=blue", "blue 3 a b c"),
        ("sort=&shade=3", "red 3 "),
        ("sort=ü", "red None ü"),
    ],
)
def test_parameters_that_fit_their_model_are_answered(client: FlaskClient, query: str, text: str) -> None:
    assert body_of(client.get("/paint", query_string=query)) == {"text": text}


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("", ["/sort"]),
        ("sort=a&colour=green", ["/colour"]),
        ("sort=a&shade=three", ["/shade"]),
        ("sort=a&shade=0", ["/shade"]),
        ("sort=a&jane.roe%40example.com=1", ["/[EMAIL]"]),
        ("sort=a&sort=a&shade=1&shade=2", ["/shade", "/sort"]),
    ],
)
def test_a_parameter_that_breaks_a_rule_is_named_with_the_reason(
    client: FlaskClient, query: str, pointers: list[str]
) -> None:
    response = client.get("/paint", query_string=query)
    assert problem(response) == (422, "/problems/invalid-request")
    assert [one["pointer"] for one in body_of(response)["errors"]] == pointers
    assert all(one["detail"] for one in body_of(response)["errors"])


@pytest.mark.parametrize(
    ("query", "says"), [("sort=%ff", "UTF-8"), ("sort=\udcff", "UTF-8"), ("&".join(["a=1"] * 60), "50 parameters")]
)
def test_parameters_that_are_no_text_or_too_many_are_refused(client: FlaskClient, query: str, says: str) -> None:
    raw = {"QUERY_STRING": query.encode("utf-8", "surrogateescape").decode("latin-1")}
    response = client.get("/paint", environ_overrides=raw)
    assert problem(response) == (422, "/problems/invalid-request")
    assert says in body_of(response)["detail"]


def test_a_route_without_parameters_does_not_look_at_them(client: FlaskClient) -> None:
    assert client.get("/echo/x?a=1&a=2&b=%ff").status_code == 200


def test_the_name_of_an_unknown_field_is_bounded_and_printable(client: FlaskClient) -> None:
    response = client.post("/greet", json={"name": "a", "\n" + "x" * 150: 1})
    pointer = body_of(response)["errors"][0]["pointer"]
    assert len(pointer) <= 100
    assert pointer.isprintable()


def test_the_name_of_an_unknown_field_is_masked(client: FlaskClient) -> None:
    response = client.post("/greet", json={"name": "a", "jane.roe@example.com": 1})
    assert body_of(response)["errors"][0]["pointer"] == "/[EMAIL]"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain"),
        ("text/plain;version=0.0.4", "text/plain"),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         "application/openmetrics-text"),
    ],
)  # fmt: skip
def test_metrics_come_as_prometheus_wants_them(client: FlaskClient, accept: str, content_type: str) -> None:
    client.get("/echo/x")
    response = client.get("/metrics", headers={"Accept": accept})
    assert response.mimetype == content_type
    counted = [line for line in response.text.splitlines() if line.startswith("assistant_http_requests_total")]
    assert any('function="testing"' in line and 'route="/echo/{rest:path}"' in line for line in counted)


def test_an_error_of_ours_marks_the_span_and_one_of_the_callers_does_not(client: FlaskClient) -> None:
    with recording() as spans:
        client.get("/fail")
        client.get("/refuse")
    found = spans.by_name()
    assert dict(found["GET /fail"].attributes or {})["error.type"] == "RuntimeError"
    assert found["GET /fail"].status.status_code is StatusCode.ERROR
    assert found["GET /refuse"].status.status_code is StatusCode.UNSET


def test_parallel_requests_do_not_mix_their_lines(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(number: int) -> None:
        app = client.application
        app.test_client().get(f"/{'fail' if number % 2 else 'refuse'}", headers={"X-Request-ID": f"request-{number}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(64)))
    lines = capsys.readouterr().out.splitlines()
    for number in range(64):
        own = [line for line in lines if f"request_id=request-{number} " in line]
        assert len(own) == (2 if number % 2 else 1)
        assert all(("/fail" if number % 2 else "/refuse") in line for line in own if "request.finished" in line)


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {}, {"Content-Encoding": "gzip"}])
def test_only_plain_json_is_read(client: FlaskClient, headers: dict[str, str]) -> None:
    if "Content-Encoding" in headers:
        headers = {**headers, "Content-Type": "application/json"}
    assert problem(client.post("/greet", data=b"{}", headers=headers))[0] == 415


def test_an_answer_that_the_caller_does_not_accept_is_refused(client: FlaskClient) -> None:
    assert problem(client.get("/echo/x", headers={"Accept": "text/html"}))[0] == 406
    assert client.get("/echo/x", headers={"Accept": "text/html, */*;q=0.1"}).status_code == 200


def test_a_path_may_hold_a_rest_with_slashes(client: FlaskClient) -> None:
    assert client.get("/echo/12-cfr-1002/1002.2").json == {"text": "12-cfr-1002/1002.2"}


def test_an_address_with_a_null_character_is_none(client: FlaskClient) -> None:
    refused = client.get("/echo/a%00b")
    assert (refused.status_code, body_of(refused)["type"]) == (404, "/problems/not-found")


def test_an_answer_without_a_body(client: FlaskClient) -> None:
    response = client.delete("/things/1")
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_what_escapes_is_a_500_that_says_nothing_about_the_applicant(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    response = client.get("/fail")
    assert problem(response) == (500, "/problems/internal")
    out = capsys.readouterr()
    assert "Jane" not in response.text + out.out + out.err
    assert "RuntimeError" in out.out
    assert "test_function.py" in out.out


def test_a_setting_that_cannot_be_used_is_a_503_and_the_log_names_it(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    response = client.get("/misconfigured")
    assert problem(response) == (503, "/problems/misconfigured")
    assert "PRICE_FILE" not in response.text
    assert "PRICE_FILE: cannot be read" in capsys.readouterr().out


def test_an_error_of_ours_gives_its_facts(client: FlaskClient) -> None:
    response = client.get("/refuse")
    assert problem(response) == (422, "/problems/invalid-request")
    assert body_of(response)["errors"] == [{"pointer": "/day", "detail": "not in the calendar"}]


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-123", True), ("a b", False), ("x" * 129, False), ("", False), ("219-47-1120", False)]
)
def test_a_well_formed_request_id_is_kept_unless_it_is_somebodys_number(
    client: FlaskClient, sent: str, kept: bool
) -> None:
    given = client.get("/live", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert (given == sent) is kept
    assert given


@pytest.mark.parametrize(
    ("headers", "trace_id"),
    [
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"X-Cloud-Trace-Context": f"{TRACE.upper()}/123;o=1"}, TRACE),
        ({"traceparent": "00-00000000000000000000000000000000-b7ad6b7169203331-01"}, None),
        ({"traceparent": "nonsense"}, None),
    ],
)
def test_the_trace_of_the_caller_goes_on(headers: dict[str, str], trace_id: str | None) -> None:
    seen: list[Correlation] = []

    def handler(call: Call[None]) -> Greeted:
        seen.append(call.correlation)
        return Greeted(text="")

    function = Function(
        name="traced",
        title="",
        version="1",
        routes=[Route(method="GET", path="/", summary="", handler=handler, scope="public", limit="none")],
    )
    with flask.Flask("traced").test_request_context("/", headers=headers):
        function(flask.request._get_current_object())  # type: ignore[attr-defined]  # as the framework calls it
    assert len(seen[0].trace_id) == 32
    assert trace_id in {None, seen[0].trace_id}


def test_events_are_sent_as_they_come_and_closed_at_the_end(client: FlaskClient, stream: Closed) -> None:
    response = client.get("/stream")
    assert response.content_type.startswith("text/event-stream")
    assert response.text == 'event: status\ndata: {"text":"one"}\n\nevent: done\ndata: {"text":"two"}\n\n'
    assert stream.closed


def test_a_client_that_goes_away_ends_the_work(client: FlaskClient, stream: Closed) -> None:
    response = client.get("/stream", buffered=False)
    assert next(iter(response.response))
    response.close()
    assert stream.closed


def test_a_stream_that_breaks_says_so_as_an_event(client: FlaskClient, stream: Closed) -> None:
    stream.fails = True
    text = client.get("/stream").text
    assert "event: error" in text
    assert "/problems/internal" in text
    assert "Jane" not in text


def test_each_request_leaves_one_line_without_its_address(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get("/echo/jane@example.com")
    lines = [line for line in capsys.readouterr().out.splitlines() if "request.finished" in line]
    assert len(lines) == 1
    assert "/echo/{rest:path}" in lines[0]
    assert "jane" not in lines[0]


def test_the_description_is_valid_openapi(client: FlaskClient) -> None:
    description = body_of(client.get("/openapi.json"))
    validate(description)
    assert description["openapi"].startswith("3.1")
    assert {"/greet", "/live", "/openapi.json", "/echo/{rest}"} <= description["paths"].keys()
    assert "422" in description["paths"]["/greet"]["post"]["responses"]
    assert "text/event-stream" in description["paths"]["/stream"]["get"]["responses"]["200"]["content"]


def test_every_function_says_that_it_lives(client: FlaskClient) -> None:
    assert client.get("/live").data == Live().model_dump_json().encode()


def test_production_lines_are_json_in_cloud_loggings_fields(
    function: Function, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from common.logging import setup_logging

    setup_logging(log_level="INFO", json_logs=True)
    with flask.Flask("x").test_request_context("/live"):
        function(flask.request._get_current_object()).close()  # type: ignore[attr-defined]
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["severity"], line["message"], line["httpRequest"]["status"]) == ("INFO", "request.finished", 200)
    assert logging.getLevelName(line["severity"]) == logging.INFO


def test_a_client_that_hangs_up_in_its_body_leaves_no_traceback(
    function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    class GoneAway(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/live", "wsgi.input": GoneAway(), "wsgi.input_terminated": True}
    response = function(flask.Request(environ))
    assert response.status_code == 200
    assert "request.body_left" in capsys.readouterr().out
