"""What the routes of `documents` do: from request models to the knowledge store and back."""

from collections.abc import Iterator
from datetime import UTC, datetime

from common.costs.embeddings import embedding_entries
from common.costs.ledger import add
from common.database.engine import engine, write
from common.function import Correlation
from common.knowledge.store import Document, knowledge_store
from common.llm.spent import EmbeddingCall, recording
from common.problems import FieldError, InvalidRequest, NotFound
from common.settings import Settings, settings
from functions.documents.models import DocumentAnswer, DocumentsAnswer, DocumentsRequest


def put_documents(request: DocumentsRequest, correlation: Correlation) -> DocumentsAnswer:
    """Store the documents of one request. What embedding them cost is in the ledger even where that fails.

    Raises:
        InvalidRequest: a document or their number breaks a rule; nothing was stored.
        VectorsUnavailable, WriteContended: try again; what is stored by then counts as unchanged.
    """
    check_sizes(request, settings())
    given = [
        Document(id=one.id, title=one.title, text=one.text, source=one.source, metadata=one.metadata)
        for one in request.documents
    ]
    with recording() as calls:
        try:
            result = knowledge_store().put(given)
        finally:
            _bill(calls, correlation)
    return DocumentsAnswer(documents=result.documents, chunks=result.chunks, unchanged=result.unchanged)


def get_document(document_id: str) -> DocumentAnswer:
    """
    Raises:
        NotFound: there is no document of this id.
    """
    stored = knowledge_store().get(document_id)
    if stored is None:
        raise NotFound("There is no document of this id.")
    document = stored.document
    return DocumentAnswer(
        id=document.id,
        title=document.title,
        text=document.text,
        source=document.source,
        metadata=dict(document.metadata),
        chunks=stored.chunks,
        updated_at=stored.updated_at,
    )


def delete_document(document_id: str) -> None:
    """
    Raises:
        NotFound: there is no document of this id.
    """
    if not knowledge_store().delete(document_id):
        raise NotFound("There is no document of this id.")


def check_sizes(request: DocumentsRequest, limits: Settings) -> None:
    """The limits that are settings; the others stand in `common.knowledge.rules`.

    Raises:
        InvalidRequest: there are too many documents, or one's text is too long.
    """
    errors = list(_oversized(request, limits))
    if errors:
        raise InvalidRequest("Each entry of `errors` names a field and the reason.", errors=errors)


def _bill(calls: list[EmbeddingCall], correlation: Correlation) -> None:
    if calls:  # the embedded embedder makes none
        with write(engine()) as connection:
            add(connection, embedding_entries(calls, correlation, at=datetime.now(UTC)))


def _oversized(request: DocumentsRequest, limits: Settings) -> Iterator[FieldError]:
    if len(request.documents) > limits.max_documents:
        yield FieldError(pointer="/documents", detail=f"holds more than {limits.max_documents:,} documents")
    for index, document in enumerate(request.documents):
        if len(document.text) > limits.max_document_characters:
            detail = f"is longer than {limits.max_document_characters:,} characters"
            yield FieldError(pointer=f"/documents/{index}/text", detail=detail)
