"""A conversation with the collateral agent, over documents that are given or over the sample knowledge base."""

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.llm.chat import ChatAnswer, ChatRequest, Passage
from functions.query.agent import Ask, Reply, Retrieved, Status, Turn
from functions.query.agents.collateral import run
from functions.query.entities import extract_entities

KNOWLEDGE = Path(__file__).parents[5] / "knowledge"


@dataclass(kw_only=True)
class Shelf:
    """`Tools` over whole documents: {id: (topic, text)}. It records what it was asked and has no model."""

    documents: Mapping[str, tuple[str, str]]
    asked: list[tuple[str, dict[str, str] | None]] = field(default_factory=list)

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        self.asked.append((question, where))
        found = [(name, text) for name, (topic, text) in self.documents.items() if where in (None, {"topic": topic})]
        passages = tuple(
            Passage(number=number, document_id=name, title=name, source=None, heading="", text=text, score=0.5)
            for number, (name, text) in enumerate(found, start=1)
        )
        return Retrieved(passages=passages, support=0.9 if passages else 0.0)

    def generate(self, step: str, request: ChatRequest) -> Generator[Status, None, ChatAnswer]:
        raise AssertionError("no model is asked")

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        raise AssertionError("no model is asked")

    @property
    def model_is_embedded(self) -> bool:
        return True


def sample_documents() -> dict[str, tuple[str, str]]:
    """The sample knowledge base, each document as one passage without its front matter."""
    documents = {}
    for path in sorted(KNOWLEDGE.glob("*.md")):
        _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
        topic = re.search(r"^topic: (\S+)", front, re.MULTILINE)
        documents[path.stem] = (topic[1] if topic else "", body)
    return documents


class Desk:
    """Asks one message after the other, each with the turns before it."""

    def __init__(self, documents: Mapping[str, tuple[str, str]] | None = None) -> None:
        self.shelf = Shelf(documents=sample_documents() if documents is None else documents)
        self.turns: tuple[Turn, ...] = ()

    def ask(self, message: str) -> Reply:
        ask = Ask(message=message, tools=self.shelf, entities=extract_entities(message), history=self.turns)
        *before, reply = list(run(ask))
        assert isinstance(reply, Reply)
        assert all(isinstance(one, Status) for one in before)
        self.turns += (Turn(message=message, answer=reply.answer, agent="collateral"),)
        return reply

    def heard(self, message: str, agent: str) -> None:
        """A turn that another agent answered."""
        self.turns += (Turn(message=message, answer="...", agent=agent),)


def asked(*messages: str) -> Reply:
    """The reply to the last of `messages`."""
    desk = Desk()
    replies: Sequence[Reply] = [desk.ask(message) for message in messages]
    return replies[-1]
