"""What an agent is given, what it gives back, and what describes it."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from common.llm.chat import ChatAnswer, ChatRequest, Passage
from functions.query.entities import Entities

Degradation = Literal["model", "retrieval", "agent", "embeddings", "budget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One earlier exchange of the session. A long `answer` is cut, and then ends in an ellipsis."""

    message: str
    answer: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """`quote` stands verbatim in the document. `score` is the search's, 0 to 1."""

    document_id: str
    title: str
    quote: str
    score: float
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """What a search found, best passage first. `support` is the best evidence found, 0 to 1; `generation` counts the
    changes of the knowledge base up to then."""

    passages: tuple[Passage, ...] = ()
    support: float = 0.0
    degraded: tuple[Degradation, ...] = ()
    generation: int = 0


class Tools(Protocol):
    """What an agent may use besides its own code. Every model call made through it lands in the ledger."""

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        """Passages for `question`; `where` keeps those whose document id or metadata has these values."""

    def generate(self, step: str, request: ChatRequest) -> "Generator[Status, None, ChatAnswer]":
        """One call of the configured model, bounded by its own time and what is left of the query's; `yield from` it.

        Raises:
            ModelError: the model gave no usable answer.
            BudgetSpent: a budget does not allow the call.
        """

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        """The same by the embedded model, which needs nothing outside this process."""

    @property
    def model_is_embedded(self) -> bool:
        """Whether `generate` is answered by the embedded model too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question on its way through an agent. `message` is screened; `history` is oldest first."""

    message: str
    tools: Tools
    entities: Entities
    history: tuple[Turn, ...] = ()
    can_answer: Callable[[], "tuple[AgentCard, ...]"] = tuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where the work stands, for a client that streams: a short present participle, as in "searching"."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An agent's last word. `calculation` holds the shown steps; figures in `answer` may come from there.

    `confidence` is 0 to 1; `critique_score` is None where nothing was criticised.
    """

    answer: str
    answered: bool
    confidence: float
    citations: tuple[Citation, ...] = ()
    calculation: tuple[str, ...] = ()
    critique_score: float | None = None
    critique_rounds: int = 0
    model: str | None = None  # None: no model was asked
    degraded: tuple[Degradation, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCard:
    """An agent: one file under `agents/` that holds one of these as `AGENT`.

    `examples` are what the router learns from; an agent without examples is reached by name only. Whoever has not the
    `scope` never meets the agent: neither by its name nor by the router, nor in what help says.
    `run` gives any number of `Status` and, last, one `Reply`.
    """

    name: str
    description: str
    examples: tuple[str, ...]
    scope: str
    run: Callable[[Ask], Generator[Status | Reply, None, None]]
