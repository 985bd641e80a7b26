"""A chat model's calls, each attempt held of the budgets before it is made and noted after it."""

from collections.abc import Generator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select

from common.costs import budgets, governor
from common.costs.budgets import BudgetFile
from common.costs.chats import ChatBill
from common.costs.governor import BudgetSpent, lapse
from common.costs.ledger import add
from common.costs.prices import upper_bound_usd
from common.database.engine import read, write
from common.database.tables import ledger_entries, open_calls
from common.llm.chat import (
    ChatAnswer,
    ChatChunk,
    ChatRequest,
    Lane,
    ModelAnswerUnusable,
    ModelBlocked,
    ModelError,
    ModelOverQuota,
    ModelTimeout,
    TokenUsage,
)
from common.llm.metering import MeteredModel
from common.llm.prompt import most_tokens
from common.llm.resilience import Policy, ResilientModel
from common.llm.shield import ShieldedModel
from common.request_head import Correlation
from tests.budget_files import budget
from tests.key_rings import ring_over
from tests.tenants import ACME

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
USAGE = TokenUsage(input_tokens=1_000_000, output_tokens=100_000)
COST = Decimal("1.125")  # 1 M at 0.75 and 0.1 M at 3.75 USD a million
ANSWER = ChatAnswer(text="Fine.", model="gemini-3.8-flash", asked="gemini-3.8-flash", usage=USAGE)
REQUEST = ChatRequest(instruction="Be brief.", question="What is the limit? Ask jane@roe.example.", conversation="c1")


class Scripted:
    """A `ChatModel` that fails as scripted, then answers; `opened` is what was held when it was asked."""

    provider = "gcp.gemini"
    model = "gemini-3.8-flash"

    def __init__(self, database: Engine, *failures: Exception) -> None:
        self.failures = list(failures)
        self.opened: list[list[Decimal | None]] = []
        self.seen: list[ChatRequest] = []
        self._database = database

    def model_on(self, lane: Lane) -> str:
        return self.model if lane == "default" else "gemini-3.5-flash-lite"

    def generate(self, request: ChatRequest) -> ChatAnswer:
        self.seen.append(request)
        with read(self._database) as connection:
            self.opened.append(list(connection.scalars(select(open_calls.c.bound_usd))))
        if self.failures:
            raise self.failures.pop(0)
        return ANSWER

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        answer = self.generate(request)
        yield ChatChunk(text="Fi")
        yield ChatChunk(text="ne.", answer=answer)


@pytest.fixture
def bill(sqlite_database: Engine) -> ChatBill:
    ring = ring_over(sqlite_database)
    return ChatBill(
        engine=lambda: sqlite_database,
        ring=lambda: ring,
        correlation=Correlation(request_id="r1", trace_id="0" * 32),
        principal=ACME,
        route="POST /api/query",
        step="draft",
        clock=lambda: NOW,
        lapses_after=timedelta(minutes=2),
        session_id="s1",
        agent="knowledge",
    )


def metered(bill: ChatBill, request: ChatRequest = REQUEST) -> ChatRequest:
    return ChatRequest(
        instruction=request.instruction, question=request.question, conversation=request.conversation, meter=bill
    )


def resilient(model: Scripted, attempts: int = 3) -> ResilientModel:
    return ResilientModel(MeteredModel(model), Policy(attempts=attempts, sleep=lambda _seconds: None))


def still_open(database: Engine) -> int:
    with read(database) as connection:
        return len(connection.execute(select(open_calls)).all())


def settle(database: Engine, bill: ChatBill) -> None:
    with write(database) as connection:
        add(connection, bill.entries)


def test_a_call_is_held_at_what_it_can_cost_while_it_is_made_and_its_entry_closes_it(
    sqlite_database: Engine, bill: ChatBill
) -> None:
    model = Scripted(sqlite_database)
    assert resilient(model).generate(metered(bill)) == ANSWER
    bound = upper_bound_usd(model.provider, model.model, NOW, most_tokens(REQUEST), REQUEST.max_output_tokens)
    assert model.opened == [[bound]]
    (entry,) = bill.entries
    assert (entry.cost_usd, entry.bound_usd, entry.outcome, entry.lane) == (COST, bound, "ok", "default")
    assert still_open(sqlite_database) == 1
    settle(sqlite_database, bill)
    assert still_open(sqlite_database) == 0


