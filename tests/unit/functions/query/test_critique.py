import pytest

from functions.query.agent import Citation
from functions.query.critique import Scores, review_of_extract, weighted
from functions.query.grounding import Grounded


def grounded(words: int, *, citations: int = 1, removed: int = 0) -> Grounded:
    citation = Citation(document_id="d", title="t", quote="q", score=1.0)
    return Grounded(answer="word " * words, citations=(citation,) * citations, findings=(), removed=removed)


def test_the_score_weighs_accuracy_and_completeness_twice_as_much_as_clarity() -> None:
    assert weighted(Scores(accuracy=1, completeness=0.5, clarity=0, faults=[])) == 0.6


@pytest.mark.parametrize(
    ("given", "support", "score"),
    [
        (grounded(100), 0.5, 0.8),  # 0.4 x 1 + 0.4 x 0.5 + 0.2 x 1
        (grounded(300), 0.5, 0.7),  # twice as long as it should be: clarity 0.5
        (grounded(100, citations=1, removed=1), 0.5, 0.6),  # half of the statements failed
        (grounded(0, citations=0), 0.0, 0.0),
    ],
)
def test_an_extract_is_reviewed_by_what_can_be_counted(given: Grounded, support: float, score: float) -> None:
    assert review_of_extract(given, support).score == score
