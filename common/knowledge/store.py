"""Documents and their chunks: written as a whole, replaced as a whole, and repaired after a crash.

The database decides what counts; vectors go to the vector index before, and leave it after. A write is

1. a `writing` row for a new revision, then its vectors, which nothing points to yet;
2. one transaction, the swap: document, chunks, full text and attributes change over to the new revision, its `writing`
   row goes, a `doomed` row for the replaced revision comes;
3. the doomed vectors are deleted, then their row.

Whatever is killed in between leaves the old or the new document, and a row that says which vectors are to go.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from common.database.engine import engine, read, write
from common.database.tables import chunks, document_attributes, documents, knowledge_state, revisions
from common.knowledge.chunks import CHUNKER, Chunk, chunk, context
from common.knowledge.embedding import EmbeddedChunk, embed_chunks
from common.knowledge.lexical import DOCUMENT_ID, lexical_index
from common.knowledge.personal_data import warn_of_personal_data
from common.knowledge.repair import DOOMED, WRITING, Repairer, slices, take_turn, vector_id
from common.knowledge.rules import Scalar, check_documents
from common.knowledge.sentence_vectors import pack_vector
from common.knowledge.vectors import VectorEntry, VectorIndex
from common.llm.embeddings import Embedder
from common.once import once
from common.problems import Unavailable

GROUP_CHUNKS = 256  # written in one go: bounds the memory, and how long a reader on disk may wait
MAX_ATTEMPTS = 5

Along = Callable[[Connection, Sequence[str]], None]
"""Done in a transaction of the store's, as its last: a rollback undoes it too."""

_FORMAT = "store-1"  # part of the content hash: what else changes the stored form of the same document


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What somebody hands in. Searches can filter by `metadata`, by its values as text."""

    id: str
    title: str
    text: str
    source: str | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document as it stands in the knowledge base, in how many chunks, since when (UTC)."""

    document: Document
    chunks: int
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PutResult:
    """How many documents were handed in, of how many chunks they are now, and how many were there already."""

    documents: int
    chunks: int
    unchanged: int


