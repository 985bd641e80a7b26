"""What the routes of `documents` do: from request models to the knowledge store and back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from common.costs.budget_notices import tell_of_budgets
from common.costs.embeddings import EmbeddingBill
from common.costs.ledger import add
from common.database.engine import engine, write
from common.knowledge.rules import check_documents
from common.knowledge.store import Document, PutResult, knowledge_store
from common.knowledge.stored_events import Storing
from common.problems import FieldError, InvalidRequest, NotFound
from common.request_head import Correlation
from common.security.allowance import check_allowance
from common.security.audit import Event, record
from common.security.keyring import key_ring
from common.security.principal import Principal
from common.settings import Settings, settings
from functions.documents.models import DocumentAnswer, DocumentsAnswer, DocumentsRequest

ROUTE = "POST /api/documents"  # as the ledger has it
LONGEST_STORING = timedelta(minutes=10)  # twice what the function may take; a call still open then is lost


def put_documents(request: DocumentsRequest, correlation: Correlation, principal: Principal) -> DocumentsAnswer:
    """Store the documents of one request for the principal's tenant.

    What embedding them cost is in the ledger, even where that fails. Each transaction that stores some is in the audit;
    where a part was not stored, so is that. A request that changes nothing leaves no event.

    Raises:
        InvalidRequest: a document or their number breaks a rule; nothing was stored.
        QuotaExceeded: the principal's tokens or money of the day are used up; nothing was stored.
        BudgetSpent: a budget does not allow to embed them; what is stored by then counts as unchanged.
        VectorsUnavailable, WriteContended: try again; what is stored by then counts as unchanged.
    """
    check_sizes(request, settings())
    given = [
        Document(id=one.id, title=one.title, text=one.text, source=one.source, metadata=one.metadata)
        for one in request.documents
    ]
    check_documents(given)
    if settings().embedding_model != "embedded":
        check_allowance(principal, settings(), engine(), datetime.now(UTC))
    ring = key_ring()  # before all else: what cannot be audited is not done
    storing = Storing(tenant=principal.tenant, actor=principal.id, request_id=correlation.request_id)
    result: PutResult | None = None
    bill = EmbeddingBill(
        engine=engine,
        ring=key_ring,
        correlation=correlation,
        principal=principal,
        route=ROUTE,
        clock=lambda: datetime.now(UTC),
        lapses_after=LONGEST_STORING,
    )
    try:
        with bill.running():
            result = knowledge_store().put(given, tenant=principal.tenant, along=storing.along(ring))
    finally:
        with write(engine()) as connection:
            add(connection, bill.entries())
            if result is None:
                record(connection, storing.event([one.id for one in given], "failed"), ring=ring)
        tell_of_budgets()
    return DocumentsAnswer(documents=result.documents, chunks=result.chunks, unchanged=result.unchanged)


def get_document(document_id: str, principal: Principal) -> DocumentAnswer:
    """
    Raises:
        NotFound: the principal's tenant has no document of this id.
    """
    stored = knowledge_store().get(document_id, tenant=principal.tenant)
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


def delete_document(document_id: str, correlation: Correlation, principal: Principal) -> None:
    """Take a document out, and note it in the audit: both are done, or neither.

    Raises:
        NotFound: the principal's tenant has no document of this id.
    """
    ring = key_ring()  # before the transaction: what is not made yet is made in one of its own
    event = Event(
        tenant=principal.tenant,
        actor=principal.id,
        action="document.deleted",
        target=document_id,
        outcome="done",
        request_id=correlation.request_id,
    )

    def note(connection: Connection) -> None:
        record(connection, event, ring=ring)

    if not knowledge_store().delete(document_id, tenant=principal.tenant, along=note):
        raise NotFound("There is no document of this id.")


def check_sizes(request: DocumentsRequest, limits: Settings) -> None:
    """The limits that are settings; the others stand in `common.knowledge.rules`.

    Raises:
        InvalidRequest: there are too many documents, or one's text is too long.
    """
    errors = list(_oversized(request, limits))
    if errors:
        raise InvalidRequest("Each entry of `errors` names a field and the reason.", errors=errors)


def _oversized(request: DocumentsRequest, limits: Settings) -> Iterator[FieldError]:
    if len(request.documents) > limits.max_documents:
        yield FieldError(pointer="/documents", detail=f"holds more than {limits.max_documents:,} documents")
    for index, document in enumerate(request.documents):
        if len(document.text) > limits.max_document_characters:
            detail = f"is longer than {limits.max_document_characters:,} characters"
            yield FieldError(pointer=f"/documents/{index}/text", detail=detail)
