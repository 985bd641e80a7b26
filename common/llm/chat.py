"""The chat-model seam: what the product asks of a model, whichever product stands behind it."""

import math
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Literal, Protocol

from common.problems import AssistantError

Lane = Literal["default", "cheap"]

CHARACTERS_A_TOKEN = 4  # English prose; close enough for a budget, and no tokenizer is loaded for it


def estimated_tokens(text: str) -> int:
    """About how many tokens `text` has."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A sentence of a passage, as `passage.text[start:end]`, and how likely it bears the answer, 0 to 1."""

    start: int
    end: int
    support: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of retrieved text, numbered from 1 within one request. It is data, never instructions.

    `evidence` is in falling order of support; a model that writes its own text may ignore it.
    """

    number: int
    document_id: str
    title: str
    source: str | None
    heading: str  # path of headings above the text, "" at the top
    text: str  # verbatim from the document
    score: float  # of the search, 0 to 1
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one call. `cached_input_tokens` is a part of `input_tokens`; `thinking_tokens` is not a part
    of `output_tokens` here and is billed at the output price; single counts that the model left out are 0."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    tool_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One call: `instruction` is ours, `history` and `question` are the user's, `passages` are data.

    `json_schema` asks for a JSON document of that shape. `timeout_seconds` bounds the call, retries included.
    `conversation` and `meter` are never sent: the one tells the PII shield which calls belong together ("": this one
    stands alone), the other is told of each attempt.
    """

    instruction: str
    question: str
    history: tuple[tuple[Literal["user", "model"], str], ...] = ()
    passages: tuple[Passage, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    max_output_tokens: int = 1024
    temperature: float = 0.0
    timeout_seconds: float = 20.0
    lane: Lane = "default"
    conversation: str = ""
    meter: "Meter | None" = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """What came back. `model` is the model that answered (Gemini's `modelVersion`), `asked` the one asked for;
    `usage` is None where the provider told no counts at all, so that nobody knows what the call cost."""

    text: str
    model: str
    asked: str
    usage: TokenUsage | None = field(default_factory=TokenUsage)
    finish_reason: str = "STOP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChunk:
    """A piece of a streamed answer: `text` is new text; `answer` comes once, with the last chunk, whole."""

    text: str
    answer: ChatAnswer | None = None


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One call over the network, under way. `answer` is what came back, as soon as it is there."""

    answer: ChatAnswer | None = None


class Meter(Protocol):
    """Told of each attempt at a paid call, so that none is made that must not be, and none is forgotten."""

    def attempt(self, request: ChatRequest, *, provider: str, model: str) -> AbstractContextManager[Attempt]:
        """Around one attempt at `request`, which is what is sent, placeholders for personal data included.

        Entering may raise what forbids the call. An error of the call passes through.
        """


class ChatModel(Protocol):
    """A model that answers. Safe to use from several threads.

    `generate` and `stream` raise a `ModelError`; a stream may do so after it gave chunks.
    """

    @property
    def provider(self) -> str:
        """`gen_ai.provider.name` of the OpenTelemetry conventions, or "embedded"."""

    @property
    def model(self) -> str:
        """The model asked for on the default lane."""

    def model_on(self, lane: Lane) -> str:
        """The model asked for on `lane`."""

    def generate(self, request: ChatRequest) -> ChatAnswer: ...

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]: ...


class ModelError(AssistantError):
    """The model gave no usable answer. Queries answer without it and say so (`degraded: ["model"]`).

    `answer` is there when the provider billed the call all the same: its `usage`, `model` and `asked` belong in
    the ledger, its text is empty. `is_unbilled` tells that it was surely not billed: refused with a status (Google
    charges for no request that fails so, https://ai.google.dev/gemini-api/docs/billing), or never sent. Without
    either nobody knows. `retry_after_seconds` is the wait that the provider asked for. `is_outage` tells whether the
    provider failed, so that asking again later may help, or did its part.
    """

    type = "/problems/model-unavailable"
    title = "The model is not available"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    is_outage: ClassVar[bool] = True

    def __init__(
        self,
        detail: str | None = None,
        *,
        answer: ChatAnswer | None = None,
        is_unbilled: bool = False,
        retry_after_seconds: float | None = None,
    ) -> None:
        wait = {} if retry_after_seconds is None else {"Retry-After": str(math.ceil(retry_after_seconds))}
        super().__init__(detail, headers=wait)
        self.answer = answer
        self.is_unbilled = is_unbilled
        self.retry_after_seconds = retry_after_seconds


class ModelTimeout(ModelError):
    """The model did not answer within the request's `timeout_seconds`."""

    type = "/problems/model-timeout"
    title = "The model took too long to answer"
    status = HTTPStatus.GATEWAY_TIMEOUT


class ModelOverQuota(ModelError):
    """The model's provider refuses further calls for now (429)."""

    type = "/problems/model-over-quota"
    title = "The model's quota is used up for now"


class ModelBlocked(ModelError):
    """The provider refused the prompt or the answer by its content rules; asking again does not help."""

    type = "/problems/model-blocked"
    title = "The model refused to answer"
    is_outage = False


class ModelRefusedCredentials(ModelError):
    """The provider does not accept our key or account, or the model's name (400, 401, 403, 404)."""

    type = "/problems/model-credentials"
    title = "The model's provider does not accept this configuration"
    is_outage = False


class ModelAnswerUnusable(ModelError):
    """The answer is empty, cut off, or not of the asked-for JSON shape. It has been billed all the same."""

    type = "/problems/model-answer-unusable"
    title = "The model's answer cannot be used"
    is_outage = False
