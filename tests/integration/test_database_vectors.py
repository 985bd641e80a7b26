"""Vectors that instances of one database server have in memory: each finds what another one has written."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event

from common.database.engine import create_engine_for
from common.knowledge.database_vectors import DatabaseVectors
from common.knowledge.index import Index
from common.knowledge.store import Document
from common.knowledge.vectors import VectorIndex
from tests.knowledge_fakes import TENANT, WordEmbedder, store_over

EMBEDDER = WordEmbedder()
LAND = Document(id="land", title="Land", text="Raw land is lent on up to 65 percent.", metadata={"kind": "policy"})
SHIP = Document(id="ship", title="Ships", text="Ships need a marine survey.", metadata={"kind": "manual"})


def new_instance(database: Engine, embedder: WordEmbedder = EMBEDDER) -> DatabaseVectors:
    return DatabaseVectors(database, embedder)


def found(vectors: VectorIndex, text: str, *, tenant: str = TENANT, where: dict[str, str] | None = None) -> list[str]:
    """The documents of the nearest vectors, by the revision that their ids begin with."""
    return [one.partition(":")[0] for one in vectors.search(tenant, EMBEDDER.embed_query(text), 5, where)]


def test_what_one_instance_writes_changes_and_deletes_another_finds(database: Engine) -> None:
    writer, reader = store_over(database, new_instance(database)), new_instance(database)
    assert found(reader, "marine survey") == []
    writer.put([LAND, SHIP], tenant=TENANT)
    assert found(reader, "marine survey") == ["r2", "r1"]
    writer.put([Document(id="ship", title="Ships", text="Ships need insurance.")], tenant=TENANT)
    assert found(reader, "insurance") == ["r3", "r1"]
    writer.delete("land", tenant=TENANT)
    assert found(reader, "raw land") == ["r3"]
    assert (reader.count(TENANT), reader.tenants()) == (1, {TENANT})


def test_an_index_over_them_ranks_by_words_and_vectors(database: Engine) -> None:
    store_over(database, new_instance(database)).put([LAND, SHIP], tenant=TENANT)
    best = Index(database, new_instance(database), EMBEDDER).search("marine survey", 2, tenant=TENANT)[0]
    assert best.chunk.document_id == "ship"
    assert best.dense > 0.4


def test_tenants_and_embedders_are_apart_and_filters_hold(database: Engine) -> None:
    store = store_over(database, new_instance(database))
    store.put([LAND, SHIP], tenant=TENANT)
    store.put([SHIP], tenant="other")
    reader = new_instance(database)
    assert found(reader, "marine survey", tenant="other") == ["r3"]
    assert found(reader, "marine survey", where={"kind": "policy"}) == ["r1"]
    assert found(reader, "marine survey", where={"document_id": "ship"}) == ["r2"]
    assert new_instance(database, WordEmbedder("another")).tenants() == set()
    assert found(new_instance(database, WordEmbedder("another")), "marine survey") == []


def test_what_has_not_changed_is_not_read_again(database: Engine) -> None:
    store_over(database, new_instance(database)).put([LAND], tenant=TENANT)
    reader = new_instance(database)
    statements: list[str] = []
    found(reader, "raw land")

    @event.listens_for(database, "before_cursor_execute")
    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    assert found(reader, "raw land") == ["r1"]
    assert [one for one in statements if "chunks" in one] == []
    reader.reset()
    assert found(reader, "raw land") == ["r1"]


@pytest.fixture
def another_engine(database: Engine) -> Callable[[], Engine]:
    return lambda: create_engine_for(database.url.render_as_string(hide_password=False))


def test_tenants_beyond_those_kept_in_memory_are_read_again(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.knowledge.database_vectors.MOST_TENANTS", 1)
    store, reader = store_over(database, new_instance(database)), new_instance(database)
    store.put([LAND], tenant=TENANT)
    store.put([SHIP], tenant="other")
    for _ in range(2):
        assert found(reader, "raw land") == ["r1"]
        assert found(reader, "raw land", tenant="other") == ["r2"]


def test_threads_search_while_another_instance_writes(database: Engine, another_engine: Callable[[], Engine]) -> None:
    elsewhere = another_engine()
    writer = store_over(elsewhere, new_instance(elsewhere))
    writer.put([LAND], tenant=TENANT)
    reader = new_instance(database)
    with ThreadPoolExecutor(8) as pool:
        searches = [pool.submit(found, reader, "raw land") for _ in range(40)]
        for number in range(10):
            writer.put([Document(id=f"ship-{number}", title="Ship", text="A ship.")], tenant=TENANT)
        assert all(search.result(30)[0] == "r1" for search in searches)
    assert reader.count(TENANT) == 11
    assert len(found(reader, "ship")) == 5
    elsewhere.dispose()
