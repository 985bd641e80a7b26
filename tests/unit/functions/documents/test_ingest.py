"""What the routes of `documents` do."""

import pytest
from sqlalchemy import Engine

from common.knowledge.vectors import MemoryVectors
from common.problems import InvalidRequest, NotFound
from common.settings import Settings, load_settings
from functions.documents import ingest
from functions.documents.models import DocumentsRequest
from tests.knowledge_fakes import DIMENSIONS, store_over

GOOD: dict[str, object] = {"id": "a/b", "title": "Definitions", "text": "Age means years.", "metadata": {"year": 2024}}


@pytest.fixture
def limits() -> Settings:
    return load_settings(max_documents=2, max_document_characters=1_000)


@pytest.fixture(autouse=True)
def knowledge_base(sqlite_database: Engine, limits: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of its own for each test, where the instance's would be."""
    store = store_over(sqlite_database, MemoryVectors(DIMENSIONS))
    monkeypatch.setattr(ingest, "knowledge_store", lambda: store)
    monkeypatch.setattr(ingest, "settings", lambda: limits)


def request(*documents: dict[str, object]) -> DocumentsRequest:
    return DocumentsRequest.model_validate({"documents": documents})


def test_documents_go_in_come_back_and_go_away() -> None:
    first = ingest.put_documents(request(GOOD))
    assert (first.documents, first.chunks, first.unchanged) == (1, 1, 0)
    again = ingest.put_documents(request(GOOD))
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
    with pytest.raises(InvalidRequest) as refused:
        ingest.put_documents(request({**GOOD, "id": "a"}, {**GOOD, "id": "b", "text": "x" * 1001}, {**GOOD, "id": "c"}))
    assert [(error.pointer, error.detail) for error in refused.value.errors] == [
        ("/documents", "holds more than 2 documents"),
        ("/documents/1/text", "is longer than 1,000 characters"),
    ]


def test_nothing_is_stored_of_a_request_with_one_bad_document() -> None:
    with pytest.raises(InvalidRequest) as refused:
        ingest.put_documents(request(GOOD, {**GOOD, "text": "\x00\x01binary"}))
    assert [error.pointer for error in refused.value.errors] == ["/documents/1/text", "/documents/1/id"]
    with pytest.raises(NotFound):
        ingest.get_document("a/b")
