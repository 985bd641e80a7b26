"""Two tenants in one knowledge base: equal ids are two documents, and nothing of the one shows to the other."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from common.database.engine import write
from common.database.tables import revisions
from common.knowledge.chroma import ChromaIndex, collection_name, former_names
from common.knowledge.chroma_local import LocalChroma
from common.knowledge.index import Hit, Index
from common.knowledge.store import Document
from common.knowledge.vectors import MemoryVectors, VectorEntry, VectorIndex
from tests.integration.conftest import MakeVectors
from tests.knowledge_fakes import DIMENSIONS, Spying, WordEmbedder, document, store_over

OURS, THEIRS = "acme", "other"
Texts: TypeAlias = dict[str, str]

WORDS = st.sampled_from(["land", "ship", "lien", "notice", "value", "farm"])
TEXTS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "policy/land"]), st.lists(WORDS, min_size=1, max_size=8).map(" ".join), max_size=4
)


def texts(hits: Sequence[Hit]) -> set[str]:
    return {hit.chunk.text for hit in hits}


def test_documents_of_one_id_never_meet(database: Engine, vectors: VectorIndex) -> None:
    store = store_over(database, vectors)
    index = Index(database, vectors, WordEmbedder())
    mine, yours = document(says="Our limit is 65 percent."), document(says="Your limit is 75 percent.")
    first = store.put([mine], tenant=OURS)
    assert store.put([yours], tenant=THEIRS) == first
    for tenant, stored, word in ((OURS, mine, "Our"), (THEIRS, yours, "Your")):
        found = store.get(stored.id, tenant=tenant)
        assert found is not None
        assert (found.document, found.chunks) == (stored, first.chunks)
        hits = index.search("What is the limit?", 50, tenant=tenant)
        assert len(hits) == first.chunks
        assert all(f"{word} limit" in hit.chunk.text for hit in hits)
        where = {"document_id": stored.id, "year": "2024"}
        assert texts(index.search("limit", 50, tenant=tenant, where=where)) == texts(hits)
        assert index.frequencies(["limit"], tenant=tenant) == ({"limit": first.chunks}, first.chunks)

    changed = document(says="Our limit is 60 percent.")
    assert store.put([changed], tenant=OURS).unchanged == 0
    assert store.put([yours], tenant=THEIRS).unchanged == 1
    assert all("Our limit is 60" in text for text in texts(index.search("limit", 50, tenant=OURS)))
    assert not store.delete("policy/land", tenant="a-third")
    assert store.delete(yours.id, tenant=THEIRS)
    assert store.get(yours.id, tenant=THEIRS) is None
    assert index.search("limit", 50, tenant=THEIRS) == []
    assert store.get(changed.id, tenant=OURS) is not None
    assert len(index.search("limit", 50, tenant=OURS)) == first.chunks == vectors.count(OURS)
    assert vectors.count(THEIRS) == 0


def test_vectors_that_are_filled_again_belong_to_whom_they_did(database: Engine, vectors: VectorIndex) -> None:
    store = store_over(database, MemoryVectors(DIMENSIONS))
    store.put([document(says="Ours is on land.")], tenant=OURS)
    store.put([replace(document(says="Theirs is on land."), metadata={"year": 1999})], tenant=THEIRS)
    store_over(database, vectors, prefix="s").repair()
    index = Index(database, vectors, WordEmbedder())
    assert all("Ours is" in text for text in texts(index.search("land", 50, tenant=OURS)))
    assert all("Theirs is" in text for text in texts(index.search("land", 50, tenant=THEIRS)))
    assert index.search("land", 50, tenant=THEIRS, where={"year": "2024"}) == []


def test_scores_are_the_same_whatever_words_another_tenant_uses(database: Engine) -> None:
    passages = {"land": "raw land is lent on", "ship": "a ship needs a survey", "farm": "a farm has its crops"}
    vectors, embedder = MemoryVectors(DIMENSIONS), WordEmbedder()
    store = store_over(database, vectors, embedder)
    index = Index(database, vectors, embedder)
    store.put([Document(id=name, title=name, text=text) for name, text in passages.items()], tenant=OURS)

    def asked() -> dict[str, float]:
        hits = index.search("Which ship or land is lent on?", 9, tenant=OURS)
        return {f"{hit.id} {name}": getattr(hit, name) for hit in hits for name in ("lexical", "dense", "score")}

    alone = asked()
    assert len(alone) == 9
    # The same words for another tenant, so that the average length, which SQLite counts over all, stays as it is.
    same_length = {f"{name}-{number}": text for number in range(20) for name, text in passages.items()}
    speaks_of_ships = {name: text.replace("farm", "ship") for name, text in same_length.items()}
    store.put([Document(id=name, title="ship", text=text) for name, text in speaks_of_ships.items()], tenant=THEIRS)
    assert asked() == pytest.approx(alone)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=TEXTS, theirs=TEXTS, question=st.lists(WORDS, min_size=1, max_size=4).map(" ".join))
def test_whatever_two_tenants_store_neither_sees_anything_of_the_other(
    database: Engine, ours: Texts, theirs: Texts, question: str
) -> None:
    vectors, embedder = MemoryVectors(DIMENSIONS), WordEmbedder()
    store = store_over(database, vectors, embedder, prefix=f"{id(vectors)}-")
    index = Index(database, vectors, embedder)
    given_texts = {OURS: ours, THEIRS: theirs}
    try:
        for tenant, stored in given_texts.items():
            result = store.put(documents_of(tenant, stored), tenant=tenant)
            assert (result.documents, result.chunks, result.unchanged) == (len(stored), len(stored), 0)
        for tenant, stored in given_texts.items():
            hits = index.search(question, 50, tenant=tenant)
            assert {hit.chunk.document_id for hit in hits} == set(stored)
            assert all(hit.chunk.title == f"Of {tenant}" for hit in hits)
            assert texts(hits) == set(stored.values())
            words = question.split()
            frequencies, total = index.frequencies(words, tenant=tenant)
            assert total == len(stored)
            assert frequencies == {word: sum(word in text.split() for text in stored.values()) for word in words}
            for name in ("a", "b", "c", "policy/land"):
                found = store.get(name, tenant=tenant)
                assert (found.document.text if found else None) == stored.get(name)
    finally:
        for tenant, stored in given_texts.items():
            assert all(store.delete(name, tenant=tenant) for name in stored)


def documents_of(tenant: str, stored: Texts) -> list[Document]:
    return [Document(id=name, title=f"Of {tenant}", text=text) for name, text in stored.items()]


def former_entries(count: int) -> list[VectorEntry]:
    """Vectors as they were before they carried their tenant."""
    embedder = WordEmbedder()
    return [
        VectorEntry(id=f"r{number}:0", vector=embedder.embed_query("land"), attributes={"document_id": "d"})
        for number in range(count)
    ]


def test_collections_of_all_tenants_together_make_way_for_one_of_each(sqlite_database: Engine, tmp_path: Path) -> None:
    embedder = WordEmbedder()
    chroma = LocalChroma(tmp_path)
    rows = former_entries(3)
    for name in former_names(embedder):
        old = chroma.collection(name, {"hnsw": {"space": "cosine"}})
        attributes = [dict(one.attributes) for one in rows]
        old.upsert([one.id for one in rows], embedder.embed_documents(["land"] * 3), attributes)
    chroma.close()
    store_over(sqlite_database, MemoryVectors(DIMENSIONS)).put([document()], tenant=OURS)

    vectors = ChromaIndex.on_disk(tmp_path, embedder)
    store_over(sqlite_database, vectors, embedder, prefix="s").repair()
    assert Index(sqlite_database, vectors, embedder).search("raw land", 1, tenant=OURS)[0].dense > 0
    reopened = LocalChroma(tmp_path)
    assert set(reopened.collections()) == {collection_name(embedder, OURS)}
    reopened.close()


@pytest.mark.servers
def test_on_a_server_they_make_way_too(chroma_server: str) -> None:
    embedder = WordEmbedder("words-of-former-times")
    other = ChromaIndex.on_server(chroma_server, embedder)
    for name in former_names(embedder):
        with other._access.writing(name) as collection:
            collection.upsert(ids=["r:0"], embeddings=embedder.embed_documents(["land"]), metadatas=[{"a": "b"}])
    vectors = ChromaIndex.on_server(chroma_server, embedder)
    vectors.upsert(OURS, former_entries(1))
    assert not set(former_names(embedder)) & vectors._access.names()
    assert vectors.ids(OURS) == {"r0:0"}
    assert (vectors.tenants(), vectors.ids(THEIRS)) == ({OURS}, set())


def test_a_repair_drops_tenants_without_documents_or_writes(database: Engine, vectors: VectorIndex) -> None:
    store = store_over(database, vectors)
    store.put([document("a")], tenant=OURS)
    store.put([document("b")], tenant=THEIRS)
    vectors.upsert("gone", former_entries(2))
    assert store.delete("b", tenant=THEIRS)
    store.repair()
    assert vectors.tenants() == {OURS}
    assert store.put([document("b")], tenant=THEIRS).unchanged == 0
    assert vectors.tenants() == {OURS, THEIRS}


def test_the_first_write_of_a_tenant_keeps_its_vectors_whatever_is_repaired_meanwhile(
    database: Engine, vectors: VectorIndex
) -> None:
    """The repair finds a tenant without documents or writes; then the write is announced, before it is dropped."""
    vectors.upsert(OURS, former_entries(1))
    is_announced = threading.Event()
    writer = store_over(database, Spying(vectors, before_upsert=is_announced.set))
    threads = ThreadPoolExecutor(1)
    writing: list[Future[object]] = []

    class Dropping(Spying):
        def drop(self, tenant: str) -> None:
            writing.append(threads.submit(writer.put, [document()], tenant=OURS))
            assert not is_announced.wait(0.1)  # nor ever, before the repair has let go of its turn
            super().drop(tenant)

    store_over(database, Dropping(vectors), prefix="s").repair()
    with threads:
        (written,) = writing
        written.result()
    assert len(Index(database, vectors, WordEmbedder()).search("raw land", 5, tenant=OURS)) == vectors.count(OURS)


def test_a_tenant_whose_write_was_announced_is_not_dropped(database: Engine, vectors: VectorIndex) -> None:
    vectors.upsert(OURS, former_entries(1))

    row = {"revision": "r0", "tenant": OURS, "document_id": "d", "chunks": 1, "state": "writing"}
    with write(database) as connection:
        connection.execute(insert(revisions).values(**row, created_at=datetime.now(UTC)))
    store_over(database, vectors)._repairer._match()
    assert vectors.ids(OURS) == {"r0:0"}


@pytest.mark.parametrize("writer", [OURS, "a-third"])
def test_what_all_tenants_lost_comes_back_with_anybodys_write(
    database: Engine, chroma: MakeVectors, writer: str
) -> None:
    vectors, other = chroma(), chroma()
    store = store_over(database, vectors)
    for tenant in (OURS, THEIRS):
        store.put([document()], tenant=tenant)
    other.reset()
    store.put([document("new")], tenant=writer)
    store.put([document()], tenant="a-third")
    index = Index(database, vectors, WordEmbedder())
    for tenant in (OURS, THEIRS, "a-third"):
        assert index.search("raw land", 5, tenant=tenant)[0].dense > 0


def test_a_search_of_a_new_tenant_leaves_nothing(database: Engine, vectors: VectorIndex) -> None:
    store_over(database, vectors).put([document()], tenant=OURS)
    assert Index(database, vectors, WordEmbedder()).search("raw land", 5, tenant=THEIRS) == []
    assert vectors.tenants() == {OURS}
