"""The stand-in itself: what the client libraries do not look at, and the answers it gives by itself."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gemini_replies import draft, embedding
from tests.gemini_server import Behaviour, GeminiServer

MODEL = "/v1beta/models/gemini-3.8-flash"
ASK = {"contents": [{"role": "user", "parts": [{"text": "What is the limit?"}]}]}


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


@pytest.fixture
def client(server: GeminiServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"x-goog-api-key": server.api_key}) as connected:
        yield connected


def asked_for(*properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: {"type": "number"} for name in properties}}
    return {**ASK, "generationConfig": {"responseJsonSchema": schema}}


def text_of(response: httpx.Response) -> str:
    text: str = response.json()["candidates"][0]["content"]["parts"][0]["text"]
    return text


def test_a_call_without_a_key_is_refused_as_google_does(server: GeminiServer) -> None:
    response = httpx.post(f"{server.url}{MODEL}:generateContent", json=ASK)
    assert (response.status_code, response.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert server.requests == []


def test_a_wrong_key_is_refused_as_google_does(client: httpx.Client) -> None:
    response = client.post(f"{MODEL}:generateContent", json=ASK, headers={"x-goog-api-key": "wrong"})
    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_what_is_not_there_is_404(client: httpx.Client) -> None:
    assert client.get("/v2/nothing").status_code == 404
    assert client.post(f"{MODEL}:paint", json=ASK).status_code == 404


def test_vertex_ai_wants_a_token(client: httpx.Client) -> None:
    path = "/v1beta1/projects/p/locations/l/publishers/google/models/m:generateContent"
    assert client.post(path, json=ASK).status_code == 401


def test_a_models_card_and_a_count_of_tokens(client: httpx.Client) -> None:
    assert client.get(MODEL).json()["name"] == "models/gemini-3.8-flash"
    assert client.post(f"{MODEL}:countTokens", json=ASK).json() == {"totalTokens": 4}


def test_one_text_is_embedded_alone(client: httpx.Client) -> None:
    body = {"content": {"parts": [{"text": "raw land"}]}}
    values = client.post(f"{MODEL}:embedContent", json=body).json()["embedding"]["values"]
    assert (len(values), values) == (3072, embedding("raw land", 3072))


def test_an_embedding_is_never_without_direction() -> None:
    assert embedding("", 3) == [1.0, 0.0, 0.0]


def test_a_stream_is_an_array_or_events(client: httpx.Client) -> None:
    array = client.post(f"{MODEL}:streamGenerateContent", json=ASK).json()
    events = client.post(f"{MODEL}:streamGenerateContent?alt=sse", json=ASK).text.split("\r\n\r\n")
    assert [json.loads(event.removeprefix("data: ")) for event in events if event] == array
    assert [("finishReason" in one["candidates"][0]) for one in array] == [False, False, False, True]


def test_scripts_go_by_method_first(client: httpx.Client, server: GeminiServer) -> None:
    server.script(Behaviour(status=500))
    server.script(Behaviour(status=503), verb="countTokens")
    assert [client.post(f"{MODEL}:countTokens", json=ASK).status_code for _ in range(3)] == [503, 500, 200]


def test_it_can_fail_for_good_after_some_calls() -> None:
    with GeminiServer(fail_after=2) as server:
        codes = [
            httpx.post(
                f"{server.url}{MODEL}:generateContent", json=ASK, headers={"x-goog-api-key": server.api_key}
            ).status_code
            for _ in range(4)
        ]
    assert codes == [200, 200, 503, 503]


def test_a_critique_is_favourable(client: httpx.Client) -> None:
    body = asked_for("accuracy", "completeness", "clarity")
    marks = json.loads(text_of(client.post(f"{MODEL}:generateContent", json=body)))
    assert marks == {"accuracy": 0.9, "completeness": 0.9, "clarity": 0.9}


def test_any_other_shape_is_filled_in(client: httpx.Client) -> None:
    properties = {
        "kind": {"enum": ["land", "farm"]},
        "note": {"type": "STRING"},
        "sure": {"type": 4},
        "mark": {"type": "integer", "maximum": 10},
        "list": {"type": "array"},
        "more": {"$ref": "#/$defs/More"},
    }
    more = {"type": "object", "properties": {"rate": {"type": "number"}}}
    schema = {"type": "object", "properties": properties, "$defs": {"More": more}}
    body = {**ASK, "generationConfig": {"responseJsonSchema": schema}}
    assert json.loads(text_of(client.post(f"{MODEL}:generateContent", json=body))) == {
        "kind": "land",
        "note": "",
        "sure": True,
        "mark": 9,
        "list": [],
        "more": {"rate": 0.9},
    }


def test_a_draft_is_the_sentence_that_shares_most_words_with_the_question() -> None:
    prompt = (
        '<passages>\n<passage number="1" title="T">\nImproved property: 85 percent.\n</passage>\n'
        '<passage number="2" title="T">\nSee 12 CFR 34.5 first. The limit for raw land is 65.5 percent.\n</passage>\n'
        "</passages>\n\n<question>\nWhat is the limit for raw land?\n</question>"
    )
    assert draft(prompt) == {
        "answered": True,
        "answer": "The limit for raw land is 65.5 percent. [2]",
        "citations": [{"passage": 2, "quote": "The limit for raw land is 65.5 percent."}],
    }


@pytest.mark.parametrize(
    "prompt", ["What?", '<passage number="1" title="T">\nBonds.\n</passage>\n<question>\nX?\n</question>']
)
def test_nothing_shared_is_no_answer(prompt: str) -> None:
    assert draft(prompt) == {"answered": False, "answer": "", "citations": []}


def test_it_starts_by_hand_and_says_how_to_use_it() -> None:
    command = [sys.executable, "-m", "tests.gemini_server", "--port", "0", "--fail-after", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4]) as process:
        assert process.stdout is not None
        variables = dict(pair.split("=", 1) for pair in process.stdout.readline().split())
        headers = {"x-goog-api-key": variables["GEMINI_API_KEY"]}
        codes = [httpx.get(variables["GEMINI_BASE_URL"] + MODEL, headers=headers).status_code for _ in range(2)]
        process.terminate()
    assert codes == [200, 503]
