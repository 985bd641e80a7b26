import json
import math
import time
from collections.abc import Iterator

import numpy as np
import pytest

from common.llm.chat import (
    ModelAnswerUnusable,
    ModelError,
    ModelOverQuota,
    ModelRefusedCredentials,
    ModelTimeout,
    TokenUsage,
)
from common.llm.deadline import within
from common.llm.embeddings import Embedder
from common.llm.gemini import gemini_client
from common.llm.gemini_embeddings import GeminiEmbedder
from common.llm.resilience import Policy
from common.llm.spent import recording
from tests.gemini_server import Behaviour, GeminiServer

waits: list[float] = []


@pytest.fixture(scope="module")
def running() -> Iterator[GeminiServer]:
    with GeminiServer() as server:
        yield server


@pytest.fixture(autouse=True)
def server(running: GeminiServer) -> GeminiServer:
    running.reset()
    waits.clear()
    return running


@pytest.fixture(scope="module")
def embedder(running: GeminiServer) -> GeminiEmbedder:
    return connected(running, "gemini-embedding-001")


def vectors(*statistics: int | None, **also: object) -> Behaviour:
    """An answer with one vector for each of `statistics`, its count of tokens."""
    embeddings = [
        {"values": [1.0] * 768} | ({} if count is None else {"statistics": {"tokenCount": count}})
        for count in statistics
    ]
    return Behaviour(body=json.dumps({"embeddings": embeddings, **also}).encode())


def connected(server: GeminiServer, model: str) -> GeminiEmbedder:
    client = gemini_client(api_key=server.api_key, base_url=server.url)
    return GeminiEmbedder(client, model=model, policy=Policy(sleep=waits.append), timeout_seconds=5)


def test_documents_become_one_unit_row_each_in_their_order(embedder: Embedder) -> None:
    rows = embedder.embed_documents(["raw land", "farm equipment", "raw land"])
    assert rows.shape == (3, embedder.dimensions)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(rows[0], rows[2])


def test_a_question_is_nearest_to_the_document_that_shares_its_words(embedder: Embedder) -> None:
    rows = embedder.embed_documents(["limit for raw land", "perfection of a lien"])
    question = embedder.embed_query("which limit has raw land")
    assert question.shape == (embedder.dimensions,)
    assert question.dtype == np.float32
    assert rows[0] @ question > rows[1] @ question


def test_no_documents_are_no_rows_and_no_call(embedder: Embedder, server: GeminiServer) -> None:
    assert embedder.embed_documents([]).shape == (0, embedder.dimensions)
    assert server.requests == []


def test_many_documents_go_in_batches_of_a_hundred(embedder: Embedder, server: GeminiServer) -> None:
    rows = embedder.embed_documents([f"document {number}" for number in range(250)])
    assert [len(request.body["requests"]) for request in server.requests] == [100, 100, 50]
    np.testing.assert_allclose(rows[249], embedder.embed_query("document 249"), rtol=1e-6)


def test_the_first_model_is_told_the_task_in_a_field(embedder: Embedder, server: GeminiServer) -> None:
    embedder.embed_documents(["raw land"])
    embedder.embed_query("raw land")
    tasks = [request.body["requests"][0] for request in server.requests]
    assert [task["taskType"] for task in tasks] == ["RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"]
    assert [task["content"]["parts"] for task in tasks] == [[{"text": "raw land"}]] * 2
    assert [task["outputDimensionality"] for task in tasks] == [768] * 2


def test_later_models_are_told_the_task_in_words_and_keep_texts_apart(server: GeminiServer) -> None:
    embedder = connected(server, "gemini-embedding-2")
    assert embedder.embed_documents(["raw land", "liens"]).shape == (2, 768)
    embedder.embed_query("raw land")
    texts = [one["content"]["parts"][0]["text"] for request in server.requests for one in request.body["requests"]]
    assert texts == [
        "title: none | text: raw land",
        "title: none | text: liens",
        "task: search result | query: raw land",
    ]
    assert "taskType" not in server.requests[0].text
    assert embedder.max_tokens == 8192


def test_the_name_tells_model_and_dimensions_apart(embedder: Embedder) -> None:
    assert (embedder.name, embedder.dimensions, embedder.max_tokens) == ("gemini-embedding-001-768", 768, 2048)


def test_a_used_up_quota_is_waited_for_and_only_the_batch_is_sent_again(
    embedder: Embedder, server: GeminiServer
) -> None:
    server.script(Behaviour(), Behaviour(status=429, retry_delay="1s"))
    assert embedder.embed_documents(["text"] * 150).shape == (150, 768)
    assert [len(request.body["requests"]) for request in server.requests] == [100, 50, 50]
    assert 1 <= waits[0] <= 1.25


