"""What a break-in attempt found, as it was sent: see docs/security_guide.md, "A break-in attempt"."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.emulators import Emulator, emulator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulator(tmp_path_factory.mktemp("break-in")) as started:
        yield started


def sent(running: Emulator, request: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", httpx.URL(running.url).port or 0), timeout=10) as connection:
        connection.sendall(request)
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")  # to the end: it must be closed
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), headers["content-type"], body


@pytest.mark.parametrize("chunks", [b"-1\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}XX0\r\n\r\n"])
@pytest.mark.parametrize(("path", "key", "status"), [("query", b"", 400), ("query", b"X-API-Key: no\r\n", 401)])
def test_a_body_in_chunks_that_are_none_is_the_callers_fault_and_ends_the_connection(
    running: Emulator, path: str, key: bytes, status: int, chunks: bytes
) -> None:
    head = b"POST /api/%s HTTP/1.1\r\nHost: localhost\r\n" % path.encode()
    fields = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    found, content_type, body = sent(running, head + key + fields + b"\r\n" + chunks)
    assert (found, content_type) == (status, "application/problem+json")
    assert json.loads(body)["status"] == status
