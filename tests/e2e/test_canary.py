"""Nothing of what people send leaves the process but in their own answer: everything that left is searched."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.e2e.canaries import Canaries, canaries, files_below, found_in
from tests.emulators import emulator, environment
from tests.servers import free_port
from tests.trace_servers import OtlpHttp

REQUESTS = 200
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
        "Authorization": f"Bearer {one.key}",
        "Cookie": f"session={one.password}",
        "X-Forwarded-For": one.phone,
        "tracestate": f"who={one.ssn}",
    }


def query_of(one: Canaries) -> dict[str, str]:
    """Sent form-encoded: a plus for each space."""
    return {"email": one.email, "ssn": one.ssn, "card": one.card, "phone": one.phone, "q": f"my IBAN is {one.iban}"}


def bare(one: Canaries) -> dict[str, object]:
    """Values that only the names around them explain."""
    ssn, phone = one.ssn.replace("-", ""), "".join(filter(str.isdigit, one.phone))
    return {"ssn": [ssn], "phones": [phone], "of": {"ssn": {"value": ssn}}, "headers": [["X-Api-Key", one.key]]}


def send(client: httpx.Client, number: int) -> httpx.Response:
    """By turns: a question, an unknown field, a broken body, an address, a session and a stream."""
    one = canaries(number)
    query = query_of(one)
    match number % 6:
        case 0:
            return client.post("/api/query", json={"message": one.sentence}, params=query, headers=headers(one))
        case 1:
            body = {"message": "Hello", one.email: {"nested": {"ssn": one.ssn, "key": one.key}, "bare": bare(one)}}
            return client.post("/api/query", json=body, params=query, headers=headers(one))
        case 2:
            text = f'{{"message": "{one.sentence}'
            broken = {**headers(one), "Content-Type": "application/json"}
            return client.post("/api/query", content=text, params=query, headers=broken)
        case 3:
            return client.get(f"/api/{one.email}/{one.ssn}", params=query, headers=headers(one))
        case 4:
            body = {"message": one.sentence, "session_id": one.ssn, "agent": one.email}
            return client.post("/api/query", json=body, params=query, headers=headers(one))
        case _:
            return client.post("/api/query", json={"message": one.sentence, "stream": True}, headers=headers(one))


def all_at_once(url: str) -> list[httpx.Response]:
    with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda number: send(client, number), range(REQUESTS)))


def test_nothing_that_people_send_is_in_what_the_emulator_writes(
    tmp_path: Path, receiver: OtlpHttp, gateway: Gateway
) -> None:
    with emulator(tmp_path, **telemetry(receiver, gateway)) as running, ThreadPoolExecutor(1) as reader:
        said = reader.submit(running.process.communicate)  # a full pipe would stop the process
        responses = all_at_once(running.url)
        metrics = httpx.get(f"{running.url}/metrics").content
        running.process.terminate()
        output = running.said + said.result()[0]
    statuses = {response.status_code for response in responses}
    assert statuses == {200, 400, 404, 422}
    problems = [response.content for response in responses if response.status_code >= 400]
    problems += [str(response.headers).encode() for response in responses]
    assert output.count("request.finished") >= REQUESTS
    assert len(receiver.spans) > REQUESTS
    assert gateway.bodies
    left = [output.encode(), metrics, *problems, *receiver.bodies, *gateway.bodies, *files_below(running.data)]
    assert found_in(left, map(canaries, range(REQUESTS))) == []


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
    return client.post(path, json=body, params=query_of(one), headers=headers(one)).status_code
