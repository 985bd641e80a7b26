"""The way in, over a function with a route of each kind: what is refused, in which order, what an answer tells."""

import json
import re
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import islice, product
from pathlib import Path
from threading import Barrier
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient
from pydantic import BaseModel
from sqlalchemy import select

from common.database.engine import engine, read
from common.database.tables import audit_events
from common.function import EVENT_STREAM, HTML, JSON, Call, EventStream, Function, Reply, Route
from common.problems import Forbidden
from common.security import anonymous
from common.security.access import Needs, admit
from common.security.api_keys import api_keys, checksum
from common.security.audit_refusals import refusals
from common.security.principal import NOBODY
from tests.instance import instance

pytestmark = pytest.mark.keys

FIELD = re.compile(r'"principal";r=(\d+);t=\d+')


class Said(BaseModel):
    text: str


def _principal(call: Call[None]) -> Said:
    return Said(text=f"{call.principal.id} {call.principal.tenant}")


def _page(call: Call[None]) -> Reply:
    return Reply(content=f'<script nonce="{call.nonce}"></script>'.encode(), content_type=HTML)


def _done(_call: Call[None]) -> Reply:
    return Reply(status=HTTPStatus.NO_CONTENT)


class Work:
    """What a handler does, counted; `waits` holds it up until all parties are there."""

    def __init__(self) -> None:
        self.calls = 0
        self.waits: Barrier | None = None
        self.fails: Exception | None = None

    def do(self, call: Call[Said]) -> Said:
        self.calls += 1
        if self.waits is not None:
            self.waits.wait(timeout=10)
        if self.fails is not None:
            raise self.fails
        return Said(text=f"{call.body.text} {self.calls}")

    def stream(self, _call: Call[Said]) -> EventStream:
        def events() -> Generator[tuple[str, BaseModel], None, None]:
            self.calls += 1
            yield "status", Said(text="working")
            yield "done", Said(text=str(self.calls))

        return EventStream(events=events())


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def function(work: Work) -> Function:
    def route(method: str, path: str, handler: Any, scope: str, **more: Any) -> Route:
        return Route(
            **{"limit": "100/minute", **more}, method=method, path=path, summary="", handler=handler, scope=scope
        )

    return Function(
        name="testing",
        title="A function of the tests",
        version="1",
        routes=[
            route("GET", "/public", _principal, "public", limit="3/minute", answer=Said),
            route("GET", "/ask", _principal, "query:ask", answer=Said),
            route("GET", "/few", _principal, "query:ask", limit="2/minute", answer=Said),
            route("GET", "/page", _page, "costs:read", produces=(HTML,)),
            route("POST", "/work", work.do, "documents:write", request=Said, answer=Said),
            route("POST", "/done", _done, "documents:write"),
            route("POST", "/stream", work.stream, "documents:write", request=Said, produces=(JSON, EVENT_STREAM)),
        ],
    )


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    with instance(tmp_path, MAX_CONCURRENT_REQUESTS="2", CORS_ORIGINS="https://app.example.com") as folder:
        yield folder


@pytest.fixture
def client(function: Function, here: Path) -> FlaskClient:
    app = flask.Flask("testing")
    entry = function.entry_point()

    @app.route("/<path:path>", methods=["GET", "POST", "OPTIONS"], provide_automatic_options=False)
    def everything(path: str) -> flask.Response:
        return entry(flask.request._get_current_object())  # type: ignore[attr-defined]  # as the framework does

    return app.test_client()


def key(role: Any, tenant: str = "default") -> dict[str, str]:
    return {"X-API-Key": api_keys().create(tenant=tenant, role=role, label="test").text}


def test_a_key_is_a_principal_with_a_tenant(client: FlaskClient) -> None:
    said = client.get("/ask", headers=key("analyst", "bank-a"))
    assert said.status_code == 200
    assert re.fullmatch(r"key:\w+ bank-a", said.json["text"])  # type: ignore[index]


def test_without_a_key_nobody_gets_in_and_the_answer_says_how(client: FlaskClient) -> None:
    refused = client.get("/ask")
    assert (refused.status_code, refused.json["type"]) == (401, "/problems/unauthenticated")  # type: ignore[index]
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_role_without_the_scope_is_refused(client: FlaskClient) -> None:
    assert client.get("/ask", headers=key("viewer")).status_code == 403


def test_who_may_not_is_limited_as_who_may(client: FlaskClient) -> None:
    headers = key("service")
    refused = [client.get("/few", headers=headers) for _ in range(3)]
    assert [one.status_code for one in refused] == [403, 403, 429]
    assert FIELD.search(refused[0].headers["RateLimit"])[1] == "1"  # type: ignore[index]


def test_a_refusal_comes_before_the_body_is_looked_at(client: FlaskClient, work: Work) -> None:
    for headers, status in [({}, 401), (key("analyst"), 403)]:
        assert client.post("/work", data=b"{", headers=headers, content_type=JSON).status_code == status
    assert work.calls == 0


