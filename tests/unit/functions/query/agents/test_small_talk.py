from collections.abc import Generator, Mapping

import pytest

from common.llm.chat import ChatAnswer, ChatRequest
from functions.query.agent import AgentCard, Ask, Reply, Retrieved, Status
from functions.query.agents import agents
from functions.query.agents.greeting import AGENT as GREETING
from functions.query.agents.help import AGENT as HELP
from functions.query.entities import Entities


class NoTools:
    """Neither greeting nor help searches or asks a model."""

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        raise AssertionError

    def generate(self, step: str, request: ChatRequest) -> Generator[Status, None, ChatAnswer]:
        raise AssertionError("no model is asked")

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        raise AssertionError("no model is asked")

    @property
    def model_is_embedded(self) -> bool:
        return True


def said(card: AgentCard, message: str, known: Mapping[str, AgentCard] | None = None) -> Reply:
    cards = tuple((known or {}).values())
    ask = Ask(message=message, tools=NoTools(), entities=Entities(), can_answer=lambda: cards)
    (reply,) = card.run(ask)
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize(
    ("message", "start"),
    [
        ("Hello there", "Hello."),
        ("good evening", "Hello."),
        ("thanks, bye", "You're welcome."),
        ("Thank you!", "You're welcome."),
        ("Goodbye", "Goodbye."),
        ("see you tomorrow", "Goodbye."),
    ],
)
def test_a_greeting_is_answered_in_kind(message: str, start: str) -> None:
    reply = said(GREETING, message)
    assert reply.answer.startswith(start)
    assert reply.answered


def test_help_names_every_agent_that_the_router_can_reach_with_examples() -> None:
    reply = said(HELP, "what can you do?", agents())
    for card in agents().values():
        if card.examples:
            assert f"- {card.name}: {card.description}" in reply.answer
            assert f'"{card.examples[0]}"' in reply.answer


def test_help_leaves_out_agents_that_are_reached_by_name_only() -> None:
    hidden = AgentCard(name="hidden", description="Does a secret thing.", examples=(), scope="query:ask", run=HELP.run)
    assert "secret" not in said(HELP, "help", {"hidden": hidden}).answer


def test_help_says_that_it_decides_nothing() -> None:
    assert "neither approve nor decline" in said(HELP, "help").answer
