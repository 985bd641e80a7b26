"""A real nginx with the product's configuration, in front of functions that run by themselves."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.nginx.switch import Nginx
from tests import servers
from tests.api_keys import new_key
from tests.certificates import make_certificate
from tests.integration.proxied_function import LARGE_BYTES
from tests.proxies import BEHIND_BALANCER, CONFIGURATION, ECHO, FUNCTIONS, ROOT, Site, another_caller, function, site

CANARY = "jane.roe@example.com"
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
TLS_1_1_REFUSED = "TLSV1_ALERT_PROTOCOL_VERSION"
THREADS = 2  # of the function that slow callers would like to occupy

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("functions")


@pytest.fixture(scope="module")
def ports(data: Path) -> Iterator[dict[str, int]]:
    """All functions, each in a process of its own: their ports by name."""
    with ExitStack() as stack, ThreadPoolExecutor(len(FUNCTIONS)) as threads:
        started = [function(ROOT / one["source"], one["entry_point"], data) for one in FUNCTIONS]
        yield {
            one["name"]: port
            for one, port in zip(FUNCTIONS, threads.map(stack.enter_context, started), strict=True)
        }  # fmt: skip


@pytest.fixture(scope="module")
def product(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All functions behind nginx, which is behind a balancer that tells it addresses."""
    with site(tmp_path_factory.mktemp("product"), ports, server=BEHIND_BALANCER) as running:
        yield running


