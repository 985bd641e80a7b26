"""What a query takes and gives: the contract that clients rely on."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, RootModel, StringConstraints, computed_field

from common.settings import settings

# A JSON number, as clients expect one: up to 15 digits come through exactly, and the ledger keeps them all.
UsdNumber = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


def _message_schema(schema: dict[str, Any]) -> None:  # Any: a JSON schema
    """What `functions.query.screening.screen` asks of a message, for the description."""
    schema |= {"maxLength": settings().max_message_characters, "pattern": r"[\p{L}\p{N}]"}


def _agent_schema(schema: dict[str, Any]) -> None:
    """Which agents there are, for the description; which of them a principal may use is told when it asks."""
    from functions.query.agents import agents

    schema["anyOf"][0] = {"type": "string", "enum": sorted(agents())}


class QueryRequest(BaseModel):
    """A question. `agent` forces an agent by name; `stream` asks for Server-Sent Events; `dry_run` for what it would
    cost, which comes at once."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "not": {
                "properties": {"dry_run": {"const": True}, "stream": {"const": True}},
                "required": ["dry_run", "stream"],
            }
        },
    )

    message: str = Field(min_length=1, description="The question, in plain words.", json_schema_extra=_message_schema)
    session_id: Name | None = Field(None, description="Session of an earlier answer, to go on from it.")
    agent: Name | None = Field(
        None, description="Name of the agent that is to answer.", json_schema_extra=_agent_schema
    )
    stream: bool = Field(False, description="true: Server-Sent Events `status`, `delta`, `citation`, `done`.")
    dry_run: bool = Field(
        False, description="true: what the question would cost, without asking a model. Not with `stream`."
    )


class CitationModel(BaseModel):
    """`quote` stands verbatim in the document; `score` is the search's, 0 to 1."""

    document_id: str
    title: str
    quote: str
    score: float
    source: str | None


class CritiqueModel(BaseModel):
    """`score` is null where nothing was criticised."""

    score: float | None
    rounds: int


class UsageModel(BaseModel):
    """All model calls of the answer together; `cost_usd` is null when a price is not known."""

    model: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: UsdNumber | None


class QueryAnswer(BaseModel):
    """`answered` is false when the documents do not answer, or when the agent asks back."""

    answer: str
    answered: bool
    agent: str
    intent: str | None
    confidence: float
    citations: list[CitationModel]
    critique: CritiqueModel
    usage: UsageModel
    degraded: list[str]
    session_id: str
    request_id: str
    trace_id: str


class LaneModel(BaseModel):
    """What the question would cost on a lane, all its calls together.

    `input_tokens` and `usd_likely` are estimates, of one draft and its review; `output_tokens_at_most` and
    `usd_at_most` what rounds and repetitions can make of it. An amount is null where a price is not known; exactly 0
    where no paid model would be asked.
    """

    lane: Literal["default", "cheap"]
    model: str
    input_tokens: int
    output_tokens_at_most: int
    usd_likely: UsdNumber | None
    usd_at_most: UsdNumber | None

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorators on properties
    @property
    def priced(self) -> bool:
        """Whether the prices are known."""
        return self.usd_likely is not None and self.usd_at_most is not None


class BudgetModel(BaseModel):
    """How far the budgets are spent that the question counts against: "soft", the cheap lane would be asked; "hard",
    an earlier or an extractive answer would be given; "refused", none. `resets_at` is null where it is "open"."""

    state: Literal["open", "soft", "hard", "refused"]
    resets_at: datetime | None


class QueryPreview(BaseModel):
    """What a question would cost. `agent` would be asked first; `passages` is how many were found for it."""

    dry_run: Literal[True] = True
    agent: str
    intent: str | None
    passages: int
    lanes: list[LaneModel]
    budget: BudgetModel
    request_id: str
    trace_id: str


class QueryResult(RootModel[QueryAnswer | QueryPreview]):
    """An answer; for a `dry_run` a preview of its cost."""


class StatusEvent(BaseModel):
    step: str


class DeltaEvent(BaseModel):
    text: str
