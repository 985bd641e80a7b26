"""The planner: asks the model for a draft with numbered citations, and reads what came back."""

from collections.abc import Generator, Sequence

from pydantic import ValidationError

from common.llm.chat import ChatAnswer, ChatRequest, ModelAnswerUnusable, Passage
from common.llm.draft import Draft
from common.llm.prompt import sections
from common.tracing import trace_planner
from functions.query.agent import Ask, Status
from functions.query.instructions import DRAFT, MEND

SCHEMA = Draft.model_json_schema()


def draft_request(
    ask: Ask, question: str, passages: Sequence[Passage], findings: Sequence[str], *, max_output_tokens: int
) -> ChatRequest:
    """`findings` are what was wrong with the draft before this one; the next round is to mend them.

    They hold words of the model, which may be a document's: so they go with the question, never into the instruction.
    """
    history = tuple(part for turn in ask.history for part in (("user", turn.message), ("model", turn.answer)))
    return ChatRequest(
        instruction=f"{DRAFT}\n{MEND}" if findings else DRAFT,
        question=sections(question=question, faults=_listed(findings)) if findings else question,
        history=history,  # type: ignore[arg-type]  # mypy widens the two literals to str
        passages=tuple(passages),
        json_schema=SCHEMA,
        max_output_tokens=max_output_tokens,
    )


def _listed(findings: Sequence[str]) -> str:
    """One line each, whatever is in them."""
    return "\n".join(f"- {' '.join(finding.split())}" for finding in findings)


@trace_planner
def draft(ask: Ask, request: ChatRequest) -> Generator[Status, None, tuple[Draft, ChatAnswer]]:
    """The model's draft.

    Raises:
        ModelError: the model gave no usable answer, or none of the asked-for shape.
        BudgetSpent: a budget does not allow the call.
    """
    answer = yield from ask.tools.generate("draft", request)
    return read_draft(answer), answer


def read_draft(answer: ChatAnswer) -> Draft:
    """The draft in `answer`.

    Raises:
        ModelAnswerUnusable: it is no JSON of the shape of `Draft`.
    """
    try:
        return Draft.model_validate_json(answer.text)
    except ValidationError:
        raise ModelAnswerUnusable from None  # the message would hold the model's words