class WriteContended(Unavailable):
    """Another process took this one's unfinished writes for left-overs, again and again. Trying later helps."""

    type = "/problems/write-contended"
    title = "The knowledge base is being repaired"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A document with its chunks embedded, ready to be written under any revision."""

    tenant: str
    document: Document
    content_hash: str
    chunks: tuple[EmbeddedChunk, ...]


class KnowledgeStore:
    """Safe to share between threads, and to use from several processes on one database and vector index.

    A document belongs to a tenant: the same id of another tenant is another document, that neither can tell is there.
    """

    def __init__(
        self,
        engine: Engine,
        vectors: VectorIndex,
        embedder: Embedder,
        *,
        clock: Callable[[], datetime],
        new_revision: Callable[[], str],
    ) -> None:
        """`new_revision` gives up to 32 characters that were never given before, by any process."""
        self._engine = engine
        self._vectors = vectors
        self._embedder = embedder
        self._clock = clock
        self._new_revision = new_revision
        self._lexical = lexical_index(engine.dialect.name)
        self._repairer = Repairer(engine, vectors, embedder)

    def put(
        self,
        given: Sequence[Document],
        *,
        tenant: str,
        on_progress: Callable[[int], None] = lambda _documents: None,
        along: Along = lambda _connection, _ids: None,
    ) -> PutResult:
        """Store documents; one that is there already, all fields the same, is neither cut nor embedded again.

        All are checked first. Each becomes visible as a whole. They are written in groups: after an error the
        earlier groups stay, and handing in the same again is cheap. `on_progress` gets how many documents each
        step has done. `along` is done at the end of each transaction that makes documents current, with their ids. A
        vector index that lost vectors gets them back first, also where nothing has changed. What is stored must be
        searchable, so it is not sealed: a document that holds personal data is warned of.

        Raises:
            InvalidRequest: a document breaks a rule of `common.knowledge.rules`, or two share an id.
            VectorsUnavailable, WriteContended: the document at hand is left as it was.
        """
        check_documents(given)
        self._repairer.fill(tenant)
        hashes = {document.id: self._content_hash(document) for document in given}
        stored = self._stored_hashes(tenant, hashes)
        changed = [document for document in given if stored.get(document.id) != hashes[document.id]]
        on_progress(len(given) - len(changed))
        for group in self._groups(tenant, changed, hashes):
            self._write(tenant, group, along)
            on_progress(len(group))
        warn_of_personal_data(document.text for document in changed)
        chunk_count = self._chunk_count(tenant, list(hashes))
        return PutResult(documents=len(given), chunks=chunk_count, unchanged=len(given) - len(changed))

    def get(self, document_id: str, *, tenant: str) -> StoredDocument | None:
        """The document as it was handed in, or None."""
        its_chunks = (chunks.c.tenant == documents.c.tenant) & (chunks.c.document_id == documents.c.id)
        count = select(func.count()).where(its_chunks).scalar_subquery()
        query = select(documents, count.label("chunks")).where(_is_document(tenant, document_id))
        with read(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        document = Document(id=row.id, title=row.title, text=row.text, source=row.source, metadata=row.metadata)
        return StoredDocument(document=document, chunks=row.chunks, updated_at=row.updated_at)

    def delete(
        self, document_id: str, *, tenant: str, along: Callable[[Connection], None] = lambda _connection: None
    ) -> bool:
        """Remove a document from every index; whether it was there. `along` is done in the same transaction, if so."""
        with write(self._engine) as connection:
            _next_generation(connection)
            is_there = self._take_out(connection, tenant, document_id)
            if not is_there:  # nothing has changed, and nobody's cache is to be emptied
                connection.rollback()
                return False
            connection.execute(delete(documents).where(_is_document(tenant, document_id)))
            along(connection)
        self._repairer.clear_doomed()
        return True

    def generation(self) -> int:
        """Counts the changes of the knowledge base: the same number means the same content."""
        with read(self._engine) as connection:
            return generation(connection)

    def repair(self) -> None:
        """Clear what killed writes left, and make the vector index hold the current vectors, no more and no less.

        For the start of a process. A write that runs elsewhere meanwhile finds its revision doomed and begins again.

        Raises:
            VectorsUnavailable: the vector index is out of reach; the database is in order.
        """
        self._repairer.repair()

    def _content_hash(self, document: Document) -> str:
        parts = [
            _FORMAT,
            CHUNKER,
            self._embedder.name,
            self._embedder.dimensions,
            document.title,
            document.text,
            document.source,
            document.metadata,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _stored_hashes(self, tenant: str, ids: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        with read(self._engine) as connection:
            for some in slices(list(ids)):
                ours = (documents.c.tenant == tenant) & documents.c.id.in_(some)
                query = select(documents.c.id, documents.c.content_hash).where(ours)
                found.update((row.id, row.content_hash) for row in connection.execute(query))
        return found

    def _chunk_count(self, tenant: str, ids: list[str]) -> int:
        with read(self._engine) as connection:
            ours = (
                select(func.count()).where(chunks.c.tenant == tenant, chunks.c.document_id.in_(some))
                for some in slices(ids)
            )
            return sum(connection.execute(query).scalar_one() for query in ours)

    def _groups(self, tenant: str, given: Iterable[Document], hashes: Mapping[str, str]) -> Iterator[list[_Prepared]]:
        """Documents cut and embedded, in groups of some `GROUP_CHUNKS` chunks; a large document may be more."""
        group: list[tuple[Document, list[tuple[Chunk, str]]]] = []
        for document in given:
            cut = [(one, context(document.title, one)) for one in chunk(document.title, document.text)]
            group.append((document, cut))
            if sum(len(cut) for _, cut in group) >= GROUP_CHUNKS:
                yield self._embedded(tenant, group, hashes)
                group = []
        if group:
            yield self._embedded(tenant, group, hashes)

    def _embedded(
        self, tenant: str, group: Iterable[tuple[Document, list[tuple[Chunk, str]]]], hashes: Mapping[str, str]
    ) -> list[_Prepared]:
        embedded = iter(embed_chunks(self._embedder, [one for _, cut in group for one in cut]))
        return [
            _Prepared(
                tenant=tenant,
                document=document,
                content_hash=hashes[document.id],
                chunks=tuple(itertools.islice(embedded, len(cut))),
            )
            for document, cut in group
        ]

    def _write(self, tenant: str, group: list[_Prepared], along: Along) -> None:
        """Steps 1 to 3 for a group; again with new revisions where a repair elsewhere doomed them."""
        for _ in range(MAX_ATTEMPTS):
            revised = {self._new_revision(): prepared for prepared in group}
            entries = _entries(revised)
            self._announce(revised)
            try:
                self._repairer.recovering(functools.partial(self._vectors.upsert, tenant, entries))
                is_swapped = self._swap(revised, along)
            except BaseException:
                self._doom(revised)
                raise
            if is_swapped:
                self._repairer.clear_doomed()
                return
            # Whoever doomed them may have deleted the vectors and the rows before the last vector was written.
            self._vectors.delete(tenant, [entry.id for entry in entries])
            self._repairer.delete_doomed()
        raise WriteContended(f"gave up after {MAX_ATTEMPTS} attempts")

    def _announce(self, revised: Mapping[str, _Prepared]) -> None:
        now = self._clock()
        rows = [
            {
                "revision": revision,
                "tenant": prepared.tenant,
                "document_id": prepared.document.id,
                "chunks": len(prepared.chunks),
                "state": WRITING,
                "created_at": now,
            }
            for revision, prepared in revised.items()
        ]
        with write(self._engine) as connection:
            take_turn(connection)
            connection.execute(insert(revisions), rows)

    def _swap(self, revised: Mapping[str, _Prepared], along: Along) -> bool:
        """Step 2; whether it was done, which it is not when any of the revisions has been doomed."""
        with write(self._engine) as connection:
            _next_generation(connection)
            ours = revisions.c.revision.in_(revised) & (revisions.c.state == WRITING)
            if connection.execute(delete(revisions).where(ours)).rowcount != len(revised):
                connection.rollback()
                return False
            for revision, prepared in revised.items():
                self._take_out(connection, prepared.tenant, prepared.document.id)
                self._put_in(connection, revision, prepared)
            along(connection, [prepared.document.id for prepared in revised.values()])
        return True

    def _take_out(self, connection: Connection, tenant: str, document_id: str) -> bool:
        """Doom the current revision and drop its chunks and full text; whether there is one."""
        current = connection.execute(select(documents.c.revision).where(_is_document(tenant, document_id))).scalar()
        if current is None:
            return False
        of_document = (chunks.c.tenant == tenant) & (chunks.c.document_id == document_id)
        numbers = connection.execute(select(chunks.c.number).where(of_document)).scalars().all()
        self._lexical.remove(connection, numbers)
        connection.execute(delete(chunks).where(of_document))
        attributes = (document_attributes.c.tenant == tenant) & (document_attributes.c.document_id == document_id)
        connection.execute(delete(document_attributes).where(attributes))
        connection.execute(
            insert(revisions).values(
                revision=current,
                tenant=tenant,
                document_id=document_id,
                chunks=len(numbers),
                state=DOOMED,
                created_at=self._clock(),
            )
        )
        return True

    def _put_in(self, connection: Connection, revision: str, prepared: _Prepared) -> None:
        tenant, document = prepared.tenant, prepared.document
        row = {
            "title": document.title,
            "source": document.source,
            "metadata": dict(document.metadata),
            "text": document.text,
            "content_hash": prepared.content_hash,
            "embedder": self._embedder.name,
            "revision": revision,
            "updated_at": self._clock(),
        }
        stored = update(documents).where(_is_document(tenant, document.id)).values(row)
        if not connection.execute(stored).rowcount:
            connection.execute(insert(documents).values(tenant=tenant, id=document.id, **row))
        attributes = [
            {"tenant": tenant, "document_id": document.id, "name": name, "value": attribute_text(value)}
            for name, value in document.metadata.items()
        ]
        if attributes:
            connection.execute(insert(document_attributes), attributes)
        rows = [_chunk_row(tenant, document.id, revision, one) for one in prepared.chunks]
        numbers = connection.execute(
            insert(chunks).returning(chunks.c.number, sort_by_parameter_order=True), rows
        ).scalars()
        contexts = (one.context for one in prepared.chunks)
        self._lexical.add(connection, tenant, list(zip(numbers, contexts, strict=True)))

    def _doom(self, revised: Iterable[str]) -> None:
        """Mark revisions whose write failed; a database that is away now finds their rows at the next start."""
        with contextlib.suppress(SQLAlchemyError), write(self._engine) as connection:
            connection.execute(update(revisions).where(revisions.c.revision.in_(list(revised))).values(state=DOOMED))


@once
def knowledge_store() -> KnowledgeStore:
    """This instance's store, by the settings; made at the first call, which repairs what an earlier one left.

    Raises:
        VectorsUnavailable: the vector index is out of reach. The next call tries again.
    """
    from common.knowledge.vector_indexes import vector_index
    from common.llm.models import embedder

    store = KnowledgeStore(
        engine(),
        vector_index(),
        embedder(),
        clock=lambda: datetime.now(UTC),
        new_revision=lambda: secrets.token_hex(16),
    )
    store.repair()
    return store


def generation(connection: Connection) -> int:
    """See `KnowledgeStore.generation`."""
    return int(connection.execute(select(knowledge_state.c.generation)).scalar_one())


def attribute_text(value: Scalar) -> str:
    """A metadata value as filters compare it: true and false as in JSON, numbers as Python writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _next_generation(connection: Connection) -> None:
    """A new state of the knowledge base. Like `take_turn` it waits for other writers."""
    connection.execute(update(knowledge_state).values(generation=knowledge_state.c.generation + 1))


def _is_document(tenant: str, document_id: str) -> ColumnElement[bool]:
    return (documents.c.tenant == tenant) & (documents.c.id == document_id)


def _entries(revised: Mapping[str, _Prepared]) -> list[VectorEntry]:
    entries = []
    for revision, prepared in revised.items():
        attributes = {name: attribute_text(value) for name, value in prepared.document.metadata.items()}
        attributes |= {DOCUMENT_ID: prepared.document.id}
        entries += [
            VectorEntry(id=vector_id(revision, one.chunk.ordinal), vector=one.vector, attributes=attributes)
            for one in prepared.chunks
        ]
    return entries


def _chunk_row(tenant: str, document_id: str, revision: str, one: EmbeddedChunk) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "id": f"{document_id}#{one.chunk.ordinal}",
        "document_id": document_id,
        "ordinal": one.chunk.ordinal,
        "vector_id": vector_id(revision, one.chunk.ordinal),
        "heading": one.chunk.heading,
        "start": one.chunk.start,
        "end": one.chunk.end,
        "text": one.chunk.text,
        "vector": pack_vector(np.asarray(one.vector)),
        "sentences": one.sentences,
    }
