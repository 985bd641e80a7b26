"""The knowledge agent with a scripted model and search."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from common.llm.chat import ChatAnswer, ChatRequest, ModelBlocked, ModelError, ModelTimeout, Passage
from functions.query.agent import Ask, Degradation, Reply, Retrieved, Status, Turn
from functions.query.agents import knowledge
from functions.query.entities import extract_entities

PASSAGE = Passage(
    number=1, document_id="limits", title="Limits", source="12 CFR 34", heading="", score=0.9,
    text="The limit for raw land is 65 percent.",
)  # fmt: skip
GOOD = {
    "answered": True,
    "answer": "The limit is 65 % [1].",
    "citations": [{"passage": 1, "quote": "limit for raw land is 65 percent"}],
}
INVENTED = {**GOOD, "answer": "The limit is 99 % [1]."}
UNANSWERED = {"answered": False, "answer": "The passages do not say.", "citations": []}


def scores(value: float, *faults: str) -> dict[str, Any]:
    return {"accuracy": value, "completeness": value, "clarity": value, "faults": list(faults)}


class ScriptedTools:
    """Gives the scripted model answers in turn; the embedded model always gives a good extract."""

    def __init__(self, *script: dict[str, Any] | str | ModelError, embedded: bool = False, **found: Any) -> None:
        self.script = list(script)
        self.model_is_embedded = embedded
        self.requests: list[tuple[str, ChatRequest]] = []
        self.questions: list[str] = []
        self.found = Retrieved(**{"passages": (PASSAGE,), "support": 0.7, **found})

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        self.questions.append(question)
        return self.found

    def generate(self, step: str, request: ChatRequest) -> Generator[Status, None, ChatAnswer]:
        self.requests.append((step, request))
        yield Status(step=step)
        said = self.script.pop(0)
        if isinstance(said, ModelError):
            raise said
        name = "extractive" if self.model_is_embedded else "gemini-3.8-flash"
        return ChatAnswer(text=said if isinstance(said, str) else json.dumps(said), model=name, asked=name)

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        return ChatAnswer(text=json.dumps(GOOD), model="extractive", asked="extractive")


def run(tools: ScriptedTools, message: str = "What is the limit for raw land?", *history: Turn) -> Reply:
    ask = Ask(message=message, tools=tools, entities=extract_entities(message), history=history)
    last = list(knowledge.run(ask))[-1]
    assert isinstance(last, Reply)
    return last


def test_a_draft_that_the_review_accepts_is_the_answer() -> None:
    tools = ScriptedTools(GOOD, scores(0.9))
    reply = run(tools)
    assert (reply.answer, reply.answered, reply.critique_score, reply.critique_rounds) == (
        "The limit is 65 % [1].", True, 0.9, 1,
    )  # fmt: skip
    assert reply.citations[0].quote == "limit for raw land is 65 percent"
    assert reply.confidence == 0.9
    assert [step for step, _ in tools.requests] == ["draft", "critique"]


def test_a_draft_below_the_threshold_is_mended_in_a_second_round() -> None:
    tools = ScriptedTools(GOOD, scores(0.5, "too short"), GOOD, scores(1.0))
    reply = run(tools)
    assert (reply.critique_score, reply.critique_rounds) == (1.0, 2)
    assert "- too short" in tools.requests[2][1].question


def test_there_are_at_most_two_rounds_and_a_low_score_is_told() -> None:
    reply = run(ScriptedTools(GOOD, scores(0.5), GOOD, scores(0.6)))
    assert (reply.critique_score, reply.critique_rounds) == (0.6, 2)
    assert knowledge.BELOW_REVIEW in reply.answer


def test_an_invented_figure_sends_the_draft_back_and_never_gets_out() -> None:
    tools = ScriptedTools(INVENTED, GOOD, scores(0.9))
    reply = run(tools)
    assert "99" not in reply.answer
    assert reply.critique_rounds == 2
    assert "99 percent" in tools.requests[1][1].question


def test_what_still_fails_after_the_last_round_is_withheld_and_the_answer_says_so() -> None:
    reply = run(ScriptedTools(INVENTED, INVENTED))
    assert (reply.answered, reply.citations) == (False, ())
    assert "withheld" in reply.answer


def test_one_statement_that_fails_is_left_out_and_the_answer_says_so() -> None:
    half = {**GOOD, "answer": "The limit is 65 % [1]. It was 99 % [1]."}
    reply = run(ScriptedTools(half, scores(1.0), half, scores(1.0)))
    assert reply.answer.startswith("The limit is 65 % [1].")
    assert "Left out: one statement" in reply.answer


def test_what_the_documents_do_not_answer_is_said_without_a_citation() -> None:
    reply = run(ScriptedTools(UNANSWERED))
    assert (reply.answered, reply.citations) == (False, ())
    assert reply.answer.startswith(knowledge.NOT_FOUND)
    assert "Limits" in reply.answer


@pytest.mark.parametrize("error", [ModelError(), ModelTimeout(), ModelBlocked()])
def test_without_the_model_the_extract_answers_and_says_so(error: ModelError) -> None:
    reply = run(ScriptedTools(error))
    assert (reply.answered, reply.model, reply.degraded) == (True, "extractive", ("model",))


@pytest.mark.parametrize("text", ["no json", "{}", '{"answered": true}'])
def test_a_draft_of_another_shape_counts_as_no_answer(text: str) -> None:
    assert run(ScriptedTools(text)).degraded == ("model",)


def test_a_model_that_fails_in_the_review_leaves_its_checked_draft() -> None:
    reply = run(ScriptedTools(GOOD, ModelTimeout()))
    assert (reply.answered, reply.model, reply.degraded) == (True, "gemini-3.8-flash", ("model",))
    assert reply.critique_score is None


def test_a_review_of_another_shape_leaves_the_checked_draft() -> None:
    reply = run(ScriptedTools(GOOD, {"accuracy": 3}))
    assert (reply.answered, reply.critique_score, reply.degraded) == (True, None, ("model",))


def test_the_embedded_model_is_asked_once_and_reviewed_by_what_can_be_counted() -> None:
    tools = ScriptedTools(GOOD, embedded=True)
    reply = run(tools)
    assert [step for step, _ in tools.requests] == ["draft"]
    assert (reply.model, reply.critique_rounds, reply.degraded) == ("extractive", 1, ())
    assert reply.critique_score == 0.88  # 0.4 + 0.4 x 0.7 + 0.2
    assert reply.confidence == 0.7


@pytest.mark.parametrize(("degraded", "says"), [((), knowledge.NOT_FOUND), (("retrieval",), knowledge.NO_SEARCH)])
def test_nothing_found_and_no_search_are_told_apart(degraded: tuple[Degradation, ...], says: str) -> None:
    tools = ScriptedTools(passages=(), support=0.0, degraded=degraded)
    reply = run(tools)
    assert (reply.answer, reply.answered, reply.degraded) == (says, False, degraded)
    assert tools.requests == []


def test_a_follow_up_is_searched_with_the_question_before_it() -> None:
    tools = ScriptedTools(GOOD, scores(1.0))
    run(tools, "and for raw land?", Turn(message="What is the limit for land development?", answer="", agent="k"))
    assert tools.questions == ["What is the limit for land development?\nand for raw land?"]


def test_a_question_of_its_own_is_searched_as_it_is() -> None:
    tools = ScriptedTools(GOOD, scores(1.0))
    run(tools, "When does a financing statement lapse?", Turn(message="What is LTV?", answer="", agent="k"))
    assert tools.questions == ["When does a financing statement lapse?"]


def test_earlier_turns_go_to_the_model_as_turns() -> None:
    tools = ScriptedTools(GOOD, scores(1.0))
    run(tools, "When does a statement lapse?", Turn(message="What is LTV?", answer="Loan to value.", agent="k"))
    assert tools.requests[0][1].history == (("user", "What is LTV?"), ("model", "Loan to value."))