def test_each_attempt_is_held_and_noted_by_itself(sqlite_database: Engine, bill: ChatBill) -> None:
    model = Scripted(sqlite_database, ModelTimeout(), ModelError(is_unbilled=True))
    resilient(model).generate(metered(bill))
    assert [len(held) for held in model.opened] == [1, 2, 3]  # what may be billed is held until it is counted
    assert [(entry.outcome, entry.cost_usd) for entry in bill.entries] == [
        ("ModelTimeout", None), ("ModelError", Decimal(0)), ("ok", COST),
    ]  # fmt: skip
    settle(sqlite_database, bill)
    assert still_open(sqlite_database) == 0


@pytest.mark.parametrize(
    ("failure", "cost"),
    [
        (ModelTimeout(), None),
        (ModelError(), None),  # the connection broke: who knows
        (ModelAnswerUnusable(), None),
        (ModelError(is_unbilled=True), Decimal(0)),
        (ModelOverQuota(is_unbilled=True), Decimal(0)),
        (ModelBlocked(answer=ANSWER), COST),
        (RuntimeError(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_failed_call_cost_is_told_where_it_is_known(
    sqlite_database: Engine, bill: ChatBill, failure: Exception, cost: Decimal | None
) -> None:
    with suppress(ModelError, RuntimeError):
        resilient(Scripted(sqlite_database, failure), attempts=1).generate(metered(bill))
    (entry,) = bill.entries
    assert entry.cost_usd == cost
    settle(sqlite_database, bill)
    assert still_open(sqlite_database) == 0


@pytest.mark.parametrize(("chunks", "outcome"), [(1, "cancelled"), (2, "ok")])
def test_a_stream_is_cancelled_where_it_is_closed_before_its_end(
    sqlite_database: Engine, bill: ChatBill, chunks: int, outcome: str
) -> None:
    stream = resilient(Scripted(sqlite_database)).stream(metered(bill))
    for _ in range(chunks):
        next(stream)
    stream.close()
    (entry,) = bill.entries
    assert (entry.outcome, entry.cost_usd) == (outcome, COST if outcome == "ok" else None)


def test_a_call_that_a_budget_has_no_room_for_is_not_made(
    sqlite_database: Engine, bill: ChatBill, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = BudgetFile.model_validate({"budgets": [budget(amount_usd="0.005")]})  # for one call, as it is held
    for module in (budgets, governor):
        monkeypatch.setattr(module, "budget_file", lambda: file)
    model = Scripted(sqlite_database, ModelTimeout())
    with pytest.raises(BudgetSpent):
        resilient(model).generate(metered(bill))
    assert len(model.seen) == 1
    assert [entry.outcome for entry in bill.entries] == ["ModelTimeout"]
    assert not resilient(model)._lanes["default"].breaker.is_open


def test_what_is_held_is_of_what_leaves_with_placeholders_that_are_longer(
    sqlite_database: Engine, bill: ChatBill
) -> None:
    model = Scripted(sqlite_database)
    ShieldedModel(resilient(model), b"k" * 32).generate(metered(bill))
    (sent,) = model.seen
    assert "jane@roe.example" not in sent.question
    assert most_tokens(sent) > most_tokens(REQUEST)
    (entry,) = bill.entries
    assert entry.bound_usd == upper_bound_usd(model.provider, model.model, NOW, most_tokens(sent), 1024)


def test_the_same_content_has_the_same_mark_whatever_the_time_left(sqlite_database: Engine, bill: ChatBill) -> None:
    model = resilient(Scripted(sqlite_database))
    model.generate(metered(bill))
    model.generate(metered(bill))
    model.generate(metered(bill, ChatRequest(instruction="Be brief.", question="What else?")))
    first, again, other = (entry.content_mark for entry in bill.entries)
    assert first == again != other


def test_a_call_that_was_never_heard_of_again_is_lost_at_its_bound(sqlite_database: Engine, bill: ChatBill) -> None:
    stream = resilient(Scripted(sqlite_database)).stream(metered(bill))
    next(stream)  # and here the process is killed
    assert lapse(sqlite_database, NOW + timedelta(minutes=3)) == 1
    with read(sqlite_database) as connection:
        (lost,) = connection.execute(select(ledger_entries)).mappings()
    assert (lost["outcome"], lost["cost_usd"]) == ("lost", None)
    assert lost["bound_usd"] > 0
    stream.close()


def test_a_request_without_a_meter_is_noted_nowhere(sqlite_database: Engine) -> None:
    model = Scripted(sqlite_database)
    assert resilient(model).generate(REQUEST) == ANSWER
    assert [chunk.text for chunk in resilient(model).stream(REQUEST)] == ["Fi", "ne."]
    assert still_open(sqlite_database) == 0
