"""Sessions give the last turns as context; a turn and what it cost are stored together."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import StatementError

from common.costs.ledger import LedgerEntry
from common.database.engine import read
from common.database.tables import ledger_entries, sessions, turns
from common.problems import FieldError, NotFound
from functions.query.agent import Turn
from functions.query.sessions import ANSWER_TOKENS, SessionStore, TurnRecord, estimated_tokens

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def turn(**changes: object) -> TurnRecord:
    given = TurnRecord(
        session_id="s1",
        request_id="r1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        message="What is the limit for raw land?",
        answer="65 % [1].",
        answered=True,
        agent="knowledge",
        intent="knowledge",
        confidence=0.75,
        citations=[{"document_id": "ltv", "title": "LTV", "quote": "raw land 65 %", "score": 0.5, "source": None}],
        critique_score=None,
        critique_rounds=0,
        degraded=["model"],
        signals=[],
        created_at=NOW,
    )
    return replace(given, **changes)  # type: ignore[arg-type]  # the tests below name fields of the record


ENTRY = LedgerEntry(
    created_at=NOW,
    request_id="r1",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    step="draft",
    provider="embedded",
    model_asked="extractive",
    duration_ms=3.0,
    outcome="ok",
)


@pytest.fixture
def store(database: Engine) -> SessionStore:
    return store_at(database, lambda: NOW)


def store_at(database: Engine, clock: Callable[[], datetime]) -> SessionStore:
    return SessionStore(database, clock=clock, new_id=lambda: "new-session")


def count(database: Engine, *tables: str) -> list[int]:
    with read(database) as connection:
        return [
            len(connection.execute(select(table)).all())
            for table in (sessions, turns, ledger_entries)
            if table.name in tables
        ]


def test_a_new_session_is_stored_with_its_first_turn(store: SessionStore, database: Engine) -> None:
    assert store.open(None) == "new-session"
    assert count(database, "sessions") == [0]
    store.record(turn(session_id="new-session"), [])
    assert store.open("new-session") == "new-session"


def test_an_unknown_session_is_refused_with_its_field_named_and_its_value_left_out(store: SessionStore) -> None:
    with pytest.raises(NotFound) as refused:
        store.open("somebody-elses")
    reason = "There is no such session. Leave it out to begin a new one."
    assert refused.value.errors == (FieldError(pointer="/session_id", detail=reason),)


def test_a_turn_comes_back_as_it_was_recorded(store: SessionStore, database: Engine) -> None:
    store.record(turn(), [])
    with read(database) as connection:
        row = connection.execute(select(turns)).mappings().one()
    assert {name: value for name, value in row.items() if name != "id"} == asdict(turn())


def test_a_session_knows_when_it_began_and_when_it_was_last_used(database: Engine) -> None:
    later = NOW + timedelta(minutes=5)
    store_at(database, lambda: NOW).record(turn(), [])
    store_at(database, lambda: later).record(turn(), [])
    with read(database) as connection:
        assert connection.execute(select(sessions)).all() == [("s1", NOW, later)]


def test_a_turn_and_its_model_calls_are_stored_together(store: SessionStore, database: Engine) -> None:
    store.record(turn(), [ENTRY, ENTRY])
    assert count(database, "sessions", "turns", "ledger_entries") == [1, 1, 2]


def test_of_a_turn_whose_model_calls_cannot_be_stored_nothing_is_kept(store: SessionStore, database: Engine) -> None:
    broken = replace(ENTRY, created_at=NOW.replace(tzinfo=None))
    with pytest.raises(StatementError):
        store.record(turn(), [ENTRY, broken])
    assert count(database, "sessions", "turns", "ledger_entries") == [0, 0, 0]


def test_the_model_calls_of_a_query_cut_short_are_stored_without_a_turn(store: SessionStore, database: Engine) -> None:
    store.record(None, [ENTRY])
    assert count(database, "sessions", "turns", "ledger_entries") == [0, 0, 1]


def test_history_is_oldest_first_and_of_this_session_alone(store: SessionStore) -> None:
    store.record(turn(message="first", answer="one"), [])
    store.record(turn(message="second", answer="two", agent="collateral"), [])
    store.record(turn(session_id="s2", message="elsewhere"), [])
    assert store.history("s1", 100) == (
        Turn(message="first", answer="one", agent="knowledge"),
        Turn(message="second", answer="two", agent="collateral"),
    )


@pytest.mark.parametrize(
    ("max_tokens", "kept"), [(0, []), (19, []), (20, ["c"]), (39, ["c"]), (40, ["b", "c"]), (60, ["a", "b", "c"])]
)
def test_history_keeps_the_newest_turns_that_fit(store: SessionStore, max_tokens: int, kept: list[str]) -> None:
    for letter in "abc":
        store.record(turn(message=letter * 40, answer=letter * 40), [])  # 10 tokens each
    assert [one.message[0] for one in store.history("s1", max_tokens)] == kept


def test_history_ends_at_a_turn_that_does_not_fit_and_does_not_skip_it(store: SessionStore) -> None:
    store.record(turn(message="short", answer="short"), [])
    store.record(turn(message="long" * 1_000, answer="long"), [])
    store.record(turn(message="newest", answer="newest"), [])
    assert [one.message for one in store.history("s1", 100)] == ["newest"]


def test_a_long_answer_is_cut_in_history_so_that_ten_turns_fit(store: SessionStore) -> None:
    for number in range(10):
        store.record(turn(message=f"what if it was {number}?", answer="word " * 300), [])
    kept = store.history("s1", 680)
    assert len(kept) == 10
    assert {len(one.answer) <= 4 * ANSWER_TOKENS and one.answer.endswith("…") for one in kept} == {True}


def test_history_of_a_session_without_turns_is_empty(store: SessionStore) -> None:
    assert store.history("s1", 100) == ()


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_tokens_are_estimated_at_four_characters_each_rounded_up(text: str, tokens: int) -> None:
    assert estimated_tokens(text) == tokens
