"""What the routes of `documents` do."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, select

from common.database.engine import read
from common.database.tables import ledger_entries
from common.function import Correlation
from common.knowledge.vectors import MemoryVectors
from common.llm.chat import ModelTimeout, TokenUsage
from common.llm.embeddings import FloatMatrix
from common.llm.spent import EmbeddingCall, note
from common.problems import InvalidRequest, NotFound
from common.settings import Settings, load_settings
from functions.documents import ingest
from functions.documents.models import DocumentsRequest
from tests.knowledge_fakes import DIMENSIONS, WordEmbedder, store_over

CORRELATION = Correlation(request_id="r1", trace_id="0af7651916cd43dd8448eb211c80319c")
GOOD: dict[str, object] = {"id": "a/b", "title": "Definitions", "text": "Age means years.", "metadata": {"year": 2024}}


@pytest.fixture
def limits() -> Settings:
    return load_settings(max_documents=2, max_document_characters=1_000)


@pytest.fixture(autouse=True)
def knowledge_base(sqlite_database: Engine, limits: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of its own for each test, where the instance's would be."""
    store = store_over(sqlite_database, MemoryVectors(DIMENSIONS))
    monkeypatch.setattr(ingest, "knowledge_store", lambda: store)
    monkeypatch.setattr(ingest, "engine", lambda: sqlite_database)
    monkeypatch.setattr(ingest, "settings", lambda: limits)


def request(*documents: dict[str, object]) -> DocumentsRequest:
    return DocumentsRequest.model_validate({"documents": documents})


def test_documents_go_in_come_back_and_go_away() -> None:
    first = ingest.put_documents(request(GOOD), CORRELATION)
    assert (first.documents, first.chunks, first.unchanged) == (1, 1, 0)
    again = ingest.put_documents(request(GOOD), CORRELATION)
    assert (again.documents, again.chunks, again.unchanged) == (1, 1, 1)
    answer = ingest.get_document("a/b").model_dump(mode="json")
    assert answer.pop("updated_at").startswith("2026-11-23T12:00")
    assert answer == {**GOOD, "source": None, "chunks": 1}
    ingest.delete_document("a/b")
    with pytest.raises(NotFound):
        ingest.get_document("a/b")
    with pytest.raises(NotFound):
        ingest.delete_document("a/b")


def test_too_many_documents_and_too_long_ones_are_named() -> None:
    wrong = request({**GOOD, "id": "a"}, {**GOOD, "id": "b", "text": "x" * 1001}, {**GOOD, "id": "c"})
    with pytest.raises(InvalidRequest) as refused:
        ingest.put_documents(wrong, CORRELATION)
    assert [(error.pointer, error.detail) for error in refused.value.errors] == [
        ("/documents", "holds more than 2 documents"),
        ("/documents/1/text", "is longer than 1,000 characters"),
    ]


def test_nothing_is_stored_of_a_request_with_one_bad_document() -> None:
    with pytest.raises(InvalidRequest) as refused:
        ingest.put_documents(request(GOOD, {**GOOD, "text": "\x00\x01binary"}), CORRELATION)
    assert [error.pointer for error in refused.value.errors] == ["/documents/1/text", "/documents/1/id"]
    with pytest.raises(NotFound):
        ingest.get_document("a/b")


class PaidEmbedder(WordEmbedder):
    """An embedder far away: its first call is in vain, and then it `fails` or not."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self._fails = fails

    def embed_spans(self, text: str, spans: Sequence[tuple[int, int]]) -> FloatMatrix:
        raise AssertionError("it embeds whole texts")

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        model = {"provider": "gcp.gemini", "model": "gemini-embedding-001"}
        note(EmbeddingCall(**model, usage=None, duration_ms=20_000.0, outcome="ModelTimeout"))
        if self._fails:
            raise ModelTimeout
        note(EmbeddingCall(**model, usage=TokenUsage(input_tokens=1_000), duration_ms=80.0, outcome="ok"))
        return super().embed_documents(texts)
