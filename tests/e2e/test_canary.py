"""Nothing of what people send leaves the process but in their own answer: everything that left is searched.

What the disk holds is searched too: turns keep what was said, sealed. Keys and ID tokens, those that are let in and
those that are not, are nowhere.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from sqlalchemy import select

from common.database.engine import engine, read
from common.database.tables import turns
from common.security.encryption import TURN_CONTENT, row_of, sealer
from tests.api_keys import new_key
from tests.e2e.canaries import Canaries, canaries, files_below, found_in, parts_of
from tests.emulators import environment, first_emulator
from tests.instance import instance
from tests.servers import free_port
from tests.token_issuer import AUDIENCE, EMAIL, TokenIssuer, token_issuer
from tests.trace_servers import OtlpHttp

REQUESTS = 200
KINDS = 6  # of requests
CLIENTS = 16

pytestmark = pytest.mark.slow


class Gateway:
    """Takes pushes of metrics, and keeps what they hold."""

    def __init__(self) -> None:
        bodies: list[bytes] = []
        self.bodies = bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.path.encode() + self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(202)
                self.end_headers()

            def do_PUT(self) -> None:
                self.do_POST()

            def do_DELETE(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    running = Gateway()
    yield running
    running.close()


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[OtlpHttp]:
    with OtlpHttp() as running:
        yield running


def telemetry(receiver: OtlpHttp, gateway: Gateway) -> dict[str, str]:
    return {
        "TRACE_EXPORTER": "otlp",
        "OTLP_ENDPOINT": receiver.url,
        "PUSHGATEWAY_URL": gateway.url,
        "PUSH_EVERY_SECONDS": "0.5",
        "LOG_LEVEL": "DEBUG",
        "JSON_LOGS": "true",
    }


def headers(one: Canaries) -> dict[str, str]:
    return {
        "X-Request-ID": one.ssn,
        "User-Agent": one.email,
        "Referer": f"https://example.com/?email={one.email}",
        "Cookie": f"session={one.password}",
        "X-Goog-IAP-JWT-Assertion": one.id_token,
        "X-Forwarded-For": one.phone,
        "tracestate": f"who={one.ssn}",
    }


@dataclass(frozen=True, slots=True)
class Callers:
    """Credentials that the emulator lets in."""

    keys: tuple[str, ...]
    tokens: tuple[str, ...]

    def credentials(self, number: int, one: Canaries) -> dict[str, str]:
        """By turns: a right key in either header, a right token; a wrong key, a wrong token, and two at once."""
        key, token = self.keys[number % len(self.keys)], self.tokens[number % len(self.tokens)]
        match number // KINDS % 6:
            case 0:
                return {"X-API-Key": key}
            case 1:
                return {"Authorization": f"Bearer {key}"}
            case 2:
                return {"Authorization": f"Bearer {token}"}
            case 3:
                return {"X-API-Key": one.api_key}
            case 4:
                return {"Authorization": f"Bearer {one.id_token}"}
            case _:
                return {"X-API-Key": key, "Authorization": f"Bearer {one.id_token}"}

    @property
    def values(self) -> tuple[str, ...]:
        whole = (*self.keys, *self.tokens)
        return (*whole, *(part for one in whole for part in parts_of(one)))


def query_of(one: Canaries) -> dict[str, str]:
    """Sent form-encoded: a plus for each space."""
    more = {"key": one.api_key, "q": f"my IBAN is {one.iban}"}
    return {"email": one.email, "ssn": one.ssn, "card": one.card, "phone": one.phone, **more}


def bare(one: Canaries) -> dict[str, object]:
    """Values that only the names around them explain."""
    ssn, phone = one.ssn.replace("-", ""), "".join(filter(str.isdigit, one.phone))
    return {"ssn": [ssn], "phones": [phone], "of": {"ssn": {"value": ssn}}, "headers": [["X-Api-Key", one.key]]}


def send(client: httpx.Client, number: int, callers: Callers) -> httpx.Response:
    """By turns: a question, an unknown field, a broken body, an address, a session and a stream."""
    one = canaries(number)
    query, sent = query_of(one), {**headers(one), **callers.credentials(number, one)}
    match number % KINDS:
        case 0:
            once = {**sent, "Idempotency-Key": one.email}
            return client.post("/api/query", json={"message": one.sentence}, params=query, headers=once)
        case 1:
            body = {"message": "Hello", one.email: {"nested": {"ssn": one.ssn, "key": one.key}, "bare": bare(one)}}
            return client.post("/api/query", json=body, params=query, headers=sent)
        case 2:
            text = f'{{"message": "{one.sentence}'
            broken = {**sent, "Content-Type": "application/json"}
            return client.post("/api/query", content=text, params=query, headers=broken)
        case 3:
            return client.get(f"/api/{one.email}/{one.ssn}", params=query, headers=sent)
        case 4:
            body = {"message": one.sentence, "session_id": one.ssn, "agent": one.email}
            return client.post("/api/query", json=body, params=query, headers=sent)
        case _:
            return client.post("/api/query", json={"message": one.sentence, "stream": True}, headers=sent)


def all_at_once(url: str, callers: Callers) -> list[httpx.Response]:
    with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda number: send(client, number, callers), range(REQUESTS)))


def kept_messages(data: Path) -> set[str]:
    """What the turns in the database say once they are opened."""
    with instance(data), read(engine()) as connection:
        rows = connection.execute(select(turns.c.tenant, turns.c.uid, turns.c.content)).all()
        contents = [sealer().open(row.content, TURN_CONTENT, row_of(row.tenant, row.uid)) for row in rows]
    return {json.loads(content)["message"] for content in contents}


def test_nothing_that_people_send_is_in_what_the_emulator_writes(
    tmp_path: Path, receiver: OtlpHttp, gateway: Gateway, issuer: TokenIssuer
) -> None:
    settings = telemetry(receiver, gateway) | {
        "GOOGLE_ISSUERS": issuer.issuer, "GOOGLE_CERTS_URL": issuer.certs_url, "GOOGLE_AUDIENCES": AUDIENCE,
        "GOOGLE_ACCOUNTS": f"{EMAIL}=analyst", "FAILED_KEYS_LIMIT": "none",
    }  # fmt: skip
    callers = Callers(
        keys=tuple(new_key(tmp_path / "data", role="analyst") for _ in range(3)),
        tokens=tuple(issuer.token(sub=str(number)) for number in range(3)),
    )
    with first_emulator(tmp_path, **settings) as running:
        responses = all_at_once(running.url, callers)
        metrics = httpx.get(f"{running.url}/metrics").content
        running.process.terminate()
        output = running.said + running.last_words()
    statuses = {response.status_code for response in responses}
    assert statuses == {200, 400, 401, 404, 422}
    problems = [response.content for response in responses if response.status_code >= 400]
    problems += [str(response.headers).encode() for response in responses]
    assert output.count("request.finished") >= REQUESTS
    assert len(receiver.spans) > REQUESTS
    assert gateway.bodies
    left = [output.encode(), metrics, *problems, *receiver.bodies, *gateway.bodies, *files_below(running.data)]
    assert found_in(left, map(canaries, range(REQUESTS))) == []
    whole = b"\n".join(left)
    assert [value for value in callers.values if value.encode() in whole] == []
    answered = {number for number, response in enumerate(responses) if response.status_code == 200}
    assert {canaries(number).sentence for number in answered} == kept_messages(running.data)


def test_nothing_is_in_what_a_careless_function_writes(tmp_path: Path, receiver: OtlpHttp, gateway: Gateway) -> None:
    port = free_port()
    command = [sys.executable, "-m", "functions_framework", "--target", "leaky", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--source", str(Path(__file__).with_name("leaky_function.py"))]
    settings = telemetry(receiver, gateway) | {"PYTHONUNBUFFERED": "1"}
    log = tmp_path / "log"
    with log.open("wb") as output, subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path, **settings), stdout=output, stderr=subprocess.STDOUT
    ) as process:  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            transport = httpx.HTTPTransport(retries=20)  # until it listens
            with httpx.Client(base_url=url, timeout=60, transport=transport) as client, ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(lambda number: careless(client, number), range(REQUESTS)))
                metrics = client.get("/metrics").content
        finally:
            process.terminate()
            process.wait(60)
    written = log.read_bytes()
    assert sorted(set(statuses)) == [200, 500]
    assert written.count(b"could not look up") >= REQUESTS // 2
    assert b"[EMAIL]" in written
    assert b"[SSN]" in written
    left = [written, metrics, *receiver.bodies, *gateway.bodies]
    assert found_in(left, map(canaries, range(REQUESTS))) == []


def careless(client: httpx.Client, number: int) -> int:
    one = canaries(number)
    path = "/raise" if number % 2 else "/log"
    profile = {"ssn": one.ssn, "cards": [one.card], "password": one.password}
    lists = {name: value for name, value in bare(one).items() if isinstance(value, list)}  # it logs the body's text
    body = {"applicant": one.sentence, "profile": profile, "bare": lists}
    credentials = {"Authorization": f"Bearer {one.key}", "X-API-Key": one.api_key}
    return client.post(path, json=body, params=query_of(one), headers={**headers(one), **credentials}).status_code
