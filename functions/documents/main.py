"""Function `documents`: the knowledge base's way in, out and away."""

import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started alone, the framework knows only this folder

from common.function import Call, Function, Reply, Route
from common.settings import settings
from common.version import VERSION

if TYPE_CHECKING:
    from functions.documents.models import DocumentAnswer, DocumentsAnswer, DocumentsRequest


def _put(call: "Call[DocumentsRequest]") -> "DocumentsAnswer":
    from functions.documents.ingest import put_documents

    return put_documents(call.body, call.correlation, call.principal)


def _get(call: Call[None]) -> "DocumentAnswer":
    from functions.documents.ingest import get_document

    return get_document(call.path["document_id"], call.principal)


def _delete(call: Call[None]) -> Reply:
    from functions.documents.ingest import delete_document

    delete_document(call.path["document_id"], call.correlation, call.principal)
    return Reply(status=HTTPStatus.NO_CONTENT)


documents = Function(
    name="documents",
    title="LoanCollateralCheck: documents",
    version=VERSION,
    timeout_seconds=300.0,
    routes=[
        Route(
            method="POST",
            path="/api/documents",
            summary="Stores documents; what is unchanged by id and content stays as it is.",
            handler=_put,
            request="functions.documents.models:DocumentsRequest",
            answer="functions.documents.models:DocumentsAnswer",
            scope="documents:write",
            limit="30/minute",
            max_body_bytes=settings().max_body_bytes,
        ),
        Route(
            method="GET",
            path="/api/documents/{document_id:path}",
            summary="One document, whole.",
            handler=_get,
            answer="functions.documents.models:DocumentAnswer",
            scope="documents:read",
            limit="120/minute",
        ),
        Route(
            method="DELETE",
            path="/api/documents/{document_id:path}",
            summary="Takes a document out of the knowledge base.",
            handler=_delete,
            status=HTTPStatus.NO_CONTENT,
            scope="documents:write",
            limit="30/minute",
        ),
    ],
).entry_point()