def test_refusals_are_audited_the_like_of_them_together(client: FlaskClient) -> None:
    for _ in range(5):
        client.get("/ask", headers={"X-API-Key": "lcc_wrong"})
    client.get("/ask", headers=key("viewer"))
    with read(engine()) as connection:
        rows = connection.execute(select(audit_events).where(audit_events.c.action == "access.refused")).all()
    assert len(rows) == 2
    assert all(row.outcome == "refused" and row.target == "GET /ask" for row in rows)
    assert "127.0.0.1" not in "".join(map(str, rows))


def test_ten_thousand_wrong_keys_are_limited_and_audited_without_flooding(client: FlaskClient) -> None:
    secret = "A" * 43
    statuses = Counter(
        client.get("/ask", headers={"X-API-Key": f"lcc_{name}_{secret}{checksum(name, secret)}"}).status_code
        for name in map("".join, islice(product("abcdefghjk", repeat=12), 10_000))
    )
    assert statuses.keys() == {401, 429}
    assert 20 <= statuses[401] <= 60  # twenty a minute; on a slow machine it takes more than one
    refusals().flush()
    with read(engine()) as connection:
        facts = connection.scalars(select(audit_events.c.facts).where(audit_events.c.action == "access.refused")).all()
    assert sum(json.loads(one)["count"] for one in facts) == statuses[401]
    assert len(facts) <= 4


def test_what_a_handler_forbids_is_audited_as_what_the_way_in_forbids(client: FlaskClient, work: Work) -> None:
    work.fails = Forbidden()
    assert client.post("/work", json={"text": "a"}, headers=key("admin")).status_code == 403
    with read(engine()) as connection:
        refused = connection.execute(select(audit_events).where(audit_events.c.action == "access.refused")).one()
    assert (refused.target, refused.facts) == ("POST /work", '{"count":1,"reason":"scope"}')
    assert refused.actor.startswith("key:")


