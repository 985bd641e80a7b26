"""Vectors as the database holds them: each chunk's own, with what searches may filter it by."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from common.database.tables import chunks, document_attributes, documents
from common.knowledge.lexical import DOCUMENT_ID
from common.knowledge.sentence_vectors import unpack_vectors
from common.knowledge.vectors import VectorEntry
from common.llm.embeddings import Embedder


def current_counts(connection: Connection, embedder: Embedder) -> dict[str, int]:
    """How many vectors of this embedder each tenant has; without those who have none."""
    query = select(chunks.c.tenant, func.count().label("vectors")).where(is_of(embedder)).group_by(chunks.c.tenant)
    return {row.tenant: row.vectors for row in connection.execute(query)}


def current_ids(connection: Connection, tenant: str, embedder: Embedder) -> set[str]:
    """The ids of the tenant's vectors of this embedder."""
    query = select(chunks.c.vector_id).where(chunks.c.tenant == tenant, is_of(embedder))
    return set(connection.execute(query).scalars())


def stored_entries(
    connection: Connection, tenant: str, vector_ids: Sequence[str], embedder: Embedder
) -> list[VectorEntry]:
    """These vectors of the tenant; ids that are not current any more are left out."""
    query = select(chunks.c.vector_id, chunks.c.document_id, chunks.c.vector)
    rows = connection.execute(query.where(chunks.c.tenant == tenant, chunks.c.vector_id.in_(vector_ids))).all()
    attributes = {row.document_id: {DOCUMENT_ID: row.document_id} for row in rows}
    named = select(document_attributes).where(
        document_attributes.c.tenant == tenant, document_attributes.c.document_id.in_(list(attributes))
    )
    for row in connection.execute(named):
        attributes[row.document_id][row.name] = row.value
    vectors = unpack_vectors([row.vector for row in rows], embedder.dimensions)
    return [
        VectorEntry(id=row.vector_id, vector=vector, attributes=attributes[row.document_id])
        for row, vector in zip(rows, vectors, strict=True)
    ]


def is_of(embedder: Embedder) -> ColumnElement[bool]:
    """Whether a chunk's vector is of this embedder."""
    ours = select(documents.c.tenant, documents.c.id).where(documents.c.embedder == embedder.name)
    return tuple_(chunks.c.tenant, chunks.c.document_id).in_(ours)
