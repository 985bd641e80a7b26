"""Bad input over HTTP, through the real framework and server: a clear problem each time, and nothing half stored."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulators import Emulator, emulator

TEXT = "A lien lapses after five years."


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulator(tmp_path_factory.mktemp("bad-input")) as started:
        yield started


@pytest.fixture(scope="module")
def client(running: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=60) as opened:
        yield opened


def problem(response: httpx.Response) -> tuple[int, str, list[str]]:
    assert response.headers["content-type"] == "application/problem+json", response.text[:200]
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["type"], [error["pointer"] for error in body.get("errors", [])]


@pytest.mark.parametrize(
    ("body", "status", "kind", "pointers"),
    [
        (b"", 400, "/problems/bad-request", []),
        (b"{", 400, "/problems/bad-request", []),
        (b"\x89PNG\r\n\x1a\n\x00\xff", 400, "/problems/bad-request", []),
        (b"[" * 50_000, 400, "/problems/bad-request", []),
        (b'{"message": "' + b"x" * 102_400 + b'"}', 413, "/problems/too-large", []),
        (b'{"message": "' + b"x" * 5_000 + b'"}', 422, "/problems/invalid-request", ["/message"]),
        (b'{"message": ""}', 422, "/problems/invalid-request", ["/message"]),
        (b'{"message": " \\u0000 "}', 422, "/problems/invalid-request", ["/message"]),
        (b'{"message": 7}', 422, "/problems/invalid-request", ["/message"]),
        (b'{"message": "hi", "mesage": 1}', 422, "/problems/invalid-request", ["/mesage"]),
        (b'{"message": "hi", "agent": "nobody"}', 422, "/problems/invalid-request", ["/agent"]),
        (b'{"message": "hi", "session_id": "never-seen"}', 404, "/problems/not-found", ["/session_id"]),
        (b"[]", 422, "/problems/invalid-request", [""]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_query_is_refused_with_the_field_and_the_reason(
    client: httpx.Client, body: bytes, status: int, kind: str, pointers: list[str]
) -> None:
    response = client.post("/api/query", content=body, headers={"Content-Type": "application/json"})
    assert problem(response) == (status, kind, pointers)


def document(**changes: Any) -> dict[str, Any]:
    return {"id": "fine", "title": "Fine", "text": TEXT} | changes


@pytest.mark.parametrize(
    ("documents", "pointer"),
    [
        ([], "/documents"),
        ([document(id="twice"), document(id="twice")], "/documents/1/id"),
        ([document(), document(id="empty", text="")], "/documents/1/text"),
        ([document(), document(id="blank", text=" \n ")], "/documents/1/text"),
        ([document(), document(id="../up")], "/documents/1/id"),
        ([document(), document(id="")], "/documents/1/id"),
        ([document(), document(id="binary", text="\x00\x01\x02" * 50)], "/documents/1/text"),
        ([document(), document(id="x", colour="red")], "/documents/1/colour"),
    ],
)
def test_a_bad_document_is_named_and_nothing_of_its_batch_is_stored(
    client: httpx.Client, documents: list[dict[str, Any]], pointer: str
) -> None:
    response = client.post("/api/documents", json={"documents": documents})
    status, _, pointers = problem(response)
    assert status == 422
    assert pointer in pointers
    assert client.get("/api/documents/fine").status_code == 404


def test_a_document_of_20_mb_is_too_large_and_the_connection_goes_on(client: httpx.Client) -> None:
    response = client.post("/api/documents", json={"documents": [document(text="word " * 4_000_000)]})
    assert problem(response)[:2] == (413, "/problems/too-large")
    assert client.get("/documents/live").json() == {"status": "alive"}


def test_a_body_to_an_address_that_does_not_take_one_is_passed_over(client: httpx.Client) -> None:
    assert problem(client.post("/api/nowhere", content=b"x" * 2_000_000))[0] == 404
    assert (
        problem(client.post("/api/query", content=b"x" * 2_000_000, headers={"Content-Type": "text/plain"}))[0] == 415
    )


def test_a_body_in_chunks_is_bounded_too(client: httpx.Client) -> None:
    pieces = (b'{"message": "' if number == 0 else b"x" * 10_000 for number in range(20))
    response = client.post("/api/query", content=pieces, headers={"Content-Type": "application/json"})
    assert problem(response)[:2] == (413, "/problems/too-large")
    small = iter([b'{"message": ', b'"hello"}'])
    response = client.post("/api/query", content=small, headers={"Content-Type": "application/json"})
    assert response.json()["agent"] == "greeting"


def test_a_question_with_signs_in_it_is_a_normal_question(client: httpx.Client) -> None:
    response = client.post("/api/query", json={"message": "Is $500,000 & 80% enough; or not?"})
    assert response.status_code == 200
    assert response.json()["answer"]
