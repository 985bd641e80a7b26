"""What a question would cost, without asking a model: the search is made, the prompts are written, nothing is sent.

What is likely: one draft and its review, on the passages that the search found, with 4 characters a token
(`CHARACTERS_A_TOKEN`), an answer of `DRAFT_TOKENS` and a review of `REVIEW_TOKENS`, without thinking. At most: every
round of draft and review, each asked as often as after outages, every answer of full length, and a token for each byte
that is sent, which is what the governor holds. A paid embedder is not asked, so the passages may be others then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from common.costs.prices import EMBEDDED, cost_usd, upper_bound_usd
from common.llm.chat import (
    CHARACTERS_A_TOKEN,
    ChatModel,
    ChatRequest,
    Lane,
    Passage,
    TokenUsage,
    estimated_tokens,
)
from common.llm.prompt import likely_tokens, most_tokens
from common.settings import Settings
from functions.query.agent import Ask
from functions.query.agents.knowledge import in_context
from functions.query.critique import REVIEW_OUTPUT_TOKENS, review_request
from functions.query.models import LaneModel
from functions.query.planner import draft_request

DRAFT_TOKENS = 300  # of a usual draft as JSON: some 100 words and two quotes
REVIEW_TOKENS = 60
EMBEDDING_FRAMING = 64  # bytes of what an embedder's adapter puts before a text, generously
LANES: tuple[Lane, ...] = ("default", "cheap")

Reads = Literal["surely", "perhaps", "not"]
"""Whether a model is asked about documents: surely where they are searched first, perhaps where an agent in code may
leave the question to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A call that would be made: tokens in and out, as is likely and at most."""

    input_tokens: int
    output_tokens: int
    most_input_tokens: int
    most_output_tokens: int


def preview_lanes(
    ask: Ask, model: ChatModel, settings: Settings, texts: Callable[[str], Sequence[str]], *, reads: Reads, at: datetime
) -> tuple[list[LaneModel], int]:
    """The cost on each lane, and how many passages were found; `texts` is what an embedder is sent for a question."""
    if reads == "not":
        return [_free(model, lane) for lane in LANES], 0
    question = in_context(ask)
    passages = ask.tools.retrieve(question).passages
    if model.provider == EMBEDDED:
        return [_free(model, lane) for lane in LANES], len(passages)
    calls = _calls(ask, model, settings, passages) if passages else []
    likely = calls if reads == "surely" else []
    at_most = calls * settings.critique_rounds * settings.model_attempts
    lanes = [_lane(model, lane, likely, at_most, at) for lane in LANES]
    if settings.embedding_model != EMBEDDED:
        embedded = texts(question)
        some = embedded if reads == "surely" else ()
        all_of_them = [*embedded] * settings.model_attempts
        lanes = [_with_embedding(one, model.provider, settings.embedding_model, some, all_of_them, at) for one in lanes]
    return lanes, len(passages)


def _calls(ask: Ask, model: ChatModel, settings: Settings, passages: tuple[Passage, ...]) -> list[_Call]:
    """The calls of one round: a draft, and its review."""
    question = in_context(ask)
    draft = _sent(model, draft_request(ask, question, passages, (), max_output_tokens=settings.max_output_tokens))
    review = _sent(model, review_request(question, "", passages))
    # What the model wrote comes back in the next prompt, with a token for each of its bytes.
    drafted = settings.max_output_tokens * CHARACTERS_A_TOKEN
    faults = REVIEW_OUTPUT_TOKENS * CHARACTERS_A_TOKEN
    drafting = _Call(
        input_tokens=likely_tokens(draft),
        output_tokens=DRAFT_TOKENS,
        most_input_tokens=most_tokens(draft) + faults,
        most_output_tokens=settings.max_output_tokens,
    )
    reviewing = _Call(
        input_tokens=likely_tokens(review) + DRAFT_TOKENS,
        output_tokens=REVIEW_TOKENS,
        most_input_tokens=most_tokens(review) + drafted,
        most_output_tokens=REVIEW_OUTPUT_TOKENS,
    )
    return [drafting, reviewing]


def _sent(model: ChatModel, request: ChatRequest) -> ChatRequest:
    from common.llm.shield import ShieldedModel

    return model.sent(request) if isinstance(model, ShieldedModel) else request


def _lane(model: ChatModel, lane: Lane, likely: Sequence[_Call], at_most: Sequence[_Call], at: datetime) -> LaneModel:
    provider, name = model.provider, model.model_on(lane)
    costs = [
        cost_usd(
            TokenUsage(input_tokens=one.input_tokens, output_tokens=one.output_tokens),
            provider=provider, model=name, at=at,
        )
        for one in likely
    ]  # fmt: skip
    bounds = [upper_bound_usd(provider, name, at, one.most_input_tokens, one.most_output_tokens) for one in at_most]
    return LaneModel(
        lane=lane,
        model=name,
        input_tokens=sum(one.input_tokens for one in likely),
        output_tokens_at_most=sum(one.most_output_tokens for one in at_most),
        usd_likely=_sum(costs),
        usd_at_most=_sum(bounds),
    )


def _free(model: ChatModel, lane: Lane) -> LaneModel:
    """The embedded model's, or an agent's that works in code: it costs nothing, exactly."""
    return LaneModel(
        lane=lane,
        model=model.model_on(lane),
        input_tokens=0,
        output_tokens_at_most=0,
        usd_likely=Decimal(0),
        usd_at_most=Decimal(0),
    )


def _with_embedding(
    lane: LaneModel, provider: str, embedder: str, likely: Sequence[str], at_most: Sequence[str], at: datetime
) -> LaneModel:
    """`lane` with what embedding the question costs; a text is a call, as often as after outages at most."""
    tokens = sum(map(estimated_tokens, likely))
    cost = cost_usd(TokenUsage(input_tokens=tokens), provider=provider, model=embedder, at=at)
    bounds = [upper_bound_usd(provider, embedder, at, len(text.encode()) + EMBEDDING_FRAMING, 0) for text in at_most]
    return lane.model_copy(
        update={
            "input_tokens": lane.input_tokens + tokens,
            "usd_likely": _sum([lane.usd_likely, cost]),
            "usd_at_most": _sum([lane.usd_at_most, *bounds]),
        }
    )


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """None where one of them is not known."""
    known = [one for one in amounts if one is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None