def test_a_lasting_outage_is_the_last_error(embedder: Embedder, server: GeminiServer) -> None:
    server.script(*[Behaviour(status=429)] * 3)
    with pytest.raises(ModelOverQuota):
        embedder.embed_query("raw land")


def test_a_refused_key_is_not_tried_again(embedder: Embedder, server: GeminiServer) -> None:
    server.script(Behaviour(status=403))
    with pytest.raises(ModelRefusedCredentials):
        embedder.embed_query("raw land")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "vectors",
    [[], [[1.0] * 768] * 2, [[1.0] * 767], [[0.0] * 768], [[math.nan] * 768]],
    ids=["none", "too many", "too short", "zero", "no numbers"],
)
def test_vectors_that_cannot_be_used_are_an_error(
    embedder: Embedder, server: GeminiServer, vectors: list[list[float]]
) -> None:
    server.script(Behaviour(body=json.dumps({"embeddings": [{"values": one} for one in vectors]}).encode()))
    with pytest.raises(ModelAnswerUnusable):
        embedder.embed_query("raw land")


def test_a_hanging_call_ends_with_the_time_that_its_caller_has(embedder: Embedder, server: GeminiServer) -> None:
    server.script(Behaviour(delay_seconds=30))
    started = time.monotonic()
    with within(0.3), pytest.raises(ModelTimeout):
        embedder.embed_query("raw land")
    assert time.monotonic() - started < 2
    assert len(server.requests) == 1


def test_without_time_no_call_is_made_and_the_provider_is_not_blamed(server: GeminiServer) -> None:
    embedder = connected(server, "gemini-embedding-001")
    with within(0), recording() as calls:
        for _ in range(10):  # more than the breaker stands
            with pytest.raises(ModelTimeout):
                embedder.embed_query("raw land")
    assert (server.requests, calls) == ([], [])
    assert embedder.embed_query("raw land").shape == (768,)


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        (vectors(None, usageMetadata={"promptTokenCount": 7, "totalTokenCount": 7}), TokenUsage(input_tokens=7)),
        (
            vectors(
                None,
                usageMetadata={
                    "promptTokenCount": 7,
                    "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 7}],
                },
            ),
            TokenUsage(input_tokens=7),
        ),
        (vectors(5), TokenUsage(input_tokens=5)),
        (vectors(None, usageMetadata={}), None),
        (vectors(None), None),
    ],
    ids=["of the call", "with details", "of the text", "empty", "none"],
)
def test_a_call_notes_the_tokens_that_it_was_told(
    embedder: Embedder, server: GeminiServer, answer: Behaviour, usage: TokenUsage | None
) -> None:
    server.script(answer)
    with recording() as calls:
        embedder.embed_query("raw land")
    (call,) = calls
    assert (call.provider, call.model, call.outcome) == ("gcp.gemini", "gemini-embedding-001", "ok")
    assert call.usage == usage
    assert call.duration_ms > 0


def test_tokens_that_only_some_texts_were_counted_for_are_not_known(embedder: Embedder, server: GeminiServer) -> None:
    server.script(vectors(5, None), vectors(5, 6))
    with recording() as calls:
        embedder.embed_documents(["raw land", "liens"])
        embedder.embed_documents(["raw land", "liens"])
    assert [call.usage for call in calls] == [None, TokenUsage(input_tokens=11)]


@pytest.mark.parametrize(
    ("behaviour", "outcome", "usage"),
    [
        (Behaviour(status=403), "ModelRefusedCredentials", TokenUsage()),
        (Behaviour(status=429, retry_delay="60s"), "ModelOverQuota", TokenUsage()),
        (Behaviour(delay_seconds=30), "ModelTimeout", None),
        (Behaviour(body=b"{"), "ModelAnswerUnusable", None),
        (vectors(5, 5), "ModelAnswerUnusable", TokenUsage(input_tokens=10)),
    ],
)
def test_a_failed_call_is_noted_and_cost_nothing_only_where_it_was_refused(
    embedder: Embedder, server: GeminiServer, behaviour: Behaviour, outcome: str, usage: TokenUsage | None
) -> None:
    server.script(behaviour)
    seconds = 0.3 if behaviour.delay_seconds else 5
    with recording() as calls, within(seconds), pytest.raises(ModelError):
        embedder.embed_query("raw land")
    assert [(call.outcome, call.usage) for call in calls] == [(outcome, usage)]


def test_every_attempt_is_noted(embedder: Embedder, server: GeminiServer) -> None:
    server.script(Behaviour(status=503))
    with recording() as calls:
        embedder.embed_query("raw land")
    assert [call.outcome for call in calls] == ["ModelError", "ok"]
