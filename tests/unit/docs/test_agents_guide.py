"""The agent in docs/agents.md is code that works."""

import re
from collections.abc import Generator
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from common.llm.chat import ChatAnswer, ChatRequest, Evidence, ModelError, Passage
from functions.query.agent import AgentCard, Ask, Reply, Retrieved, Status
from functions.query.agents import agents
from functions.query.entities import extract_entities
from functions.query.grounding import find_quote, hold
from functions.query.routing import Router

GUIDE = Path(__file__).parents[3] / "docs" / "agents.md"
RULE = "A filed financing statement is effective for five years after the date of filing (UCC 9-515(a))."
QUESTION = "When will the financing statement lapse that was filed on 2023-04-17?"


class ToolsOnPaper:
    """`Tools` over given passages, without a model."""

    model_is_embedded = True

    def __init__(self, *passages: Passage) -> None:
        self._passages = passages
        self.searches: list[dict[str, str] | None] = []

    def retrieve(self, question: str, *, where: dict[str, str] | None = None) -> Retrieved:
        self.searches.append(where)
        return Retrieved(passages=self._passages) if self._passages else Retrieved(degraded=("retrieval",))

    def generate(self, step: str, request: ChatRequest) -> Generator[Status, None, ChatAnswer]:
        yield Status(step=step)
        raise ModelError

    def extract(self, step: str, request: ChatRequest) -> ChatAnswer:
        raise ModelError


PASSAGE = Passage(
    number=1,
    document_id="ucc-continuation-and-lapse",
    title="UCC financing statements: continuation and lapse",
    source="UCC 9-515",
    heading="How long a filing lasts",
    text=f"{RULE} A filing for a public-finance transaction is effective for 30 years.",
    score=0.9,
    evidence=(Evidence(start=0, end=len(RULE), support=0.9),),
)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    (block,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    made = ModuleType("ucc_lapse")
    exec(compile(block, str(GUIDE), "exec"), made.__dict__)
    return made


@pytest.fixture(scope="module")
def card(module: ModuleType) -> AgentCard:
    assert isinstance(module.AGENT, AgentCard)
    return module.AGENT


def ask(card: AgentCard, message: str, tools: ToolsOnPaper) -> tuple[list[Status], Reply]:
    steps = list(card.run(Ask(message=message, tools=tools, entities=extract_entities(message))))
    last = steps.pop()
    assert isinstance(last, Reply)
    return [step for step in steps if isinstance(step, Status)], last


def test_the_agent_of_the_guide_does_not_exist_yet(card: AgentCard) -> None:
    assert card.name not in agents()


def test_its_examples_route_a_new_message_to_it_among_all_agents(card: AgentCard) -> None:
    known = {one.name: one.examples for one in agents().values() if one.examples}
    router = Router.from_examples({**known, card.name: card.examples})
    assert router.route(QUESTION).intent == card.name
    assert router.route("Hello there!").intent == "greeting"


def test_it_shows_the_calculation_and_quotes_the_rule(card: AgentCard) -> None:
    tools = ToolsOnPaper(PASSAGE)
    statuses, reply = ask(card, QUESTION, tools)
    assert statuses == [Status(step="searching")]
    assert tools.searches == [{"topic": "ucc"}]
    assert (reply.answered, reply.calculation) == (True, ("2023-04-17 + 5 years = 2028-04-17",))
    assert [citation.quote for citation in reply.citations] == [RULE]
    assert find_quote(reply.citations[0].quote, PASSAGE.text) == RULE


def test_all_its_figures_pass_the_figure_guard(card: AgentCard) -> None:
    _, reply = ask(card, QUESTION, ToolsOnPaper(PASSAGE))
    assert hold(reply, QUESTION, [PASSAGE]) == reply


def test_without_a_search_it_still_calculates_and_passes_on_what_is_missing(card: AgentCard) -> None:
    _, reply = ask(card, QUESTION, ToolsOnPaper())
    assert (reply.answered, reply.citations, set(reply.degraded)) == (True, (), {"retrieval"})
    assert hold(reply, QUESTION, [PASSAGE]) == reply


@pytest.mark.parametrize("message", ["When does it lapse?", "Filed 2022-02-30", "Filed 2021-01-01 or 2021-01-02"])
def test_it_asks_back_for_a_date_that_is_missing_impossible_or_not_the_only_one(
    card: AgentCard, module: ModuleType, message: str
) -> None:
    tools = ToolsOnPaper(PASSAGE)
    _, reply = ask(card, message, tools)
    assert (reply.answered, reply.answer) == (False, module.ASKS_BACK)
    assert tools.searches == []


def test_a_filing_on_29_february_lapses_on_the_28th(module: ModuleType) -> None:
    assert module.lapse_date(date(2024, 2, 29)) == date(2029, 2, 28)
