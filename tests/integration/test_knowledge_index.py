"""Hybrid search and its full-text half, on SQLite and PostgreSQL."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from common.database.engine import read, write
from common.knowledge.index import Index
from common.knowledge.lexical import Filter, create_statements, lexical_index
from common.knowledge.store import Document
from common.knowledge.vectors import MemoryVectors, VectorEntry, VectorIndex, VectorsUnavailable
from common.llm.embeddings import FloatVector
from tests.knowledge_fakes import DIMENSIONS, TENANT, Spying, WordEmbedder, store_over

PASSAGES = {
    "land": "Raw land is lent on up to 65 percent of its appraised value.",
    "notice": "A creditor notifies applicants of adverse action within 30 days.",
    "amount": "An appraisal is required above $500,000 unless the dealer's loan is exempt.",
    "figures": "See 12 CFR 1002.14(a) and/or the U.S.C. for 500 houses and 000 barns.",
    "farm": "Farmland with crops is a collateral that the agency values each season.",
    "car": "Vehicles lose value quickly; their title is held by the lender.",
    "ship": "Ships need a marine survey and a preferred mortgage.",
}
ODD_TEXTS = [
    "",
    "   ",
    "Is $500,000 & 80% enough; or not?",
    '"AND" OR NOT NEAR(land, 5) * ^ : - ( ) { } [ ]',
    "land' OR 1=1 --",
    "back\\slash 'quote' :bind %s %(x)s {condition}",
    "what is it",
    "日本語 ﬁ ½ é ß \u200b",
    "a" * 5000,
    "land " * 2000,
]


@pytest.fixture
def index(database: Engine) -> Index:
    """One document a passage, of one chunk each."""
    vectors, embedder = MemoryVectors(DIMENSIONS), WordEmbedder()
    store_over(database, vectors, embedder).put(
        [
            Document(
                id=name, title=name.title(), text=passage, source=f"s/{name}", metadata={"first": name[0], "long": True}
            )
            for name, passage in PASSAGES.items()
        ],
        tenant=TENANT,
    )
    return Index(database, vectors, embedder)


def ids(index: Index, question: str, **options: object) -> list[str]:
    return [hit.chunk.document_id for hit in index.search(question, 5, tenant=TENANT, only_lexical=True, **options)]  # type: ignore[arg-type]  # options of search


def test_words_are_found_in_any_inflection(index: Index) -> None:
    assert ids(index, "When must a creditor notify an applicant?")[0] == "notice"
    assert ids(index, "valuing a crop")[0] == "farm"
    assert "car" in ids(index, "vehicle")


def test_figures_are_found_whole(index: Index) -> None:
    assert ids(index, "$500,000")[0] == "amount"
    assert ids(index, "1002.14") == ["figures"]
    assert ids(index, "§ 1002.14(a)?") == ["figures"]


def test_rarer_words_weigh_more(index: Index) -> None:
    assert ids(index, "value of ships")[0] == "ship"


def test_a_question_of_function_words_alone_finds_what_it_can(index: Index) -> None:
    assert len(ids(index, "what is it")) <= 5


@pytest.mark.parametrize("question", ODD_TEXTS)
def test_any_text_is_a_question(index: Index, question: str) -> None:
    assert all(0 <= hit.score <= 1 for hit in index.search(question, 5, tenant=TENANT))
    assert all(hit.lexical > 0 for hit in index.search(question, 5, only_lexical=True, tenant=TENANT))
    frequencies, total = index.frequencies([question], tenant=TENANT)
    assert 0 <= frequencies[question] <= total == len(PASSAGES)


def test_filters_keep_documents_with_these_values(index: Index) -> None:
    assert ids(index, "value", where={"document_id": "farm"}) == ["farm"]
    assert ids(index, "value of land", where={"first": "c", "long": "true"}) == ["car"]
    assert ids(index, "value", where={"first": "z"}) == []
    assert ids(index, "value", where={"it's; --": "x"}) == []
    both = index.search("value of land", 5, where={"first": "f"}, tenant=TENANT)
    assert {hit.chunk.document_id for hit in both} == {"farm", "figures"}


def test_frequencies_count_chunks_and_phrases(index: Index) -> None:
    found, total = index.frequencies(["value", "adverse action", "action adverse", "blockchain"], tenant=TENANT)
    assert found == {"value": 3, "adverse action": 1, "action adverse": 0, "blockchain": 0}
    assert total == len(PASSAGES)


def test_a_hit_carries_its_chunk_and_both_raw_scores(index: Index) -> None:
    best = index.search("What is lent on raw land?", 3, tenant=TENANT)[0]
    assert (best.id, best.chunk.id) == ("land#0", "land#0")
    assert best.score == pytest.approx(1.0)
    assert best.lexical > 0
    assert best.dense > 0.3
    chunk = best.chunk
    assert (chunk.document_id, chunk.title, chunk.source, chunk.ordinal) == ("land", "Land", "s/land", 0)
    assert (chunk.text, chunk.start, chunk.end) == (PASSAGES["land"], 0, len(PASSAGES["land"]))


def test_a_vector_that_is_given_is_searched_instead_of_the_texts(index: Index) -> None:
    vector = WordEmbedder().embed_query(PASSAGES["ship"])
    best = index.search("value", 7, vector=vector, tenant=TENANT)
    assert max(best, key=lambda hit: hit.dense).chunk.document_id == "ship"


def test_what_only_the_full_text_found_has_its_cosine_all_the_same(database: Engine, index: Index) -> None:
    class Shortsighted(MemoryVectors):
        """Finds half of what there is, and not what the question is about."""

        def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
            return dict(list(super().search(tenant, vector, limit).items())[-4:])

    vectors, embedder = Shortsighted(DIMENSIONS), WordEmbedder()
    store_over(database, vectors, embedder, prefix="s").repair()
    question = "raw land"
    expected = {hit.id: hit.dense for hit in index.search(question, 7, tenant=TENANT)}
    found = {hit.id: hit.dense for hit in Index(database, vectors, embedder).search(question, 7, tenant=TENANT)}
    assert len(found) == 5
    assert found["land#0"] == pytest.approx(expected["land#0"], abs=1e-3)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_vector_index_that_lost_most_of_its_vectors_is_not_available(
    database: Engine, index: Index, kept: int
) -> None:
    vectors, embedder = MemoryVectors(DIMENSIONS), WordEmbedder()
    store_over(database, vectors, embedder, prefix="s").repair()
    vectors.delete(TENANT, sorted(vectors.ids(TENANT))[kept:])
    lossy = Index(database, vectors, embedder)
    with pytest.raises(VectorsUnavailable, match="lacks"):
        lossy.search("raw land", 3, tenant=TENANT)
    with pytest.raises(VectorsUnavailable, match="lacks"):
        Index(database, MemoryVectors(DIMENSIONS), embedder).search(
            "raw land", 3, where={"first": "l", "long": "true"}, tenant=TENANT
        )
    assert lossy.search("raw land", 3, where={"first": "z"}, tenant=TENANT) == []  # nothing to find, nothing lost
    assert lossy.search("raw land", 3, only_lexical=True, tenant=TENANT)[0].id == "land#0"
    store_over(database, vectors, embedder, prefix="t").repair()
    assert [hit.id for hit in lossy.search("raw land", 3, tenant=TENANT)] == [
        hit.id for hit in index.search("raw land", 3, tenant=TENANT)
    ]


def test_vectors_of_another_knowledge_base_are_not_taken_for_these(database: Engine, index: Index) -> None:
    vectors, embedder = MemoryVectors(DIMENSIONS), WordEmbedder()
    vectors.upsert(
        TENANT,
        [VectorEntry(id=f"old:{number}", vector=embedder.embed_query("land"), attributes={}) for number in range(80)],
    )
    with pytest.raises(VectorsUnavailable, match="lacks"):
        Index(database, vectors, embedder).search("raw land", 3, tenant=TENANT)


def test_a_vector_index_that_does_not_answer_in_time_is_not_available(database: Engine, index: Index) -> None:
    released = threading.Event()

    class Hanging(MemoryVectors):
        def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
            released.wait()
            return super().search(tenant, vector, limit)

    vectors, embedder = Hanging(DIMENSIONS), WordEmbedder()
    store_over(database, vectors, embedder, prefix="s").repair()
    hanging = Index(database, vectors, embedder)
    try:
        for timeout in (0.01, 0.0, -1.0):
            with pytest.raises(VectorsUnavailable, match="in time"):
                hanging.search("raw land", 3, timeout_seconds=timeout, tenant=TENANT)
        assert hanging.search("raw land", 3, only_lexical=True, tenant=TENANT)[0].id == "land#0"
    finally:
        released.set()
    assert hanging.search("raw land", 3, timeout_seconds=None, tenant=TENANT)[0].id == "land#0"


def test_without_the_vector_index_a_search_fails_or_is_lexical_by_wish(database: Engine, index: Index) -> None:
    class Away(MemoryVectors):
        def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
            raise VectorsUnavailable

    away = Index(database, Away(DIMENSIONS), WordEmbedder())
    with pytest.raises(VectorsUnavailable):
        away.search("raw land", 3, tenant=TENANT)
    assert away.search("raw land", 3, only_lexical=True, tenant=TENANT)[0].id == "land#0"


def test_a_search_during_a_change_is_made_again(database: Engine, index: Index) -> None:
    inner: VectorIndex = MemoryVectors(DIMENSIONS)
    store = store_over(database, inner, prefix="s")
    store.repair()
    changes = [lambda: store.delete("car", tenant=TENANT), lambda: store.delete("ship", tenant=TENANT)]

    class Changing(Spying):
        asked = 0

        def search(self, tenant: str, vector: FloatVector, limit: int, where: Filter | None = None) -> dict[str, float]:
            self.asked += 1
            if changes:
                changes.pop()()
            return super().search(tenant, vector, limit)

    changing = Changing(inner)
    assert Index(database, changing, WordEmbedder()).search("value", 5, tenant=TENANT)
    assert changing.asked == 3


def test_the_migrated_full_text_is_the_one_this_code_speaks_to(database: Engine) -> None:
    with write(database) as connection:
        migrated = columns(connection.engine, connection)
        connection.execute(text("DROP TABLE chunk_search"))
        for statement in create_statements(database.dialect.name):
            connection.execute(text(statement))
        assert columns(connection.engine, connection) == migrated


def columns(engine: Engine, connection: object) -> object:
    """The full-text index as the database describes it."""
    from sqlalchemy import Connection, inspect

    assert isinstance(connection, Connection)
    if engine.dialect.name == "sqlite":
        return connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'chunk_search'")).scalar_one()
    inspector = inspect(connection)
    described = [(one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns("chunk_search")]
    return described, sorted(str(one["name"]) for one in inspector.get_indexes("chunk_search"))


def test_both_databases_score_alike(sqlite_database: Engine, postgresql_database: Engine) -> None:
    scores = []
    for engine in (sqlite_database, postgresql_database):
        lexical = lexical_index(engine.dialect.name)
        vectors, embedder = MemoryVectors(DIMENSIONS), WordEmbedder()
        given = [Document(id=name, title=name, text=passage) for name, passage in PASSAGES.items()]
        store_over(engine, vectors, embedder).put([replace(one, metadata={}) for one in given], tenant=TENANT)
        with read(engine) as connection:
            found = lexical.search(connection, TENANT, "a preferred mortgage on ships", 10)
        scores.append(list(found.values()))
    # Not equal: PostgreSQL leaves function words out of a text's length.
    assert scores[0] == pytest.approx(scores[1], rel=0.2)
