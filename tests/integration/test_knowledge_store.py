"""The knowledge store over both databases and every kind of vector index."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import Engine, func, insert, select, update

from common.database.engine import read, write
from common.database.tables import chunks, document_attributes, documents, revisions
from common.knowledge import store as store_module
from common.knowledge.index import Index
from common.knowledge.rules import Scalar
from common.knowledge.sentence_vectors import unpack_sentences
from common.knowledge.store import Document, KnowledgeStore, PutResult, WriteContended
from common.knowledge.vectors import (
    MemoryVectors,
    VectorEntry,
    VectorIndex,
    VectorsDamaged,
    VectorsLost,
    VectorsUnavailable,
)
from common.llm.embeddings import FloatMatrix
from common.problems import InvalidRequest
from tests.integration.conftest import MakeVectors
from tests.knowledge_fakes import DIMENSIONS, TENANT, Spying, WordEmbedder, document, store_over
from tests.log_lines import log_lines


@pytest.fixture
def memory() -> MemoryVectors:
    return MemoryVectors(DIMENSIONS)


def vector_ids(database: Engine) -> set[str]:
    with read(database) as connection:
        return set(connection.execute(select(chunks.c.vector_id)).scalars())


def left_overs(database: Engine) -> int:
    with read(database) as connection:
        return connection.execute(select(func.count()).select_from(revisions)).scalar_one()


def full_text_rows(database: Engine) -> int:
    with read(database) as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM chunk_search").scalar_one())


def assert_tidy(database: Engine, vectors: VectorIndex) -> None:
    """Vectors and full text are exactly those of the current chunks, and nothing waits to be cleared."""
    current = vector_ids(database)
    assert vectors.ids(TENANT) == current
    assert full_text_rows(database) == len(current)
    assert left_overs(database) == 0


def test_a_document_comes_back_as_it_was_handed_in(database: Engine, vectors: VectorIndex) -> None:
    store = store_over(database, vectors)
    handed_in = document()
    result = store.put([handed_in], tenant=TENANT)
    stored = store.get(handed_in.id, tenant=TENANT)
    assert stored is not None
    assert stored.document == handed_in
    assert stored.chunks == result.chunks >= 2
    assert stored.updated_at.tzinfo is UTC
    assert stored.updated_at > datetime(2026, 11, 23, tzinfo=UTC)
    assert len(vector_ids(database)) == result.chunks
    assert_tidy(database, vectors)


def test_an_unchanged_document_is_neither_embedded_nor_written_again(database: Engine, memory: MemoryVectors) -> None:
    embedder = WordEmbedder()
    store = store_over(database, memory, embedder)
    first = store.put([document("a"), document("b")], tenant=TENANT)
    embedder.embedded.clear()
    generation, ids = store.generation(), vector_ids(database)
    assert store.put([document("a"), document("b")], tenant=TENANT) == PutResult(
        documents=2, chunks=first.chunks, unchanged=2
    )
    assert embedder.embedded == []
    assert (store.generation(), vector_ids(database)) == (generation, ids)


@pytest.mark.parametrize(
    "change", [{"title": "New"}, {"text": "Other words."}, {"source": None}, {"metadata": {"year": 2025}}]
)
def test_a_change_of_any_field_replaces_the_document(
    database: Engine, memory: MemoryVectors, change: dict[str, object]
) -> None:
    store = store_over(database, memory)
    store.put([document()], tenant=TENANT)
    before = vector_ids(database)
    changed = replace(document(), **change)  # type: ignore[arg-type]  # each is a field of Document
    assert store.put([changed], tenant=TENANT).unchanged == 0
    stored = store.get(changed.id, tenant=TENANT)
    assert stored is not None
    assert stored.document == changed
    assert not before & vector_ids(database)
    assert_tidy(database, memory)


def test_another_embedder_embeds_again(database: Engine, memory: MemoryVectors) -> None:
    store_over(database, memory).put([document()], tenant=TENANT)
    other = MemoryVectors(DIMENSIONS)
    renewed = store_over(database, other, WordEmbedder("words-2"), prefix="s")
    renewed.repair()
    assert other.count(TENANT) == 0  # the old embedder's vectors would be noise here
    assert renewed.put([document()], tenant=TENANT).unchanged == 0
    assert other.ids(TENANT) == vector_ids(database)


def test_a_deleted_document_is_gone_from_every_index(database: Engine, vectors: VectorIndex) -> None:
    store = store_over(database, vectors)
    store.put([document("a"), document("b")], tenant=TENANT)
    assert store.delete("a", tenant=TENANT)
    assert store.get("a", tenant=TENANT) is None
    assert store.get("b", tenant=TENANT) is not None
    assert_tidy(database, vectors)
    assert not store.delete("a", tenant=TENANT)
    with read(database) as connection:
        assert connection.execute(select(document_attributes.c.document_id)).scalars().all() == ["b"]


def test_metadata_is_kept_as_it_is_and_filtered_as_text(database: Engine, memory: MemoryVectors) -> None:
    metadata: dict[str, Scalar] = {"year": 2024, "rate": 0.5, "final": True, "kind": "policy"}
    store = store_over(database, memory)
    store.put([replace(document(), metadata=metadata)], tenant=TENANT)
    stored = store.get(document().id, tenant=TENANT)
    assert stored is not None
    assert stored.document.metadata == metadata
    with read(database) as connection:
        rows = connection.execute(select(document_attributes.c.name, document_attributes.c.value)).all()
    assert {row.name: row.value for row in rows} == {"year": "2024", "rate": "0.5", "final": "true", "kind": "policy"}


def test_sentences_are_stored_with_their_places_and_vectors(database: Engine, memory: MemoryVectors) -> None:
    store_over(database, memory).put([document()], tenant=TENANT)
    with read(database) as connection:
        row = connection.execute(select(chunks.c.text, chunks.c.sentences)).first()
    assert row is not None
    spans, vectors = unpack_sentences(row.sentences)
    assert any(row.text[start:end].startswith("Raw land is lent on") for start, end in spans)
    assert vectors is not None
    expected = WordEmbedder().embed_documents([row.text[start:end] for start, end in spans])
    assert (vectors * expected).sum(axis=1).min() > 0.999


def test_nothing_is_stored_of_a_batch_that_breaks_a_rule(database: Engine, memory: MemoryVectors) -> None:
    store = store_over(database, memory)
    with pytest.raises(InvalidRequest) as refused:
        store.put([document("a"), replace(document("b"), text=" \n "), document("a")], tenant=TENANT)
    assert [(error.pointer, error.detail) for error in refused.value.errors] == [
        ("/documents/1/text", "is empty"),
        ("/documents/2/id", "is the id of an earlier document of this request"),
    ]
    assert vector_ids(database) == set()
    assert store.get("a", tenant=TENANT) is None


def test_many_documents_go_in_groups_and_say_how_far_they_are(
    database: Engine, memory: MemoryVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "GROUP_CHUNKS", 4)
    store = store_over(database, memory)
    store.put([document("d0")], tenant=TENANT)
    steps: list[int] = []
    given = [document(f"d{number}") for number in range(6)]
    assert store.put(given, on_progress=steps.append, tenant=TENANT).unchanged == 1
    assert (sum(steps), steps[0]) == (6, 1)
    assert len(steps) > 2
    assert all(store.get(one.id, tenant=TENANT) for one in given)
    assert_tidy(database, memory)


def test_readers_see_the_old_or_the_new_document_and_never_a_mix(database: Engine, vectors: VectorIndex) -> None:
    embedder = WordEmbedder()
    store = store_over(database, vectors, embedder)
    index = Index(database, vectors, embedder)
    store.put([document(says="Version 0 lends on land.")], tenant=TENANT)
    stop = threading.Event()

    def look() -> list[set[str]]:
        seen = []
        while not stop.is_set():
            hits = index.search("Which version lends on land?", 20, tenant=TENANT)
            seen.append({hit.chunk.revision for hit in hits})
            assert all(f"Version {hit.chunk.text.split('Version ')[1][0]}" in hit.chunk.text for hit in hits)
        return seen

    with ThreadPoolExecutor(2) as threads:
        looking = [threads.submit(look) for _ in range(2)]
        for number in range(1, 8):
            store.put([document(says=f"Version {number} lends on land.")], tenant=TENANT)
        stop.set()
        seen = [revisions for one in looking for revisions in one.result()]
    assert seen
    assert all(len(revisions) == 1 for revisions in seen)


def test_writers_of_the_same_document_leave_one_of_theirs(database: Engine, chroma: MakeVectors) -> None:
    def write_some(name: str) -> None:
        store = store_over(database, chroma(), prefix=name)
        for number in range(3):
            store.put([document(says=f"Writer {name}{number} was here.")], tenant=TENANT)

    with ThreadPoolExecutor(3) as threads:
        for one in [threads.submit(write_some, name) for name in "abc"]:
            one.result()
    vectors = chroma()
    store_over(database, vectors, prefix="z").repair()
    assert_tidy(database, vectors)


class Failing(MemoryVectors):
    """Fails at the next call of the named methods."""

    def __init__(self, error: Exception, *methods: str) -> None:
        super().__init__(DIMENSIONS)
        self.error, self.methods = error, list(methods)

    def upsert(self, tenant: str, entries: Sequence[VectorEntry]) -> None:
        self._fail("upsert")
        super().upsert(tenant, entries)

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        self._fail("delete")
        super().delete(tenant, ids)

    def count(self, tenant: str) -> int:
        self._fail("count")
        return super().count(tenant)

    def _fail(self, method: str) -> None:
        if method in self.methods:
            self.methods.remove(method)
            raise self.error


def test_without_its_vectors_the_old_document_stays(database: Engine) -> None:
    vectors = Failing(VectorsUnavailable())
    store = store_over(database, vectors)
    store.put([document()], tenant=TENANT)
    vectors.methods = ["upsert"]
    with pytest.raises(VectorsUnavailable):
        store.put([document(says="Something new.")], tenant=TENANT)
    stored = store.get(document().id, tenant=TENANT)
    assert stored is not None
    assert stored.document == document()
    store.put([document("other")], tenant=TENANT)
    assert_tidy(database, vectors)


def test_vectors_that_cannot_be_deleted_now_are_deleted_by_the_next_write(database: Engine) -> None:
    vectors = Failing(VectorsUnavailable())
    store = store_over(database, vectors)
    store.put([document()], tenant=TENANT)
    vectors.methods = ["delete"]
    store.put([document(says="Something new.")], tenant=TENANT)
    assert left_overs(database) == 1
    assert vectors.ids(TENANT) > vector_ids(database)
    store.put([document("other")], tenant=TENANT)
    assert_tidy(database, vectors)


def test_a_failed_embedder_leaves_no_trace_of_the_document(database: Engine, memory: MemoryVectors) -> None:
    class Broken(WordEmbedder):
        def embed_spans(self, text: str, spans: Sequence[tuple[int, int]]) -> FloatMatrix:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        store_over(database, memory, Broken()).put([document()], tenant=TENANT)
    assert_tidy(database, memory)


def test_a_write_that_a_repair_elsewhere_doomed_starts_again(database: Engine, memory: MemoryVectors) -> None:
    repairer = store_over(database, memory, prefix="s")
    repairs = [repairer.repair, repairer.repair]
    vectors = Spying(memory, before_upsert=lambda: repairs.pop()() if repairs else None)
    store = store_over(database, vectors)
    assert store.put([document()], tenant=TENANT).documents == 1
    assert repairs == []
    assert_tidy(database, memory)


def test_a_write_that_is_doomed_again_and_again_gives_up(database: Engine, memory: MemoryVectors) -> None:
    vectors = Spying(memory, after_upsert=store_over(database, memory, prefix="s").repair)
    with pytest.raises(WriteContended):
        store_over(database, vectors).put([document()], tenant=TENANT)
    assert_tidy(database, memory)


def test_damaged_vectors_are_built_again_while_writing(database: Engine) -> None:
    vectors = Failing(VectorsDamaged())
    store = store_over(database, vectors)
    store.put([document("a")], tenant=TENANT)
    vectors.methods = ["upsert"]
    store.put([document("b")], tenant=TENANT)
    assert_tidy(database, vectors)


def test_a_repair_builds_damaged_vectors_again(database: Engine) -> None:
    vectors = Failing(VectorsDamaged())
    store = store_over(database, vectors)
    store.put([document("a"), document("b")], tenant=TENANT)
    with write(database) as connection:
        doomed = {"tenant": TENANT, "revision": "gone", "document_id": "c", "chunks": 1, "state": "writing"}
        connection.execute(insert(revisions).values(**doomed, created_at=datetime.now(UTC)))
    vectors.methods = ["delete"]
    store.repair()
    assert vectors.ids(TENANT) == vector_ids(database)


def test_a_repair_fills_an_empty_vector_index_without_embedding(database: Engine, chroma: MakeVectors) -> None:
    embedder = WordEmbedder()
    store_over(database, MemoryVectors(DIMENSIONS), embedder).put([document("a"), document("b")], tenant=TENANT)
    embedder.embedded.clear()
    vectors = chroma()
    store_over(database, vectors, embedder, prefix="s").repair()
    assert_tidy(database, vectors)
    assert embedder.embedded == []
    hits = Index(database, vectors, embedder).search(
        "raw land", 1, where={"document_id": "b", "year": "2024"}, tenant=TENANT
    )
    assert [hit.chunk.document_id for hit in hits] == ["b"]
    assert hits[0].dense > 0


def test_a_repair_deletes_vectors_that_belong_to_nothing(database: Engine, memory: MemoryVectors) -> None:
    store = store_over(database, memory)
    store.put([document()], tenant=TENANT)
    memory.upsert(TENANT, [VectorEntry(id="stray:0", vector=np.ones(DIMENSIONS, dtype=np.float32), attributes={})])
    store.repair()
    assert_tidy(database, memory)


def test_a_repair_is_not_deceived_by_as_many_strays_as_lost_vectors(database: Engine, memory: MemoryVectors) -> None:
    store = store_over(database, memory)
    store.put([document()], tenant=TENANT)
    lost = min(memory.ids(TENANT))
    memory.delete(TENANT, [lost])
    memory.upsert(TENANT, [VectorEntry(id="stray:0", vector=np.ones(DIMENSIONS, dtype=np.float32), attributes={})])
    store.repair()
    assert_tidy(database, memory)


def test_an_emptied_vector_index_is_filled_by_the_next_write(database: Engine, vectors: VectorIndex) -> None:
    embedder = WordEmbedder()
    store = store_over(database, vectors, embedder)
    store.put([document(f"d{number}") for number in range(20)], tenant=TENANT)
    vectors.reset()
    index = Index(database, vectors, embedder)
    for _ in range(2):
        with pytest.raises(VectorsUnavailable, match="lacks"):
            index.search("raw land", 3, tenant=TENANT)
    embedder.embedded.clear()
    assert store.put([document("d0")], tenant=TENANT).unchanged == 1
    assert_tidy(database, vectors)
    assert embedder.embedded == []
    assert index.search("raw land", 3, tenant=TENANT)[0].dense > 0
    vectors.reset()
    store.put([document("d20")], tenant=TENANT)
    assert_tidy(database, vectors)


@pytest.mark.parametrize("method", ["count", "upsert"])
def test_a_loss_noticed_while_writing_is_made_good(database: Engine, method: str) -> None:
    class Losing(Failing):
        def _fail(self, method: str) -> None:
            if method in self.methods:
                self.reset()
            super()._fail(method)

    vectors = Losing(VectorsLost())
    store = store_over(database, vectors)
    store.put([document("a"), document("b")], tenant=TENANT)
    vectors.methods = [method]
    store.put([document("c")], tenant=TENANT)
    assert vectors.methods == []
    assert_tidy(database, vectors)


def test_a_start_tells_how_many_documents_need_to_be_embedded_anew(database: Engine, memory: MemoryVectors) -> None:
    store_over(database, memory).put([document("a"), document("b")], tenant=TENANT)
    renewed = store_over(database, MemoryVectors(DIMENSIONS), WordEmbedder("words-2"), prefix="s")
    with log_lines() as lines:
        renewed.repair()
        renewed.put([document("a"), document("b")], tenant=TENANT)
        renewed.repair()
    assert [line for line in lines if line["log_level"] == "warning"] == [
        {
            "event": "knowledge.embedded_by_another_embedder",
            "log_level": "warning",
            "count": 2,
            "embedder": "words-2",
        }
    ]


def test_a_document_without_metadata_or_source_is_stored(database: Engine, memory: MemoryVectors) -> None:
    bare = Document(id="bare", title="Bare", text="Only a title and a text.")
    store = store_over(database, memory)
    store.put([bare], tenant=TENANT)
    stored = store.get("bare", tenant=TENANT)
    assert stored is not None
    assert stored.document == bare


def test_a_database_that_fails_in_the_swap_leaves_the_old_document(
    database: Engine, memory: MemoryVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_over(database, memory)
    store.put([document()], tenant=TENANT)
    monkeypatch.setattr(KnowledgeStore, "_put_in", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.put([document(says="Something new.")], tenant=TENANT)
    monkeypatch.undo()
    stored = store.get(document().id, tenant=TENANT)
    assert stored is not None
    assert stored.document == document()
    store.repair()
    assert_tidy(database, memory)


def test_a_chunk_of_another_embedder_is_found_by_its_words(database: Engine, memory: MemoryVectors) -> None:
    store_over(database, memory).put([document()], tenant=TENANT)
    with write(database) as connection:
        connection.execute(update(documents).values(embedder="another"))
    hits = Index(database, MemoryVectors(DIMENSIONS), WordEmbedder()).search("raw land", 5, tenant=TENANT)
    assert hits
    assert all(hit.dense == 0 < hit.lexical for hit in hits)
