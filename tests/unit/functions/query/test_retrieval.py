"""The retriever over a real store, SQLite and vectors in memory; what is away is played by a fake."""

import math
from collections.abc import Iterable, Mapping

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from common.knowledge.index import VECTOR_SECONDS, Hit, Index
from common.knowledge.store import Document, KnowledgeStore
from common.knowledge.vectors import MemoryVectors, VectorsUnavailable
from common.llm.chat import ModelTimeout
from common.llm.deadline import seconds_left
from common.llm.embeddings import FloatVector
from common.settings import load_settings
from functions.query.retrieval import MAX_PASSAGES, Retriever
from tests.knowledge_fakes import DIMENSIONS, TENANT, WordEmbedder, store_over

FILLER = "The lender keeps the appraisal with the file and reviews it each year before renewal. " * 3
RECORDS = f"# Records\n\n(a) Retention. A creditor shall retain records for 25 months.\n\n(b) Other. {FILLER}"
NOTICES = f"# Notices\n\n(a) Timing. A creditor shall notify an applicant within 30 days.\n\n(b) Other. {FILLER}"
QUESTION = "How long shall a creditor retain records?"


def document(document_id: str, text: str, **metadata: str) -> Document:
    return Document(id=document_id, title=text.splitlines()[0].lstrip("# ")[:40], text=text, metadata=metadata)


@pytest.fixture
def database(sqlite_database: Engine) -> Engine:
    """SQLite alone: what is found is tested on both with the index."""
    return sqlite_database


class SearchAway:
    """An index some part of which is away; `calls` counts what was searched."""

    def __init__(self, inner: Index, *, without: type[Exception] | None = None) -> None:
        self._inner = inner
        self.without = without
        self.calls = 0
        self.timeouts: list[float | None] = []

    def search(
        self,
        text: str,
        k: int,
        *,
        tenant: str,
        vector: FloatVector | None = None,
        where: Mapping[str, str] | None = None,
        only_lexical: bool = False,
        timeout_seconds: float | None = VECTOR_SECONDS,
    ) -> list[Hit]:
        self.calls += 1
        self.timeouts.append(timeout_seconds)
        if self.without is VectorsUnavailable and not only_lexical:
            raise VectorsUnavailable
        if self.without is OperationalError:
            raise OperationalError("select", {}, Exception("away"))
        return self._inner.search(
            text,
            k,
            vector=vector,
            where=where,
            only_lexical=only_lexical,
            timeout_seconds=timeout_seconds,
            tenant=tenant,
        )

    def frequencies(self, terms: Iterable[str], *, tenant: str) -> tuple[dict[str, int], int]:
        return self._inner.frequencies(terms, tenant=tenant)

    def generation(self) -> int:
        return self._inner.generation()

    def size(self) -> tuple[int, int]:
        return self._inner.size()


class SilentEmbedder(WordEmbedder):
    def embed_query(self, text: str) -> FloatVector:
        raise ModelTimeout


