"""What the requests of `/api/documents` may hold."""

import pytest
from pydantic import ValidationError

from functions.documents.models import DocumentsRequest

GOOD = {"id": "12-cfr-1002/1002.2", "title": "Definitions", "text": "Age means years."}


def errors_of(document: object) -> list[tuple[int | str, ...]]:
    with pytest.raises(ValidationError) as refused:
        DocumentsRequest.model_validate({"documents": [document]})
    return [error["loc"] for error in refused.value.errors()]


def test_a_document_needs_an_id_a_title_and_a_text() -> None:
    request = DocumentsRequest.model_validate({"documents": [GOOD]})
    assert (request.documents[0].source, request.documents[0].metadata) == (None, {})
    for field in GOOD:
        assert errors_of({name: value for name, value in GOOD.items() if name != field}) == [("documents", 0, field)]
        assert errors_of({**GOOD, field: ""}) == [("documents", 0, field)]
        assert errors_of({**GOOD, field: 7}) == [("documents", 0, field)]


@pytest.mark.parametrize("document_id", ["/a", "a/", "a//b", "a b ", "a\n", "x" * 257, "a\x00"])
def test_an_id_is_a_path_without_empty_parts(document_id: str) -> None:
    assert errors_of({**GOOD, "id": document_id}) == [("documents", 0, "id")]


def test_unknown_fields_are_named() -> None:
    assert errors_of({**GOOD, "body": "x"}) == [("documents", 0, "body")]


def test_metadata_keeps_its_types() -> None:
    metadata = {"year": 2024, "rate": 0.5, "final": True, "kind": "policy"}
    kept = DocumentsRequest.model_validate({"documents": [{**GOOD, "metadata": metadata}]}).documents[0].metadata
    assert kept == metadata
    assert [type(value) for value in kept.values()] == [int, float, bool, str]


@pytest.mark.parametrize(
    "metadata",
    [{"a": None}, {"a": []}, {"a": {}}, {"a b": 1}, {"a": float("nan")}, {"a": "x" * 1025}, [], "x"],
)
def test_metadata_is_plain_values(metadata: object) -> None:
    assert {location[:3] for location in errors_of({**GOOD, "metadata": metadata})} == {("documents", 0, "metadata")}


@pytest.mark.parametrize("body", [{}, {"documents": []}, {"documents": None}, {"documents": "x"}, []])
def test_a_request_holds_documents(body: object) -> None:
    with pytest.raises(ValidationError):
        DocumentsRequest.model_validate(body)
