"""What is recorded: whole, masked, numbered without a gap, by however many writers, and only with the deed itself."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, String, delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from common.database.engine import engine, read, write
from common.database.tables import audit_events, audit_head, data_keys
from common.security import audit, keyring
from common.security.audit import MAX_FACTS, MAX_TARGET, Event, record, record_alone
from common.security.audit_chain import Verified, verify
from common.security.key_encryption import FileKey, KeysUnavailable
from common.security.keyring import KeyRing, key_ring
from tests.instance import instance as fresh_instance

ROOT = Path(__file__).parents[4]
WRAPPING = FileKey(bytes(32))
AT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)

WRITER = """
import sys
from common.database.engine import create_engine_for, write
from common.security.audit import Event, record
from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing

engine = create_engine_for(sys.argv[1])
ring = KeyRing.over(engine, [FileKey(bytes(32))])
for turn in range(int(sys.argv[2])):
    event = Event(tenant="default", actor="key:writer", action="document.stored", target=str(turn), outcome="done")
    with write(engine) as connection:
        record(connection, event, ring=ring)
    print(turn, flush=True)
"""


@pytest.fixture
def ring(database: Engine) -> KeyRing:
    made = KeyRing.over(database, [WRAPPING])
    made.complete()
    return made


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Path]:
    """This process as an instance with its state in an empty folder."""
    with fresh_instance(tmp_path) as folder:
        yield folder


def event(**fields: Any) -> Event:  # Any: as Event takes them
    given = {"tenant": "acme", "actor": "key:one", "action": "key.created", "target": "key:two", "outcome": "done"}
    return Event(**{**given, **fields})


def rows(database: Engine) -> list[Any]:  # Any: rows by name
    with read(database) as connection:
        return list(connection.execute(select(audit_events).order_by(audit_events.c.number)))


def rolled_back(database: Engine, ring: KeyRing | None) -> None:
    """Record an event in a transaction that fails afterwards."""
    with suppress(ZeroDivisionError), write(database) as connection:
        record(connection, event(), ring=ring)
        raise ZeroDivisionError


def held(database: Engine, ring: KeyRing) -> object:
    with read(database) as connection:
        return verify(connection, ring.mac)


def test_an_event_is_stored_with_all_that_was_told(database: Engine, ring: KeyRing) -> None:
    told = event(
        request_id="request-1", facts={"role": "viewer", "count": 2, "share": 0.5, "scopes": ["a", "b"], "x": None}
    )
    with write(database) as connection:
        assert record(connection, told, at=AT, ring=ring) == 1
    (row,) = rows(database)
    assert row._mapping.items() >= {
        "number": 1, "at": AT, "tenant": "acme", "actor": "key:one", "action": "key.created", "target": "key:two",
        "outcome": "done", "request_id": "request-1",
    }.items()  # fmt: skip
    assert row.facts == '{"count":2,"role":"viewer","scopes":["a","b"],"share":0.5,"x":null}'


def test_without_a_time_it_is_now(database: Engine, ring: KeyRing) -> None:
    before = datetime.now(UTC)
    with write(database) as connection:
        record(connection, event(), ring=ring)
    assert before <= rows(database)[0].at <= datetime.now(UTC)


def test_personal_data_and_secrets_are_masked(database: Engine, ring: KeyRing) -> None:
    told = event(
        target="jane.roe@example.com",
        request_id="078-05-1120",
        facts={"note": "call 212-555-0147", "password": "hunter2"},
    )
    with write(database) as connection:
        record(connection, told, ring=ring)
    (row,) = rows(database)
    assert (row.target, row.request_id) == ("[EMAIL]", "[SSN]")
    assert json.loads(row.facts) == {"note": "call [PHONE]", "password": "[SECRET]"}


@pytest.mark.parametrize(
    ("target", "stored"),
    [
        ("a\x00b\n\x1b[2J", r"a\x00b\n\x1b[2J"),
        ("\u202edetrever", r"\u202edetrever"),
        ("\udc80", r"\udc80"),
        ("Größe 中", "Größe 中"),
        ("x" * 1_000, "x" * MAX_TARGET),
    ],
)
def test_a_target_is_one_short_printable_line(database: Engine, ring: KeyRing, target: str, stored: str) -> None:
    with write(database) as connection:
        record(connection, event(target=target), ring=ring)
    assert rows(database)[0].target == stored
    assert held(database, ring) == Verified(events=1, signature=rows(database)[0].signature)


def test_facts_that_are_too_large_are_left_out_and_their_size_is_told(sqlite_database: Engine) -> None:
    ring = KeyRing.over(sqlite_database, [WRAPPING])
    ring.complete()
    with write(sqlite_database) as connection:
        record(connection, event(facts={"ids": ["a" * 100] * 100}), ring=ring)
    facts = rows(sqlite_database)[0].facts
    assert json.loads(facts)["left_out_characters"] > MAX_FACTS


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "key.stolen"},
        {"outcome": "maybe"},
        {"tenant": "Not A Tenant"},
        {"actor": ""},
        {"actor": "x" * 129},
        {"actor": "a\nb"},
        {"facts": {"x": float("nan")}},
        {"facts": {"x": {"y": 1}}},
        {"facts": {"x": [[1]]}},
    ],
)
def test_what_is_no_event_is_refused_before_it_reaches_the_database(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        event(**wrong)


def test_every_action_and_outcome_fits_its_column() -> None:
    for column, values in ((audit_events.c.action, audit.ACTIONS), (audit_events.c.outcome, audit.OUTCOMES)):
        assert isinstance(column.type, String)
        assert column.type.length is not None
        assert max(map(len, values)) <= column.type.length


def test_an_event_goes_with_the_transaction_that_is_rolled_back(database: Engine, ring: KeyRing) -> None:
    rolled_back(database, ring)
    with write(database) as connection:
        assert record(connection, event(), ring=ring) == 1
    assert len(rows(database)) == 1


@pytest.mark.parametrize("change", [update(audit_events).values(actor="key:other"), delete(audit_events)])
def test_the_database_itself_refuses_to_change_or_delete_an_event(database: Engine, ring: KeyRing, change: Any) -> None:
    with write(database) as connection:
        record(connection, event(), ring=ring)
    with pytest.raises(DBAPIError, match="append-only"), write(database) as connection:
        connection.execute(change)
    assert rows(database)[0].actor == "key:one"


def test_eight_threads_make_one_chain_without_a_gap(database: Engine, ring: KeyRing) -> None:
    begin = threading.Barrier(8)

    def work() -> list[int]:
        begin.wait()
        numbers = []
        for _ in range(10):
            with write(database) as connection:
                numbers.append(record(connection, event(), ring=ring))
        return numbers

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for done in [pool.submit(work) for _ in range(8)] for number in done.result()]
    assert sorted(numbers) == list(range(1, 81))
    assert held(database, ring) == Verified(events=80, signature=rows(database)[-1].signature)


def writer(database: Engine, events: int) -> subprocess.Popen[str]:
    """Another process that records so many events, and prints a line after each."""
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WRITER, url, str(events)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_four_processes_make_one_chain_without_a_gap(database: Engine, ring: KeyRing) -> None:
    processes = [writer(database, 15) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 4
    assert held(database, ring) == Verified(events=60, signature=rows(database)[-1].signature)


@pytest.mark.slow
def test_writers_that_are_killed_leave_a_whole_chain_behind(database: Engine, ring: KeyRing) -> None:
    for _ in range(4):
        with writer(database, 100_000) as process:
            assert process.stdout is not None
            for _ in range(5):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
    with write(database) as connection:
        number = record(connection, event(), ring=ring)
    assert number > 20
    assert held(database, ring) == Verified(events=number, signature=rows(database)[-1].signature)


def test_without_a_ring_the_keys_are_made_in_the_same_transaction(instance: Path) -> None:
    database = engine()
    rolled_back(database, None)
    with read(database) as connection:
        assert connection.execute(select(func.count()).select_from(data_keys)).scalar() == 0
    with write(database) as connection:
        record(connection, event())
    with write(database) as connection:
        record(connection, event())
    assert isinstance(held(database, key_ring()), Verified)


def test_the_instances_ring_is_used_once_it_is_made(instance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_ring()
    monkeypatch.setattr(keyring.KeyRing, "on", lambda *_: pytest.fail("read the keys again"))
    with write(engine()) as connection:
        record(connection, event())
    assert len(rows(engine())) == 1


def test_the_instances_ring_is_not_used_for_another_database(instance: Path, sqlite_database: Engine) -> None:
    key_ring()
    with write(sqlite_database) as connection:
        record(connection, event())
    theirs = KeyRing.over(
        sqlite_database, [FileKey.at(instance / "keys" / "key-encryption-key", made_where_missing=False)]
    )
    assert isinstance(held(sqlite_database, theirs), Verified)


@pytest.mark.servers  # on SQLite a transaction that writes is alone from its begin
def test_nobody_waits_for_a_recorder_who_waits_for_its_key(postgresql_database: Engine) -> None:
    database = postgresql_database

    class Away(FileKey):
        def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
            with write(database) as other:  # the head is nobody's by then
                other.execute(text("SET LOCAL lock_timeout = 1000"))
                other.execute(select(audit_head).with_for_update()).one()
            raise KeysUnavailable

    KeyRing.over(database, [WRAPPING]).complete()
    ring = KeyRing.over(database, [Away(bytes(32))])
    ring.complete()
    with pytest.raises(KeysUnavailable), write(database) as connection:
        record(connection, event(), ring=ring)


def test_events_alone_are_recorded_together(instance: Path) -> None:
    record_alone(event(), event(action="key.revoked"))
    assert [row.action for row in rows(engine())] == ["key.created", "key.revoked"]