class WatchingEmbedder(WordEmbedder):
    """Notes how long each call may take."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[float] = []

    def embed_query(self, text: str) -> FloatVector:
        self.limits.append(seconds_left())
        return super().embed_query(text)


class Ticking:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Base:
    """A knowledge base with its retriever."""

    def __init__(self, engine: Engine, embedder: WordEmbedder | None = None, **settings: object) -> None:
        vectors = MemoryVectors(DIMENSIONS)
        self.clock = Ticking()
        self.store: KnowledgeStore = store_over(engine, vectors)
        self.index = SearchAway(Index(engine, vectors, WordEmbedder()))
        self.retriever = Retriever(self.index, embedder or WordEmbedder(), load_settings(**settings), self.clock)
        self.store.put(
            [document("records", RECORDS, topic="files"), document("notices", NOTICES, topic="letters")], tenant=TENANT
        )


@pytest.fixture
def base(database: Engine) -> Base:
    return Base(database)


def test_the_best_passage_comes_first_with_its_evidence_word_for_word(base: Base) -> None:
    found = base.retriever.retrieve(QUESTION, tenant=TENANT)
    best = found.passages[0]
    assert (best.number, best.document_id, best.title, found.degraded) == (1, "records", "Records", ())
    assert best.text in RECORDS
    assert "25 months" in best.text[best.evidence[0].start : best.evidence[0].end]
    assert best.evidence[0].support == pytest.approx(found.support)
    assert 0 < found.support < 1


def test_passages_and_evidence_fall_in_support(base: Base) -> None:
    passages = base.retriever.retrieve(QUESTION, tenant=TENANT).passages
    assert [one.number for one in passages] == list(range(1, len(passages) + 1))
    firsts = [one.evidence[0].support for one in passages]
    assert firsts == sorted(firsts, reverse=True)
    assert all(
        [one.support for one in passage.evidence] == sorted((one.support for one in passage.evidence), reverse=True)
        for passage in passages
    )


def test_a_filter_keeps_to_the_documents_that_match(base: Base) -> None:
    found = base.retriever.retrieve(QUESTION, where={"topic": "letters"}, tenant=TENANT)
    assert {one.document_id for one in found.passages} == {"notices"}


def test_neighbouring_chunks_become_one_passage_that_stands_in_the_document(base: Base) -> None:
    text = "\n\n".join(f"Records of kind {name} a creditor shall retain. {FILLER * 2}".strip() for name in "abc")
    base.store.put([document("long", text)], tenant=TENANT)
    passages = base.retriever.retrieve(QUESTION, where={"document_id": "long"}, tenant=TENANT).passages
    (merged,) = passages
    assert merged.text in text
    assert merged.text.count("Records of kind") > 1
    assert all(merged.text[one.start : one.end] in text for one in merged.evidence)


def test_the_same_text_in_two_documents_comes_once(base: Base) -> None:
    base.store.put([document("copy", RECORDS)], tenant=TENANT)
    texts = [one.text for one in base.retriever.retrieve(QUESTION, tenant=TENANT).passages]
    assert len(texts) == len(set(texts))


def test_each_part_of_a_question_gets_its_evidence(base: Base) -> None:
    found = base.retriever.retrieve(
        "How long shall a creditor retain records, and when must a creditor notify an applicant?", tenant=TENANT
    )
    assert {one.document_id for one in found.passages[:2]} == {"records", "notices"}
    assert found.passages[0].evidence[0].support == pytest.approx(found.passages[1].evidence[0].support)


def test_passages_stay_within_the_budget(database: Engine) -> None:
    base = Base(database, evidence_tokens=200)
    base.store.put(
        [document(f"more-{number}", RECORDS.replace("(b)", f"({number})")) for number in range(20)], tenant=TENANT
    )
    passages = base.retriever.retrieve(QUESTION, tenant=TENANT).passages
    assert sum(len(one.text.split()) for one in passages) <= 150
    assert 0 < len(passages) <= MAX_PASSAGES


def test_an_empty_knowledge_base_gives_nothing(base: Base) -> None:
    base.store.delete("records", tenant=TENANT)
    base.store.delete("notices", tenant=TENANT)
    found = base.retriever.retrieve(QUESTION, tenant=TENANT)
    assert (found.passages, found.support, found.degraded) == ((), 0.0, ())


def test_without_the_vector_index_the_words_are_searched_and_the_answer_says_so(base: Base) -> None:
    base.index.without = VectorsUnavailable
    found = base.retriever.retrieve(QUESTION, tenant=TENANT)
    assert found.degraded == ("retrieval",)
    assert found.passages[0].document_id == "records"
    assert found.support > 0


def test_without_the_embedder_the_words_are_searched_and_the_answer_says_so(database: Engine) -> None:
    found = Base(database, SilentEmbedder()).retriever.retrieve(QUESTION, tenant=TENANT)
    assert found.degraded == ("embeddings",)
    assert found.passages[0].document_id == "records"


def test_without_the_database_nothing_is_found_and_the_answer_says_so(base: Base) -> None:
    base.index.without = OperationalError
    found = base.retriever.retrieve(QUESTION, tenant=TENANT)
    assert (found.passages, found.degraded) == ((), ("retrieval",))


def test_the_same_question_is_searched_once(base: Base) -> None:
    first = base.retriever.retrieve(QUESTION, tenant=TENANT)
    assert base.retriever.retrieve(QUESTION, tenant=TENANT) is first
    assert base.index.calls == 1


def test_a_change_of_the_documents_is_seen_at_once(base: Base) -> None:
    base.retriever.retrieve(QUESTION, tenant=TENANT)
    base.store.put([document("records", RECORDS.replace("25 months", "five years"))], tenant=TENANT)
    assert "five years" in base.retriever.retrieve(QUESTION, tenant=TENANT).passages[0].text


def test_a_kept_search_has_a_lifetime(base: Base) -> None:
    base.retriever.retrieve(QUESTION, tenant=TENANT)
    base.clock.now += 301
    base.retriever.retrieve(QUESTION, tenant=TENANT)
    assert base.index.calls == 2


def test_what_was_found_while_a_part_was_away_is_not_kept(base: Base) -> None:
    base.index.without = VectorsUnavailable
    base.retriever.retrieve(QUESTION, tenant=TENANT)
    base.index.without = None
    assert base.retriever.retrieve(QUESTION, tenant=TENANT).degraded == ()


def test_the_cache_can_be_switched_off(database: Engine) -> None:
    base = Base(database, retrieval_cache_entries=0)
    base.retriever.retrieve(QUESTION, tenant=TENANT)
    base.retriever.retrieve(QUESTION, tenant=TENANT)
    assert base.index.calls == 2


def test_embedder_and_vector_index_share_the_time_and_leave_some_for_what_follows(database: Engine) -> None:
    embedder = WatchingEmbedder()
    base = Base(database, embedder)
    question = "How long shall a creditor retain records, and when must a creditor notify an applicant?"
    assert base.retriever.retrieve(question, timeout_seconds=8, tenant=TENANT).degraded == ()
    assert len(embedder.limits) >= 3
    assert embedder.limits == sorted(embedder.limits, reverse=True)  # one end for all
    assert all(0 < limit <= 4 for limit in embedder.limits)
    assert len(base.index.timeouts) == 2
    assert all(limit is not None and 0 < limit <= 4 for limit in base.index.timeouts)


def test_without_a_time_limit_only_the_vector_indexs_own_holds(database: Engine) -> None:
    embedder = WatchingEmbedder()
    base = Base(database, embedder)
    base.retriever.retrieve(QUESTION, tenant=TENANT)
    assert embedder.limits == [math.inf] * len(embedder.limits)
    assert base.index.timeouts == [VECTOR_SECONDS]


def test_where_no_time_is_left_the_words_are_searched_and_the_answer_says_so(database: Engine) -> None:
    class Bounded(WordEmbedder):
        def embed_query(self, text: str) -> FloatVector:
            if seconds_left() <= 0:
                raise ModelTimeout
            return super().embed_query(text)

    found = Base(database, Bounded()).retriever.retrieve(QUESTION, timeout_seconds=0, tenant=TENANT)
    assert found.degraded == ("embeddings",)
    assert found.passages[0].document_id == "records"


def test_where_a_budget_allows_no_embedder_the_words_are_searched_and_the_answer_says_so(database: Engine) -> None:
    embedder = WatchingEmbedder()
    base = Base(database, embedder)
    found = base.retriever.retrieve(QUESTION, tenant=TENANT, only_lexical=True)
    assert (found.degraded, embedder.limits) == (("budget",), [])
    assert found.passages[0].document_id == "records"
    whole = base.retriever.retrieve(QUESTION, tenant=TENANT)
    assert whole.degraded == ()
    assert (
        base.retriever.retrieve(QUESTION, tenant=TENANT, only_lexical=True) == whole
    )  # it is there, and costs nothing


def test_what_was_found_tells_the_content_that_it_was_found_in(base: Base) -> None:
    before = base.retriever.retrieve(QUESTION, tenant=TENANT).generation
    base.store.put([document("new", "# New\n\nSomething else.")], tenant=TENANT)
    assert base.retriever.retrieve(QUESTION, tenant=TENANT).generation > before > 0


def test_the_texts_that_an_embedder_would_be_asked_for_are_told(database: Engine) -> None:
    class Listening(WordEmbedder):
        asked: list[str]

        def embed_query(self, text: str) -> FloatVector:
            self.asked.append(text)
            return super().embed_query(text)

    embedder = Listening()
    embedder.asked = []
    retriever = Base(database, embedder).retriever
    question = "How long shall a creditor retain records, and when must a creditor notify an applicant?"
    for one in (QUESTION, question):
        embedder.asked.clear()
        retriever.retrieve(one, tenant=TENANT)
        assert sorted(retriever.embedded_texts(one)) == sorted(embedder.asked)
