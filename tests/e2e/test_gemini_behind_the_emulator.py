"""The whole product with Gemini behind the seam: a real emulator process, the real client library, a local server
that speaks Gemini's wire format."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulators import Emulator, emulator
from tests.gemini_server import Behaviour, GeminiServer

QUESTION = "How long is a UCC financing statement effective?"


@pytest.fixture(scope="module")
def gemini() -> Iterator[GeminiServer]:
    with GeminiServer() as server:
        yield server


@pytest.fixture(scope="module")
def running(gemini: GeminiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    settings = {
        "GEMINI_API_KEY": gemini.api_key,
        "GEMINI_BASE_URL": gemini.url,
        "MODEL_ATTEMPTS": "1",
        "MODEL_BREAKER_FAILURES": "100",
        "MODEL_TIMEOUT_SECONDS": "3",
    }
    with emulator(tmp_path_factory.mktemp("gemini"), **settings) as started:
        yield started


@pytest.fixture
def client(running: Emulator, gemini: GeminiServer) -> Iterator[httpx.Client]:
    gemini.reset()
    with httpx.Client(base_url=running.url, timeout=30) as opened:
        yield opened


def ask(client: httpx.Client, message: str = QUESTION, **fields: Any) -> dict[str, Any]:
    response = client.post("/api/query", json={"message": message, "agent": "knowledge", **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_gemini_drafts_and_reviews_and_the_answer_is_cited_and_priced(
    client: httpx.Client, gemini: GeminiServer
) -> None:
    answer = ask(client)
    assert answer["answered"]
    assert answer["usage"]["model"] == "gemini-3.8-flash"
    assert float(answer["usage"]["cost_usd"]) > 0
    assert answer["usage"]["input_tokens"] > 0
    assert answer["degraded"] == []
    assert [request.verb for request in gemini.requests] == ["generateContent", "generateContent"]
    citation = answer["citations"][0]
    document = client.get(f"/api/documents/{citation['document_id']}").json()
    assert citation["quote"] in document["text"]


def test_an_invented_quote_or_figure_of_the_model_never_reaches_the_caller(
    client: httpx.Client, gemini: GeminiServer
) -> None:
    invented = json.dumps(
        {
            "answered": True,
            "answer": "It is effective for 77 years [1].",
            "citations": [{"passage": 1, "quote": "effective for 77 years under the code"}],
        }
    )
    gemini.script(Behaviour(text=invented), Behaviour(text=invented))
    answer = ask(client)
    assert (answer["answered"], answer["citations"]) == (False, [])
    assert "77" not in answer["answer"]


@pytest.mark.parametrize(
    "failure",
    [
        Behaviour(status=429),
        Behaviour(status=500),
        Behaviour(status=503),
        Behaviour(status=403),
        Behaviour(delay_seconds=20),
        Behaviour(cut_after_bytes=20),
        Behaviour(text="no JSON at all"),
        Behaviour(block_reason="SAFETY"),
    ],
    ids=str,
)
def test_whatever_fails_at_the_model_the_extract_answers_and_says_so(
    client: httpx.Client, gemini: GeminiServer, failure: Behaviour
) -> None:
    gemini.script(failure)
    answer = ask(client)
    assert (answer["answered"], answer["usage"]["model"], answer["degraded"]) == (True, "extractive", ["model"])


def events(client: httpx.Client, message: str = QUESTION) -> list[tuple[str, dict[str, Any]]]:
    body = {"message": message, "agent": "knowledge", "stream": True}
    with client.stream("POST", "/api/query", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        blocks = response.read().decode().strip().split("\n\n")
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, _, data in (block.partition("\n") for block in blocks)
    ]


def test_a_stream_ends_with_the_same_answer_that_its_pieces_make(client: httpx.Client, gemini: GeminiServer) -> None:
    seen = events(client)
    assert [name for name, _ in seen][-1] == "done"
    assert {"status", "delta", "citation", "done"} == {name for name, _ in seen}
    assert "".join(data["text"] for name, data in seen if name == "delta") == seen[-1][1]["answer"]
    assert {request.verb for request in gemini.requests} == {"streamGenerateContent"}


BORROWER = {
    "id": "file-of-a-borrower",
    "title": "Collateral file of Jane Roe",
    "text": "Borrower Jane Roe (jane.roe@example.com, SSN 078-05-1120) pledged the tractor barn at 12 Oak Street, "
    "Springfield, IL 62704. The appraiser may be reached at (415) 555-0132; the appraised value is $250,000.",
}
PERSONAL = ("Jane", "Roe", "jane.roe@example.com", "078-05-1120", "12 Oak Street", "62704", "555-0132")


@pytest.mark.parametrize("stream", [False, True])
def test_gemini_never_sees_personal_data_and_the_answer_holds_it(
    client: httpx.Client, gemini: GeminiServer, stream: bool
) -> None:
    client.post("/api/documents", json={"documents": [BORROWER]}).raise_for_status()
    question = "My name is Jane Roe, jane.roe@example.com. Who pledged the tractor barn at 12 Oak Street?"
    answer = events(client, question)[-1][1] if stream else ask(client, question)
    assert answer["answered"]
    assert answer["degraded"] == []
    assert "Jane Roe" in answer["answer"], answer
    assert all(citation["quote"] in BORROWER["text"] for citation in answer["citations"])
    assert len(gemini.requests) == 2  # the draft and its review
    assert gemini.saw(*PERSONAL) == []
    assert gemini.saw("tractor barn", "pledged") == ["tractor barn", "pledged"]


def test_turns_of_a_session_share_their_placeholders(client: httpx.Client, gemini: GeminiServer) -> None:
    first = ask(client, "My name is Jane Roe. How long is a UCC financing statement effective?")
    ask(client, "And is it so for Jane Roe?", session_id=first["session_id"])
    ask(client, "My name is Jane Roe. How long is a UCC financing statement effective?")
    named = [set(re.findall(r"\[NAME_\w+\]", request.body["contents"][-1]["parts"][0]["text"]))
             for request in gemini.requests]  # fmt: skip
    assert gemini.saw("Jane", "Roe") == []
    assert named[0] == named[2] != set()
    assert named[0].isdisjoint(named[-1])


def test_a_client_that_hangs_up_ends_the_call_to_the_model(client: httpx.Client, gemini: GeminiServer) -> None:
    gemini.script(Behaviour(pause_seconds=2))
    body = {"message": QUESTION, "agent": "knowledge", "stream": True}
    with client.stream("POST", "/api/query", json=body) as response:
        lines = response.iter_lines()
        while "drafting" not in next(lines):
            pass
    assert gemini.disconnected.wait(timeout=10)


def test_a_model_that_dies_in_mid_flow_leaves_a_checked_answer_that_says_so(tmp_path: Path) -> None:
    with GeminiServer(fail_after=1) as server:  # the draft comes, the review does not
        settings = {"GEMINI_API_KEY": server.api_key, "GEMINI_BASE_URL": server.url, "MODEL_ATTEMPTS": "1"}
        with emulator(tmp_path, **settings) as started, httpx.Client(base_url=started.url, timeout=30) as client:
            drafted = ask(client)
            assert (drafted["usage"]["model"], drafted["degraded"]) == ("gemini-3.8-flash", ["model"])
            server.stop()
            extracted = ask(client)
            assert (extracted["usage"]["model"], extracted["degraded"]) == ("extractive", ["model"])
            assert extracted["answered"]
