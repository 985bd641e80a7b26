"""Sessions give the last turns as context; a turn and what it cost are stored together."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from common.costs.ledger import LedgerEntry
from common.database.engine import read, write
from common.database.tables import ledger_entries, sessions, subject_marks, turns
from common.llm.chat import estimated_tokens
from common.problems import FieldError, NotFound
from common.security.encryption import TURN_CONTENT, CannotOpen, Sealer, row_of
from common.security.marks import Marks
from functions.query.agent import Turn
from functions.query.sessions import ANSWER_TOKENS, SessionStore, TurnRecord
from tests.key_rings import ring_over
from tests.tenants import ACME, OTHER

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
    tenant="acme",
    principal="key-acme",
    step="draft",
    route="POST /api/query",
    provider="embedded",
    model_asked="extractive",
    duration_ms=3.0,
    outcome="ok",
)


@pytest.fixture
def store(database: Engine) -> SessionStore:
    return store_at(database, lambda: NOW)


def store_at(database: Engine, clock: Callable[[], datetime]) -> SessionStore:
    ids = itertools.count(1)
    ring = ring_over(database)
    return SessionStore(database, clock=clock, new_id=lambda: f"new-{next(ids)}", ring=lambda: ring)


def count(database: Engine, *tables: str) -> list[int]:
    with read(database) as connection:
        return [
            len(connection.execute(select(table)).all())
            for table in (sessions, turns, ledger_entries)
            if table.name in tables
        ]


def test_a_new_session_is_stored_with_its_first_turn(store: SessionStore, database: Engine) -> None:
    assert store.open(None, ACME) == "new-1"
    assert count(database, "sessions") == [0]
    store.record(turn(session_id="new-1"), [], ACME)
    assert store.open("new-1", ACME) == "new-1"


def test_an_unknown_session_is_refused_with_its_field_named_and_its_value_left_out(store: SessionStore) -> None:
    with pytest.raises(NotFound) as refused:
        store.open("somebody-elses", ACME)
    reason = "There is no such session. Leave it out to begin a new one."
    assert refused.value.errors == (FieldError(pointer="/session_id", detail=reason),)


def test_a_turn_is_stored_as_it_was_with_its_words_sealed(store: SessionStore, database: Engine) -> None:
    store.record(turn(), [], ACME)
    with read(database) as connection:
        row = connection.execute(select(turns)).mappings().one()
    plain = ("session_id", "request_id", "trace_id", "answered", "agent", "intent", "confidence", "critique_score",
             "critique_rounds", "degraded", "signals", "created_at")  # fmt: skip
    assert {name: row[name] for name in plain} == {name: getattr(turn(), name) for name in plain}
    assert (row["tenant"], len(row["uid"]) <= 32) == ("acme", True)
    assert not any(word in row["content"] for word in (b"raw land", b"65 %", b"ltv"))
    name = row_of("acme", row["uid"])
    content = json.loads(Sealer(ring_over(database)).open(row["content"], TURN_CONTENT, name))
    assert content == {"message": turn().message, "answer": turn().answer, "citations": turn().citations}


def test_sealed_words_open_in_their_own_row_only(store: SessionStore, database: Engine) -> None:
    store.record(turn(message="mine"), [], ACME)
    store.record(turn(session_id="s2", message="theirs"), [], OTHER)
    with write(database) as connection:
        theirs = connection.scalar(select(turns.c.content).where(turns.c.session_id == "s2"))
        connection.execute(update(turns).where(turns.c.session_id == "s1").values(content=theirs))
    with pytest.raises(CannotOpen):
        store.history("s1", ACME, 100)


def test_a_turn_and_session_that_are_moved_to_another_tenant_do_not_open_there(
    store: SessionStore, database: Engine
) -> None:
    store.record(turn(message="mine"), [], ACME)
    with write(database) as connection:
        connection.execute(update(sessions).values(tenant=OTHER.tenant))
        connection.execute(update(turns).values(tenant=OTHER.tenant))
    assert store.open("s1", OTHER) == "s1"
    with pytest.raises(CannotOpen):
        store.history("s1", OTHER, 100)


def test_a_follow_up_sees_what_was_said_unmasked(store: SessionStore) -> None:
    store.record(turn(message="Ana is at ana@example.com", answer="Noted."), [], ACME)
    assert store.history("s1", ACME, 100)[0].message == "Ana is at ana@example.com"


def test_another_tenants_session_is_refused_as_an_unknown_one(store: SessionStore) -> None:
    store.record(turn(), [], ACME)
    assert store.open("s1", replace(ACME, id="key-of-a-colleague")) == "s1"
    refusals = []
    for wanted in ("s1", "never-seen"):
        with pytest.raises(NotFound) as refused:
            store.open(wanted, OTHER)
        refusals.append((refused.value.detail, refused.value.errors))
    assert refusals[0] == refusals[1]
    assert store.history("s1", OTHER, 100) == ()


def test_nothing_is_added_to_another_tenants_session(store: SessionStore, database: Engine) -> None:
    store.record(turn(), [], ACME)
    with pytest.raises(IntegrityError):
        store.record(turn(message="mine now"), [ENTRY], OTHER)
    assert count(database, "sessions", "turns", "ledger_entries") == [1, 1, 0]


def test_whom_a_turn_speaks_of_is_marked_with_it(store: SessionStore, database: Engine) -> None:
    store.record(turn(message="Write to ana@example.com", answer="Or call (415) 555-2671."), [], ACME)
    with read(database) as connection:
        marks = connection.execute(select(subject_marks)).all()
        uid = connection.scalar(select(turns.c.uid))
    assert {(row.tenant, row.holder, row.uid) for row in marks} == {("acme", "turns", uid)}
    ring_marks = Marks(ring_over(database))
    assert {row.mark for row in marks} == ring_marks.of("ana@example.com") | ring_marks.of("call (415) 555-2671")


def test_whom_only_a_quoted_document_names_is_marked_too(store: SessionStore, database: Engine) -> None:
    quoted = {**turn().citations[0], "quote": "Write to ana@example.com"}
    store.record(turn(citations=[quoted]), [], ACME)
    with read(database) as connection:
        marks = connection.scalars(select(subject_marks.c.mark)).all()
    assert set(marks) == Marks(ring_over(database)).of("ana@example.com")


def test_a_session_knows_when_it_began_and_when_it_was_last_used(database: Engine) -> None:
    later = NOW + timedelta(minutes=5)
    times = iter((NOW, later))
    store = store_at(database, lambda: next(times))
    store.record(turn(), [], ACME)
    store.record(turn(), [], ACME)
    with read(database) as connection:
        assert connection.execute(select(sessions)).all() == [("s1", "acme", "key-acme", NOW, later)]


def test_a_turn_and_its_model_calls_are_stored_together(store: SessionStore, database: Engine) -> None:
    store.record(turn(), [ENTRY, ENTRY], ACME)
    assert count(database, "sessions", "turns", "ledger_entries") == [1, 1, 2]


def test_of_a_turn_whose_model_calls_cannot_be_stored_nothing_is_kept(store: SessionStore, database: Engine) -> None:
    broken = replace(ENTRY, created_at=NOW.replace(tzinfo=None))
    with pytest.raises(StatementError):
        store.record(turn(), [ENTRY, broken], ACME)
    assert count(database, "sessions", "turns", "ledger_entries") == [0, 0, 0]


def test_the_model_calls_of_a_query_cut_short_are_stored_without_a_turn(store: SessionStore, database: Engine) -> None:
    store.record(None, [ENTRY], ACME)
    assert count(database, "sessions", "turns", "ledger_entries") == [0, 0, 1]


def test_history_is_oldest_first_and_of_this_session_alone(store: SessionStore) -> None:
    store.record(turn(message="first", answer="one"), [], ACME)
    store.record(turn(message="second", answer="two", agent="collateral"), [], ACME)
    store.record(turn(session_id="s2", message="elsewhere"), [], ACME)
    assert store.history("s1", ACME, 100) == (
        Turn(message="first", answer="one", agent="knowledge"),
        Turn(message="second", answer="two", agent="collateral"),
    )


@pytest.mark.parametrize(
    ("max_tokens", "kept"), [(0, []), (19, []), (20, ["c"]), (39, ["c"]), (40, ["b", "c"]), (60, ["a", "b", "c"])]
)
def test_history_keeps_the_newest_turns_that_fit(store: SessionStore, max_tokens: int, kept: list[str]) -> None:
    for letter in "abc":
        store.record(turn(message=letter * 40, answer=letter * 40), [], ACME)  # 10 tokens each
    assert [one.message[0] for one in store.history("s1", ACME, max_tokens)] == kept


def test_history_ends_at_a_turn_that_does_not_fit_and_does_not_skip_it(store: SessionStore) -> None:
    store.record(turn(message="short", answer="short"), [], ACME)
    store.record(turn(message="long" * 1_000, answer="long"), [], ACME)
    store.record(turn(message="newest", answer="newest"), [], ACME)
    assert [one.message for one in store.history("s1", ACME, 100)] == ["newest"]


def test_a_long_answer_is_cut_in_history_so_that_ten_turns_fit(store: SessionStore) -> None:
    for number in range(10):
        store.record(turn(message=f"what if it was {number}?", answer="word " * 300), [], ACME)
    kept = store.history("s1", ACME, 680)
    assert len(kept) == 10
    assert {len(one.answer) <= 4 * ANSWER_TOKENS and one.answer.endswith("…") for one in kept} == {True}


def test_history_of_a_session_without_turns_is_empty(store: SessionStore) -> None:
    assert store.history("s1", ACME, 100) == ()


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_tokens_are_estimated_at_four_characters_each_rounded_up(text: str, tokens: int) -> None:
    assert estimated_tokens(text) == tokens
