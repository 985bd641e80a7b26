"""The server in a process of its own, as it takes over the main thread and the signals."""

import http.client
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.server import CannotListen, reserve, serve, url_of

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import threading
from local import server
from local.server import reserve, serve

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        print("working", flush=True)
        threading.Event().wait(float(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"done"]

serve(app, reserve("127.0.0.1", 0), lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@contextmanager
def running(program: str = PROGRAM) -> Iterator[tuple[subprocess.Popen[str], http.client.HTTPConnection]]:
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            host, port = process.stdout.readline().strip().removeprefix("http://").split(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=30)
            yield process, connection
            connection.close()
        finally:
            process.kill()


def get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_although_a_connection_is_kept_alive(number: signal.Signals) -> None:
    with running() as (process, connection):
        assert get(connection, "/") == b"done"
        kept = connection.sock
        assert get(connection, "/") == b"done"
        assert connection.sock is kept
        process.send_signal(number)
        assert process.communicate(timeout=3)[0] == "ended\n"
        assert process.returncode == 0


def test_a_request_in_flight_is_answered_before_the_end() -> None:
    with running() as (process, connection):
        connection.request("GET", "/slow?0.3")
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        assert connection.getresponse().read() == b"done"
        assert process.wait(timeout=5) == 0


def test_a_request_that_takes_too_long_does_not_hold_the_end_up() -> None:
    with running() as (process, connection):
        connection.request("GET", "/slow?60")
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_ctrl_c_again_ends_it_at_once() -> None:
    with running(PROGRAM.replace("serve(app", "server.STOP_SECONDS = 60; serve(app")) as (process, connection):
        with socket.create_connection((connection.host, connection.port)) as kept:
            kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert kept.recv(1000)
            connection.request("GET", "/slow?60")
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            process.send_signal(signal.SIGINT)
            while kept.recv(1000):  # closed when the end begins
                pass
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 128 + signal.SIGINT


def test_a_port_in_use_is_told_with_what_to_do(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)), pytest.raises(CannotListen) as refused:
        reserve("127.0.0.1", free_port)
    assert str(refused.value) == (
        f"port {free_port} on 127.0.0.1 is in use: choose another with PORT, as in PORT={free_port + 1} make run"
    )


def test_a_host_of_another_machine_is_told() -> None:
    program = "from local.server import reserve; reserve('192.0.2.1', 8000)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert re.search(
        r"CannotListen: port 8000 on 192\.0\.2\.1 cannot be opened \(.+\): check HOST and PORT$", ended.stderr.strip()
    )


def test_a_port_is_reserved_without_being_open(free_port: int) -> None:
    with reserve("127.0.0.1", free_port), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port))


def test_a_port_that_was_taken_since_it_was_reserved_is_told(free_port: int) -> None:
    with reserve("127.0.0.1", free_port) as first, reserve("127.0.0.1", free_port) as second:
        first.listen()
        with pytest.raises(CannotListen, match="is in use"):
            serve(lambda _environ, _start: [], second, lambda url: pytest.fail(f"open at {url}"))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_the_url_is_one_that_this_machine_reaches(host: str, url: str) -> None:
    assert url_of(host, 8000) == url
