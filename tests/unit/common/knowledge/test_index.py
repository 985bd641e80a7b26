"""Hybrid search over texts in memory, as benchmarks use it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from common.knowledge.index import Index, MemoryIndex
from common.knowledge.lexical import terms
from tests.knowledge_fakes import WordEmbedder

TEXTS = [
    ("land", "Raw land is lent on up to 65 percent of its appraised value."),
    ("notice", "A creditor notifies applicants of adverse action within 30 days."),
    ("car", "Vehicles lose value quickly and their title is held by the lender."),
    ("ship", "Ships need a marine survey and a preferred mortgage."),
    ("farm", "Farmland with crops is looked at each season."),
]


@pytest.fixture
def index() -> MemoryIndex:
    made = Index.in_memory(WordEmbedder())
    made.add(TEXTS)
    return made


def test_an_empty_index_finds_nothing() -> None:
    empty = Index.in_memory(WordEmbedder())
    assert empty.search("land", 5) == []
    empty.add([])
    assert empty.search("land", 5) == []


def test_texts_are_found_under_their_ids(index: MemoryIndex) -> None:
    hits = index.search("adverse action notifies", 2)
    assert hits[0].id == "notice"
    assert hits[0].chunk.text == TEXTS[1][1]
    assert len(hits) == 2
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_both_sides_weigh_the_same(index: MemoryIndex) -> None:
    hits = {hit.id: hit for hit in index.search("marine survey", 5)}
    highest, lowest = (pick(hit.dense for hit in hits.values()) for pick in (max, min))
    best_lexical = max(hit.lexical for hit in hits.values())
    for hit in hits.values():
        dense = (hit.dense - lowest) / (highest - lowest)
        assert hit.score == pytest.approx(0.5 * hit.lexical / best_lexical + 0.5 * dense)


def test_without_a_common_word_meaning_alone_decides(index: MemoryIndex) -> None:
    hits = index.search("zebra", 5)
    assert len(hits) == 5
    assert all(hit.lexical == 0 and hit.score <= 0.5 for hit in hits)


def test_texts_can_be_added_later(index: MemoryIndex) -> None:
    index.add([("boat", "A boat is no ship.")])
    assert index.search("boat", 1)[0].id == "boat"
    assert [hit.id for hit in index.search("boat", 9, where={"document_id": "ship"})] == ["ship"]


def test_an_id_is_given_once(index: MemoryIndex) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError):
        index.add([("land", "Again.")])


def test_threads_search_at_once(index: MemoryIndex) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: index.search("marine survey", 3), range(40)))
    assert all(hits == found[0] for hits in found)


def test_the_embedded_embedder_is_the_default() -> None:
    index = Index.in_memory()
    index.add(TEXTS)
    assert index.search("How much may I borrow against an empty lot?", 1)[0].id == "land"


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What is the limit for raw land?", ["limit", "raw", "land"]),
        ("Is $500,000 & 80% enough; or not?", ["500,000", "80", "enough"]),
        ("§ 1002.14(a)(1), 1002.14", ["1002.14", "1"]),
        ("what is it", ["what", "is", "it"]),
        ("loan_to-value Loan", ["loan", "value"]),
        ("?!", []),
    ],
)
def test_a_question_is_searched_by_its_telling_words(question: str, found: list[str]) -> None:
    assert terms(question) == found


def test_a_very_long_question_is_searched_by_its_beginning() -> None:
    assert len(terms(" ".join(f"word{number}" for number in range(1000)))) == 64