@pytest.fixture(scope="module")
def client(product: Site) -> Iterator[httpx.Client]:
    with product.client() as client:
        client.event_hooks = {"request": [lambda request: request.headers.update(another_caller())]}
        yield client


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A function of the tests' own in place of `query`; `documents` never answers, the others are not there.

    nginx waits for 1 s where the product's configuration has more.
    """
    folder = tmp_path_factory.mktemp("echo")
    waits = ("client_header_timeout 10s", "client_body_timeout 10s", "send_timeout 30s", "proxy_read_timeout 300s")
    with (
        function(ECHO, "proxied", folder / "data", THREADS=str(THREADS)) as port,
        servers.silence() as silent,
        site(
            folder,
            {"query": port, "documents": int(silent.rpartition(":")[2])},
            changes={wait: wait.rpartition(" ")[0] + " 1s" for wait in waits},
        ) as running,
    ):
        yield running


def problem(response: httpx.Response, site: Site, *, of_nginx: bool = True) -> tuple[int, str]:
    """Status and type of an answer that is a problem, and whose answer it is by the access log."""
    document = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert document["status"] == response.status_code
    assert document["request_id"] == response.headers["X-Request-ID"]
    line = site.line(document["request_id"])
    assert line["httpRequest"]["status"] == response.status_code
    assert (line["upstream_status"] in ("", "502", "504")) is of_nginx
    return response.status_code, document["type"]


def test_the_site_that_is_checked_in_is_one_that_nginx_takes(tmp_path: Path) -> None:
    config = tmp_path / "nginx"
    shutil.copytree(CONFIGURATION, config)
    state = tmp_path / "state"
    state.mkdir()
    server, upstreams = config / "site" / "server.conf", config / "site" / "upstreams.conf"
    text = re.sub(r"/etc/loancheck/tls/\w+\.pem", str(make_certificate(tmp_path)), server.read_text())
    server.write_text(re.sub(r"\b443\b", str(servers.free_port()), text))
    upstreams.write_text(re.sub(r"server [a-z-]+:8080", "server 127.0.0.1:8080", upstreams.read_text()))
    command = Nginx(binary=servers.nginx_binary(), config=config / "nginx.conf", state=state).command("-t")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "[warn]" in done.stderr) == (0, False), done.stderr


# Routing


@pytest.mark.parametrize("listed", FUNCTIONS, ids=lambda one: one["name"])
def test_every_function_is_reached_at_its_paths_and_below(
    listed: dict[str, Any], product: Site, client: httpx.Client, ports: dict[str, int]
) -> None:
    for path in listed["paths"]:
        for asked in (path, f"{path}/", f"{path}/no-such/thing", f"{path}?period=7d"):
            line = product.line(client.get(asked).headers["X-Request-ID"])
            assert (line["function"], line["route"]) == (listed["name"], path)
            assert line["upstream"] == f"127.0.0.1:{ports[listed['name']]}"


@pytest.mark.parametrize("listed", FUNCTIONS, ids=lambda one: one["name"])
def test_every_function_describes_itself_below_its_name_and_keeps_its_instances_metrics_inside(
    listed: dict[str, Any], product: Site, client: httpx.Client
) -> None:
    name = listed["name"]
    assert listed["paths"][0] in client.get(f"/{name}/openapi.json").json()["paths"]
    assert client.get(f"/{name}/live").json()["status"] in {"alive", "live"}
    metrics = client.get(f"/{name}/metrics")
    assert problem(metrics, product, of_nginx=name != "health") == (404, "/problems/not-found")


@pytest.mark.parametrize("path", ["/", "/api", "/api/queries", "/metrics", "/problems/too-large", "/query", "/site"])
def test_any_other_address_is_nginxs_own_404(path: str, product: Site, client: httpx.Client) -> None:
    assert problem(client.get(path), product) == (404, "/problems/not-found")


def test_a_question_is_answered_through_the_proxy_whole_and_streamed(client: httpx.Client, data: Path) -> None:
    headers = {"X-API-Key": new_key(data, role="analyst")}
    answer = client.post("/api/query", json={"message": "hello"}, headers=headers)
    assert (answer.status_code, answer.json()["agent"]) == (200, "greeting")
    streamed = client.post("/api/query", json={"message": "hello", "stream": True}, headers=headers)
    assert streamed.headers["Content-Type"].startswith("text/event-stream")
    assert streamed.text.count("event: ") >= 2


def test_a_streams_first_event_arrives_before_its_last_is_made(echo: Site) -> None:
    with echo.client(timeout=10) as client, client.stream("GET", "/api/query/stream") as response:
        assert "X-Accel-Buffering" not in response.headers
        lines = response.iter_lines()
        assert next(lines) == "event: first"
        client.get("/api/query/let-go-on")
        assert 'data: "last"' in list(lines)


# What nginx refuses by itself


@pytest.mark.parametrize(
    ("path", "most"), [("/api/query", 64_000), ("/api/documents", 10_000_000), ("/api/cost-report/run", 64_000)]
)
def test_a_body_may_be_as_large_as_the_route_allows_and_no_byte_larger(
    path: str, most: int, product: Site, client: httpx.Client
) -> None:
    assert client.post(path, content=b" " * most).status_code == 401  # the function's, who asks for a key first
    for body in (b" " * (most + 1), iter([b" " * most, b" "])):  # with its length told, and in chunks
        assert problem(client.post(path, content=body), product) == (413, "/problems/too-large")


def test_headers_that_are_too_large_are_the_functions_to_refuse_up_to_a_point(
    product: Site, client: httpx.Client
) -> None:
    for sizes, is_nginxs in (([7_900] * 3, False), ([8_100], True)):
        headers = {f"X-Large-{number}": "x" * size for number, size in enumerate(sizes)}
        response = client.get("/health/live", headers=headers)
        assert problem(response, product, of_nginx=is_nginxs) == (431, "/problems/headers-too-large")
    for size, is_nginxs in ((3_000, False), (8_100, True)):
        response = client.get(f"/health/live?{'x' * size}")
        assert problem(response, product, of_nginx=is_nginxs) == (414, "/problems/uri-too-long")


@pytest.mark.parametrize(
    ("head", "status", "type_"),
    [
        ("GARBAGE", 400, "/problems/bad-request"),
        ("GET / HTTP/1.1", 400, "/problems/bad-request"),  # without Host
        ("GET / HTTP/7.0\r\nHost: a", 400, "/problems/bad-request"),
        ("POST /api/query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip", 400, "/problems/bad-request"),
        ("POST /api/query HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked", 400, None),
        ("TRACE /api/query HTTP/1.1\r\nHost: a", 405, "/problems/method-not-allowed"),
    ],
)
def test_what_is_no_request_is_refused_with_a_problem(head: str, status: int, type_: str | None, product: Site) -> None:
    with connected(product) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode())
        answer = received(connection)
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert "Content-Type: application/problem+json\r\n" in answer
    assert json.loads(answer.partition("\r\n\r\n")[2])["type"] == (type_ or "/problems/bad-request")


def test_plain_http_is_refused_with_a_problem(product: Site) -> None:
    with httpx.Client() as plain:
        response = plain.get(product.url.replace("https", "http"))
    assert problem(response, product) == (400, "/problems/bad-request")


def test_too_many_requests_from_one_address_are_429_and_another_address_has_its_own(product: Site) -> None:
    def ask(_number: int) -> httpx.Response:
        return caller.get("/health/live", headers={"X-Forwarded-For": "192.0.2.7"})

    with product.client() as caller, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(400)))
        other = caller.get("/health/live", headers={"X-Forwarded-For": "192.0.2.8"})
    refused = [one for one in answers if one.status_code == 429]
    assert len(answers) - len(refused) >= 100  # the burst
    assert {one.status_code for one in answers} == {200, 429}
    assert problem(refused[0], product) == (429, QUOTA_EXCEEDED)
    assert refused[0].headers["Retry-After"] == "1"
    assert other.status_code == 200


def test_a_function_that_is_not_there_is_502_and_one_that_does_not_answer_504(echo: Site) -> None:
    with echo.client() as client:
        away, silent = client.get("/health/live"), client.get("/api/documents/one")
    for response, status in ((away, 502), (silent, 504)):
        assert problem(response, echo) == (status, "/problems/unavailable")
        assert response.headers["Retry-After"] == "5"


# Headers


def test_security_headers_are_there_once_whoever_answers(product: Site, client: httpx.Client) -> None:
    of_function, of_nginx = client.get("/health/live"), client.get("/nowhere")
    names = [
        sorted({name.lower() for name, _ in one.headers.multi_items()} - {"connection"})
        for one in (of_function, of_nginx)
    ]
    assert set(names[1]) <= set(names[0])
    for response in (of_function, of_nginx):
        received_names = [name.lower() for name, _ in response.headers.multi_items()]
        assert len(received_names) == len(set(received_names))
        assert response.headers["Server"] == "nginx"  # and no version
        assert response.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store, max-age=0"


def test_a_function_hears_the_callers_address_from_nginx_alone(echo: Site) -> None:
    forged = {
        "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9",
        "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "Proxy": "http://evil.example",
    }  # fmt: skip
    with echo.client() as client:
        said = client.get("/api/query", headers=forged).json()
    assert said["address"] == "127.0.0.1"
    assert (said["headers"]["x-forwarded-for"], said["headers"]["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert not {"forwarded", "x-real-ip", "x-forwarded-host", "proxy"} & said["headers"].keys()


def test_behind_a_balancer_the_address_is_the_one_that_it_tells(data: Path, tmp_path: Path) -> None:
    with (
        function(ECHO, "proxied", data) as port,
        site(tmp_path, {"query": port}, server=BEHIND_BALANCER) as running,
        running.client() as client,
    ):
        said = [
            client.get("/api/query", headers={"X-Forwarded-For": one}).json() for one in ("192.0.2.1", "2001:db8::1")
        ]
    assert [one["address"] for one in said] == ["192.0.2.1", "2001:db8::1"]
    assert [one["headers"]["x-forwarded-for"] for one in said] == ["192.0.2.1", "2001:db8::1"]


def test_the_callers_request_id_goes_through_and_without_one_function_and_log_have_the_same(echo: Site) -> None:
    with echo.client() as client:
        given = client.get("/api/query", headers={"X-Request-ID": "from-the-caller"})
        without = client.get("/api/query")
    assert given.headers["X-Request-ID"] == "from-the-caller"
    assert without.json()["headers"]["x-request-id"] == without.headers["X-Request-ID"]
    assert echo.line(without.headers["X-Request-ID"])["function"] == "query"


# TLS


def handshake(site: Site, version: ssl.TLSVersion, alpn: Sequence[str] = ()) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # so that it is not this side that refuses
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(socket.create_connection((servers.LOOPBACK, site.port), timeout=10))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_later_are_spoken_and_http_2(version: ssl.TLSVersion, product: Site) -> None:
    with handshake(product, version, alpn=["h2", "http/1.1"]) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        assert connection.recv(9)[3] == 4  # a frame of SETTINGS, RFC 9113 section 6.5


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_earlier_versions_are_refused(version: ssl.TLSVersion, product: Site) -> None:
    with pytest.raises(ssl.SSLError) as refused:
        handshake(product, version).close()
    assert refused.value.reason == TLS_1_1_REFUSED


# The logs


def test_the_access_log_holds_neither_personal_data_nor_whole_addresses(
    product: Site, client: httpx.Client, data: Path
) -> None:
    carried = {
        "User-Agent": CANARY, "Referer": f"https://{CANARY}/", "X-Request-ID": CANARY, "X-API-Key": CANARY,
        "Cookie": CANARY,
    }  # fmt: skip
    asked = [
        client.get(f"/api/documents/{CANARY}?name={CANARY}", headers=carried),
        client.get(f"/{CANARY}?name={CANARY}", headers=carried),
        client.post("/api/query", content=CANARY * 5_000, headers=carried),
        client.request(CANARY.split("@")[0].upper().replace(".", "-"), "/api/query", headers=carried),
    ]
    with product.client() as plain:
        addresses = ("198.51.100.23", "2001:db8:1:2:3:4:5:6", "2001:db8::7", "::9")
        asked += [plain.get("/health/live", headers={"X-Forwarded-For": one}) for one in addresses]
    lines = [product.line(response.headers["X-Request-ID"]) for response in asked]
    assert [line["network"] for line in lines[-4:]] == [
        "198.51.100.0/24",
        "2001:db8:1::/48",
        "2001:db8::/48",
        "unknown",
    ]
    assert [(line["function"], line["route"]) for line in lines[:3]] == [
        ("documents", "/api/documents"), ("", ""), ("query", "/api/query"),
    ]  # fmt: skip
    assert lines[3]["httpRequest"]["requestMethod"] == "other"
    kept = product.access_log.read_text() + (product.nginx.state / "log").read_text()
    for personal in (CANARY, "JANE", "198.51.100.23", "2001:db8:1:2", "python-httpx", "name="):
        assert personal not in kept


def test_nginx_says_of_a_failed_request_nothing_but_its_line(echo: Site) -> None:
    with echo.client() as client:
        response = client.get(f"/health/live?name={CANARY}")
    assert echo.line(response.headers["X-Request-ID"])["upstream_status"] == "502"
    said = (echo.nginx.state / "log").read_text()
    assert CANARY not in said
    assert "start worker process" in said


# Slow callers


def half_sent(site: Site, stack: ExitStack, count: int) -> list[ssl.SSLSocket]:
    """Connections on which half a head was sent, and as many with a whole head and half a body."""
    head = "POST /api/query HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    connections = [stack.enter_context(connected(site)) for _ in range(2 * count)]
    for number, connection in enumerate(connections):
        connection.sendall((f"{head}Content-Length: 100\r\n\r\n{{" if number % 2 else head).encode())
    return connections


def test_half_sent_requests_do_not_block_others(product: Site, client: httpx.Client) -> None:
    threads = 4 * (os.cpu_count() or 1)  # that the framework gives a function
    with ExitStack() as stack:
        half_sent(product, stack, 2 * threads)
        answers = [client.post("/api/query", json={"message": "hello"}, timeout=8) for _ in range(3)]
    assert {one.status_code for one in answers} == {401}  # before the others are given up, after 10 s


def test_half_sent_requests_are_given_up(echo: Site) -> None:
    with ExitStack() as stack:
        assert all(is_closed(connection) for connection in half_sent(echo, stack, 3))


def test_whoever_does_not_read_his_answer_is_given_up(echo: Site) -> None:
    with ExitStack() as stack:
        for _ in range(2 * THREADS):
            connection = stack.enter_context(connected(echo))
            connection.sendall(b"GET /api/query/large HTTP/1.1\r\nHost: a\r\n\r\n")
        with echo.client(timeout=20) as client:
            assert len(client.get("/api/query/large").content) == LARGE_BYTES


@contextmanager
def connected(site: Site) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((servers.LOOPBACK, site.port), timeout=10) as plain,
        site.trust.wrap_socket(plain, server_hostname=servers.LOOPBACK) as connection,
    ):
        yield connection


def received(connection: ssl.SSLSocket) -> str:
    """A whole answer whose body is JSON."""
    text = ""
    while not text.endswith("}") and (piece := connection.recv(65_536)):
        text += piece.decode()
    return text


def is_closed(connection: ssl.SSLSocket) -> bool:
    """Whether the other side ends it, which is waited for; nothing is sent before."""
    try:
        return connection.recv(1) == b""
    except (ConnectionResetError, ssl.SSLEOFError):
        return True
