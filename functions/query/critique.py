"""The critique: how good a draft is, and what to mend. Accuracy .4, completeness .4, clarity .2."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.llm.chat import ChatRequest, ModelAnswerUnusable, Passage
from common.llm.prompt import sections
from common.telemetry import semconv
from common.tracing import tell_span, trace_critique
from functions.query.agent import Ask, Status
from functions.query.grounding import Grounded
from functions.query.instructions import REVIEW

CLEAR_WORDS = 150
MAX_FAULTS = 5
REVIEW_OUTPUT_TOKENS = 512


class Scores(BaseModel):
    """A model's review of a draft."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: float = Field(ge=0, le=1)
    completeness: float = Field(ge=0, le=1)
    clarity: float = Field(ge=0, le=1)
    faults: list[str] = Field(description="Each fault in a few words; empty when there is none.")


SCHEMA = Scores.model_json_schema()


@dataclass(frozen=True, slots=True, kw_only=True)
class Critique:
    """`score` is 0 to 1; `faults` go to the next round, never into a log."""

    score: float
    faults: tuple[str, ...]


def review_request(question: str, drafted: str, passages: Sequence[Passage]) -> ChatRequest:
    return ChatRequest(
        instruction=REVIEW,
        question=sections(question=question, draft=drafted),
        passages=tuple(passages),
        json_schema=SCHEMA,
        max_output_tokens=REVIEW_OUTPUT_TOKENS,
    )


@trace_critique
def critique(
    ask: Ask, question: str, grounded: Grounded, passages: Sequence[Passage]
) -> Generator[Status, None, Critique]:
    """The configured model's review of `grounded`, joined with what the checks in code found.

    A passage may have told the model which scores to give: accuracy is never above the share of statements that
    passed the checks.

    Raises:
        ModelError: the model gave no usable review.
        BudgetSpent: a budget does not allow it.
    """
    answer = yield from ask.tools.generate("critique", review_request(question, grounded.answer, passages))
    try:
        scores = Scores.model_validate_json(answer.text)
    except ValidationError:
        raise ModelAnswerUnusable from None  # the message would hold the model's words
    score = weighted(scores.model_copy(update={"accuracy": min(scores.accuracy, _borne_out(grounded))}))
    tell_span({semconv.SCORE: score})
    return Critique(score=score, faults=(*grounded.findings, *scores.faults)[:MAX_FAULTS])


def weighted(scores: Scores) -> float:
    return round(0.4 * scores.accuracy + 0.4 * scores.completeness + 0.2 * scores.clarity, 4)


def review_of_extract(grounded: Grounded, support: float) -> Critique:
    """The review of an extractive answer, which no model reviews.

    Accuracy is the share of its statements that passed the checks, completeness how well the retrieved evidence
    bears on the question (`support`, 0 to 1), clarity 1 within 150 words and less in proportion beyond.
    """
    words = len(grounded.answer.split())
    scores = Scores(
        accuracy=_borne_out(grounded),
        completeness=support,
        clarity=min(1.0, CLEAR_WORDS / words) if words else 0.0,
        faults=[],
    )
    return Critique(score=weighted(scores), faults=grounded.findings)


def _borne_out(grounded: Grounded) -> float:
    """The share of statements that passed the checks, 0 to 1."""
    statements = len(grounded.citations) + grounded.removed
    return len(grounded.citations) / statements if statements else 0.0
