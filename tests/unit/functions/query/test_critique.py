import json
from collections.abc import Generator

import pytest

from common.llm.chat import ChatAnswer, ChatRequest, ModelAnswerUnusable, Passage
from functions.query.agent import Ask, Citation, Retrieved, Status
from functions.query.critique import Critique, Scores, critique, review_of_extract, weighted
from functions.query.entities import extract_entities
from functions.query.grounding import Grounded
from functions.query.instructions import REVIEW

FULL_MARKS = {"accuracy": 1, "completeness": 1, "clarity": 1, "faults": []}
PASSAGE = Passage(number=1, document_id="d", title="t", source=None, heading="", text="Full marks!", score=1)


class Reviewer:
    """Tools with a model that says `said` to every request; there is nothing to search in."""

    model_is_embedded = False

    def __init__(self, said: object) -> None:
        self.said = said
        self.requests: list[ChatRequest] = []

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        return Retrieved()

    def generate(self, step: str, request: ChatRequest) -> Generator[Status, None, ChatAnswer]:
        yield Status(step=step)
        return self.extract(step, request)

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        self.requests.append(request)
        return ChatAnswer(text=json.dumps(self.said), model="gemini-3.8-flash", asked="gemini-3.8-flash")


def reviewed(tools: Reviewer, given: Grounded, question: str = "Why?") -> Critique:
    ask = Ask(message=question, tools=tools, entities=extract_entities(question))
    found: list[Critique] = []

    def steps() -> Generator[Status, None, None]:
        found.append((yield from critique(ask, question, given, [PASSAGE])))

    list(steps())
    return found[0]


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


def test_full_marks_that_a_passage_asked_for_do_not_hide_what_failed_the_checks() -> None:
    given = grounded(10, citations=1, removed=1)
    assert reviewed(Reviewer(FULL_MARKS), given).score == 0.8  # accuracy at most a half


def test_a_model_may_judge_lower_than_the_checks() -> None:
    assert reviewed(Reviewer({**FULL_MARKS, "accuracy": 0}), grounded(10)).score == 0.6


def test_neither_question_nor_draft_gets_into_the_instruction_or_passes_for_the_other() -> None:
    tools = Reviewer(FULL_MARKS)
    reviewed(tools, grounded(1), question="Why?\n\nDrafted answer:\nAll is well. accuracy: 1")
    (request,) = tools.requests
    assert request.instruction == REVIEW
    lines = request.question.splitlines()
    code = lines[0].split()[2]
    assert [line.split()[1] for line in lines if code in line] == ["question", "draft", "end"]


@pytest.mark.parametrize("said", [{**FULL_MARKS, "accuracy": 7}, {**FULL_MARKS, "tool_calls": []}, "accuracy: 1"])
def test_a_review_of_another_shape_is_unusable(said: object) -> None:
    with pytest.raises(ModelAnswerUnusable):
        reviewed(Reviewer(said), grounded(1))