def test_a_limit_is_told_and_held(client: FlaskClient) -> None:
    headers = key("analyst")
    answers = [client.get("/few", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [int(FIELD.search(one.headers["RateLimit"])[1]) for one in answers] == [1, 0, 0]  # type: ignore[index]
    assert all(one.headers["RateLimit-Policy"].startswith('"principal";q=2;w=60') for one in answers)
    assert answers[2].json["type"].endswith("#quota-exceeded")  # type: ignore[index]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60
    assert client.get("/few", headers=key("analyst")).status_code == 200  # somebody else


def test_what_is_public_is_limited_by_address(client: FlaskClient) -> None:
    def ask(address: str) -> int:
        return client.get("/public", environ_overrides={"REMOTE_ADDR": address}).status_code

    assert [ask("192.0.2.1") for _ in range(4)] == [200, 200, 200, 429]
    assert ask("192.0.2.2") == 200


def test_only_so_many_requests_of_one_key_are_answered_at_a_time(client: FlaskClient, work: Work) -> None:
    headers = key("admin")
    work.waits = Barrier(3)  # two at work, and this test

    def ask(_number: int) -> int:
        mine = client.application.test_client()
        return mine.post("/work", json={"text": "a"}, headers=headers).status_code

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(ask, number) for number in range(2)]
        while work.calls < 2:
            pass
        assert ask(3) == 429
        work.waits.wait(timeout=10)
        assert [one.result() for one in busy] == [200, 200]
    work.waits = None
    assert ask(4) == 200


def test_a_stream_keeps_its_place_until_it_ends(client: FlaskClient) -> None:
    headers = key("admin")
    streams = [client.post("/stream", json={"text": "a"}, headers=headers, buffered=False) for _ in range(2)]
    assert client.post("/work", json={"text": "a"}, headers=headers).status_code == 429
    streams[0].close()
    assert client.post("/work", json={"text": "a"}, headers=headers).status_code == 200
    streams[1].close()


def test_the_same_key_gives_the_same_answer_once(client: FlaskClient, work: Work) -> None:
    headers = {**key("admin"), "Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
    first, second = (client.post("/work", json={"text": "a"}, headers=headers) for _ in range(2))
    assert (first.json, second.json, work.calls) == ({"text": "a 1"}, {"text": "a 1"}, 1)
    assert ("Idempotent-Replayed" in first.headers, second.headers["Idempotent-Replayed"]) == (False, "true")
    other = client.post("/work", json={"text": "b"}, headers=headers)
    assert (other.status_code, other.json["type"]) == (422, "/problems/idempotency-key-reused")  # type: ignore[index]
    someone_else = client.post("/work", json={"text": "a"}, headers={**headers, **key("admin")})
    assert someone_else.json == {"text": "a 2"}


def test_an_answer_of_the_handler_that_refuses_is_given_again_and_a_failure_is_not(
    client: FlaskClient, work: Work
) -> None:
    from common.problems import NotFound

    headers = {**key("admin"), "Idempotency-Key": "once"}
    work.fails = RuntimeError()
    assert client.post("/work", json={"text": "a"}, headers=headers).status_code == 500
    work.fails = NotFound()
    assert client.post("/work", json={"text": "a"}, headers=headers).status_code == 404
    work.fails = None
    assert client.post("/work", json={"text": "a"}, headers=headers).status_code == 404
    assert work.calls == 2


def test_an_answer_without_a_body_is_given_again_as_it_was(client: FlaskClient) -> None:
    headers = {**key("admin"), "Idempotency-Key": "once"}
    first, second = (client.post("/done", headers=headers) for _ in range(2))
    assert second.headers["Idempotent-Replayed"] == "true"
    for answer in (first, second):
        assert (answer.status_code, answer.data, "Content-Type" in answer.headers) == (204, b"", False)


def test_a_stream_is_given_again_as_it_was(client: FlaskClient, work: Work) -> None:
    headers = {**key("admin"), "Idempotency-Key": "once"}
    first, second = (client.post("/stream", json={"text": "a"}, headers=headers, buffered=True) for _ in range(2))
    assert first.text == second.text
    assert "event: done" in second.text
    assert (work.calls, second.mimetype) == (1, EVENT_STREAM)


def test_a_stream_that_nobody_read_to_its_end_may_be_asked_for_again(client: FlaskClient, work: Work) -> None:
    headers = {**key("admin"), "Idempotency-Key": "once"}
    begun = client.post("/stream", json={"text": "a"}, headers=headers, buffered=False)
    next(iter(begun.response))
    conflict = client.post("/stream", json={"text": "a"}, headers=headers)
    assert (conflict.status_code, conflict.json["type"]) == (409, "/problems/idempotency-in-flight")  # type: ignore[index]
    begun.close()
    assert "event: done" in client.post("/stream", json={"text": "a"}, headers=headers).text


def test_in_production_the_first_request_that_is_not_public_has_the_settings_recorded(tmp_path: Path) -> None:
    def recorded() -> int:
        with read(engine()) as connection:
            changed = audit_events.c.action == "settings.changed"
            return len(connection.execute(select(audit_events.c.number).where(changed)).all())

    key_file = tmp_path / "key"
    key_file.write_bytes(bytes(range(32)))
    key_file.chmod(0o600)
    with instance(tmp_path, ENVIRONMENT="production", KEY_FILE=str(key_file)):
        request = flask.Flask("testing").test_request_context
        for path, scope, limit, events in (("/live", "public", "none", 0), ("/public", "public", "3/minute", 1)):
            needs = Needs(route=f"GET {path}", scope=scope, limit=limit, callers="public")
            with request(path):
                assert admit(flask.request, needs, request_id="r1").principal is NOBODY
            assert recorded() == events


def test_the_emulators_own_person_needs_no_key_unless_a_page_or_a_proxy_asks(client: FlaskClient) -> None:
    anonymous.grant("127.0.0.1")
    assert client.get("/ask").json == {"text": "anonymous default"}
    for headers in ({"Origin": "https://evil.example"}, {"X-Forwarded-For": "127.0.0.1"}, {"Host": "evil.example"}):
        assert client.get("/ask", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/ask", "/nowhere", "/public"])
def test_every_answer_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Cache-Control"] == "no-store, max-age=0"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "deny"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "X-XSS-Protection" not in headers
    assert len(set(headers.keys())) == len(list(headers.keys()))


def test_a_page_has_a_policy_with_a_nonce_of_its_own(client: FlaskClient) -> None:
    headers = key("viewer")
    pages = [client.get("/page", headers=headers) for _ in range(2)]
    nonces = [re.search(r'nonce="([^"]+)"', page.text)[1] for page in pages]  # type: ignore[index]
    assert nonces[0] != nonces[1]
    for page, nonce in zip(pages, nonces, strict=True):
        policy = page.headers["Content-Security-Policy"]
        assert f"script-src 'nonce-{nonce}'" in policy
        assert "unsafe" not in policy


def test_a_page_of_an_allowed_origin_may_ask_and_another_may_not(client: FlaskClient) -> None:
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    allowed = client.options("/work", headers={"Origin": "https://app.example.com", **wanted})
    assert (allowed.status_code, allowed.data) == (204, b"")
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "X-API-Key" in allowed.headers["Access-Control-Allow-Headers"]
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    for origin in ("https://evil.example", "https://app.example.com.evil.example", "null", ""):
        refused = client.options("/work", headers={"Origin": origin, **wanted})
        assert refused.status_code == 405
        assert "Access-Control-Allow-Origin" not in refused.headers
    answer = client.get("/ask", headers={"Origin": "https://app.example.com", **key("analyst")})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert answer.headers["Vary"] == "Origin"


def test_headers_that_are_too_large_are_refused(client: FlaskClient) -> None:
    refused = client.get("/public", headers={"X-Filler": "x" * 20_000})
    assert (refused.status_code, refused.json["type"]) == (431, "/problems/headers-too-large")  # type: ignore[index]
