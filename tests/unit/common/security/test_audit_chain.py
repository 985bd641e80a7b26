"""The chain of events: whatever is done to it in the database is found, at the first event that is not as it was."""

import hmac
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, insert, select, text, update

from common.database.engine import read, write
from common.database.tables import audit_events, audit_head
from common.security.audit import Event, record
from common.security.audit_chain import (
    _FIELDS,
    BATCH,
    WORDS,
    BrokenLink,
    Entry,
    Verified,
    Walk,
    _link,
    _signature,
    entries,
    newest,
    verify,
)
from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing

AT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
FIELDS = ("at", "tenant", "actor", "action", "target", "outcome", "request_id", "facts", "signature")
OPEN = {
    "sqlite": ["DROP TRIGGER audit_events_no_update", "DROP TRIGGER audit_events_no_delete"],
    "postgresql": ["DROP TRIGGER audit_events_append_only ON audit_events"],
}


@pytest.fixture
def ring(database: Engine) -> KeyRing:
    made = KeyRing.over(database, [FileKey(bytes(32))])
    made.complete()
    return made


@pytest.fixture
def chain(database: Engine, ring: KeyRing) -> Engine:
    """A database with a chain of six events, whose triggers somebody has taken off."""
    fill(database, ring, 6)
    with write(database) as connection:
        for statement in OPEN[connection.dialect.name]:
            connection.execute(text(statement))
    return database


def fill(database: Engine, ring: KeyRing, count: int, *, start: int = 0) -> None:
    with write(database) as connection:
        for number in range(start, start + count):
            told = Event(
                tenant="acme",
                actor=f"key:{number}",
                action="document.stored" if number % 2 else "key.created",
                target=f"report {number}",
                outcome="done",
                request_id=f"request-{number}" if number % 3 else None,
                facts={"number": number},
            )
            record(connection, told, ring=ring, at=AT + timedelta(minutes=number))


def found(database: Engine, ring: KeyRing, checkpoints: dict[int, str] | None = None) -> Verified | BrokenLink:
    with read(database) as connection:
        return verify(connection, ring.mac, checkpoints)


def signature(database: Engine, number: int) -> str:
    with read(database) as connection:
        return str(
            connection.execute(select(audit_events.c.signature).where(audit_events.c.number == number)).scalar_one()
        )


def row(connection: Connection, number: int) -> dict[str, Any]:  # Any: as the columns are
    stored = connection.execute(select(audit_events).where(audit_events.c.number == number)).one()
    return dict(stored._mapping)


def change(connection: Connection, place: int, /, **values: object) -> None:
    connection.execute(update(audit_events).where(audit_events.c.number == place).values(**values))


def remove(connection: Connection, *numbers: int) -> None:
    connection.execute(delete(audit_events).where(audit_events.c.number.in_(numbers)))


def swap(connection: Connection, one: int, other: int) -> None:
    """The two events in each other's place, but for their numbers."""
    first, second = row(connection, one), row(connection, other)
    change(connection, one, **{**second, "number": one})
    change(connection, other, **{**first, "number": other})


def renumber(connection: Connection, one: int, other: int) -> None:
    """The two events with each other's number: as `swap`, in the order of the table."""
    first, second = row(connection, one), row(connection, other)
    remove(connection, one, other)
    connection.execute(insert(audit_events), [{**second, "number": one}, {**first, "number": other}])


def test_an_empty_chain_holds(database: Engine, ring: KeyRing) -> None:
    assert found(database, ring) == Verified(events=0, signature="")


def test_a_chain_that_was_left_alone_holds(chain: Engine, ring: KeyRing) -> None:
    assert found(chain, ring) == Verified(events=6, signature=signature(chain, 6))
    assert str(found(chain, ring)) == "The audit chain holds: 6 events."


def test_it_says_in_words_what_is_broken() -> None:
    link = BrokenLink(number=7, reason="missing")
    assert str(link) == "The audit chain is broken at event 7: it is missing, while later ones are there."
    assert all(WORDS.values())


@pytest.mark.parametrize("field", FIELDS)
def test_a_change_of_any_field_is_found(chain: Engine, ring: KeyRing, field: str) -> None:
    with write(chain) as connection:
        old = row(connection, 3)[field]
        change(connection, 3, **{field: old + timedelta(microseconds=1) if field == "at" else f"{old or ''}x"[1:]})
    assert found(chain, ring) == BrokenLink(number=3, reason="changed")


Tamper = Callable[[Connection], None]


@pytest.mark.parametrize(
    ("tamper", "number", "reason"),
    [
        (lambda to: remove(to, 1), 1, "missing"),
        (lambda to: remove(to, 4), 4, "missing"),
        (lambda to: remove(to, 6), 6, "cut off"),
        (lambda to: remove(to, 3, 4, 5, 6), 3, "cut off"),
        (lambda to: remove(to, *range(1, 7)), 1, "cut off"),
        (lambda to: swap(to, 2, 3), 2, "changed"),
        (lambda to: renumber(to, 2, 5), 2, "changed"),
        (lambda to: change(to, 6, number=9), 6, "missing"),
        (lambda to: to.execute(insert(audit_events).values({**row(to, 6), "number": 7})), 7, "inserted"),
        (lambda to: to.execute(insert(audit_events).values({**row(to, 6), "number": 9})), 7, "inserted"),
        (lambda to: to.execute(insert(audit_events).values({**row(to, 6), "number": 0})), 1, "inserted"),
        (lambda to: to.execute(insert(audit_events).values({**row(to, 6), "number": -5})), 1, "inserted"),
        (lambda to: to.execute(delete(audit_head)), 6, "head changed"),
        (lambda to: to.execute(update(audit_head).values(signature="0" * 64)), 6, "head changed"),
        (lambda to: to.execute(update(audit_head).values(number=5)), 6, "inserted"),
        (lambda to: to.execute(update(audit_head).values(number=8)), 7, "cut off"),
    ],
)
def test_what_is_done_to_the_chain_is_found(
    chain: Engine, ring: KeyRing, tamper: Tamper, number: int, reason: Any
) -> None:
    with write(chain) as connection:
        tamper(connection)
    assert found(chain, ring) == BrokenLink(number=number, reason=reason)


def test_whoever_cuts_off_the_end_and_moves_the_head_back_does_not_know_its_mark(chain: Engine, ring: KeyRing) -> None:
    with write(chain) as connection:
        kept = row(connection, 4)["signature"]
        remove(connection, 5, 6)
        connection.execute(update(audit_head).values(number=4, signature=kept))
    assert found(chain, ring) == BrokenLink(number=4, reason="head changed")


def test_events_that_come_after_do_not_hide_that_the_end_was_cut_off(chain: Engine, ring: KeyRing) -> None:
    with write(chain) as connection:
        kept = row(connection, 4)["signature"]
        remove(connection, 5, 6)
        connection.execute(update(audit_head).values(number=4, signature=kept))
    fill(chain, ring, 3)
    assert found(chain, ring) == BrokenLink(number=5, reason="changed")


def cut_back(database: Engine, ring: KeyRing, *, again: int) -> dict[int, str]:
    """As a restored backup does: an old state, head and all, and then other events. What was exported before."""
    with write(database) as connection:
        head = connection.execute(select(audit_head)).one()._mapping
    fill(database, ring, 3)
    exported = {9: signature(database, 9)}
    with write(database) as connection:
        remove(connection, 7, 8, 9)
        connection.execute(update(audit_head).values(**head))
    fill(database, ring, again, start=20)
    return exported


def test_an_old_database_is_found_by_what_was_exported(chain: Engine, ring: KeyRing) -> None:
    exported = cut_back(chain, ring, again=0)
    assert found(chain, ring) == Verified(events=6, signature=signature(chain, 6))
    assert found(chain, ring, exported) == BrokenLink(number=7, reason="cut off")


def test_an_old_database_that_went_on_is_found_by_what_was_exported(chain: Engine, ring: KeyRing) -> None:
    exported = cut_back(chain, ring, again=4)
    assert isinstance(found(chain, ring), Verified)
    assert found(chain, ring, exported) == BrokenLink(number=9, reason="forked")


def test_checkpoints_that_fit_are_passed(chain: Engine, ring: KeyRing) -> None:
    assert isinstance(found(chain, ring, {3: signature(chain, 3), 6: signature(chain, 6)}), Verified)


def test_with_another_key_no_event_fits(chain: Engine) -> None:
    with read(chain) as connection:
        other = verify(connection, lambda purpose, message: hmac.digest(b"other", message, "sha256").hex())
    assert other == BrokenLink(number=1, reason="changed")


@pytest.mark.parametrize(
    ("column", "value"), [("number", "'none'"), ("number", "3.5"), ("at", "'2026'"), ("facts", "x'00ff'"), ("at", "17")]
)
def test_whatever_sqlite_lets_a_column_hold_is_a_broken_link(sqlite_database: Engine, column: str, value: str) -> None:
    ring = KeyRing.over(sqlite_database, [FileKey(bytes(32))])
    ring.complete()
    fill(sqlite_database, ring, 6)
    with write(sqlite_database) as connection:
        connection.execute(text(OPEN["sqlite"][0]))
        connection.execute(text(f"UPDATE audit_events SET {column} = {value} WHERE number = 3"))
    broken = found(sqlite_database, ring)
    assert isinstance(broken, BrokenLink)
    assert broken.number == 3


@pytest.fixture(scope="module")
def macs() -> Callable[..., str]:
    """A keyed hash as a ring has it, without a database."""
    return lambda purpose, message: hmac.digest(b"k" * 32, message, "sha256").hex()


def signed(mac: Any, count: int) -> list[Entry]:
    """A chain as `append` makes it, by way of a connection that remembers."""
    made, link = [], ""
    for number in range(1, count + 1):
        fields = {name: f"{name} {number % 3}" for name in _FIELDS}
        signature = _signature(mac, (number, f"at {number}", *(fields[name] for name in _FIELDS)), link)
        made.append(Entry(number=number, at=f"at {number}", **fields, signature=signature))
        link = _link(mac, number, signature)
    return made


@given(data=st.data(), count=st.integers(1, 12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_change_of_any_chain_is_found_at_its_first_event(
    macs: Callable[..., str], data: st.DataObject, count: int
) -> None:
    whole = signed(macs, count)
    place = data.draw(st.integers(0, count - 1))
    kind = data.draw(st.sampled_from(["field", "delete", "insert", "swap", "leave"]))
    changed = list(whole)
    if kind == "field":
        field = data.draw(st.sampled_from(FIELDS))
        value: Any = data.draw(st.one_of(st.text(), st.none(), st.integers(), st.binary()))  # Any: or no text
        changed[place] = replace(whole[place], **{field: value})
    elif kind == "delete":
        del changed[place]
    elif kind == "insert":
        changed.insert(place, replace(whole[place], number=place + 1, target=data.draw(st.text())))
    elif kind == "swap":
        other = data.draw(st.integers(0, count - 1))
        changed[place], changed[other] = changed[other], changed[place]
        changed = [replace(entry, number=number) for number, entry in enumerate(changed, start=1)]
    walk = Walk(macs)
    broken = walk.through(changed)
    first = next((n for n, (a, b) in enumerate(itertools.zip_longest(whole, changed), start=1) if a != b), None)
    if first is None or (kind == "insert" and changed[place] == whole[place]):
        return
    if kind == "delete" and place == count - 1:  # no walk sees what does not come: the head does
        assert broken is None
        assert walk.number == count - 1
    else:
        assert broken is not None
        assert broken.number == first


def test_entries_come_in_order_from_a_number_on_and_at_most_so_many(chain: Engine) -> None:
    with read(chain) as connection:
        assert [entry.number for entry in entries(connection, above=2, limit=3)] == [3, 4, 5]


def test_a_long_chain_is_read_in_batches(database: Engine, ring: KeyRing) -> None:
    fill(database, ring, 2 * BATCH + 1)
    assert found(database, ring) == Verified(events=2 * BATCH + 1, signature=signature(database, 2 * BATCH + 1))


def test_the_newest_are_listed_oldest_first(chain: Engine) -> None:
    with read(chain) as connection:
        assert [entry.number for entry in newest(connection, 2)] == [5, 6]
        assert [entry.number for entry in newest(connection, 9, action="key.created")] == [1, 3, 5]
        assert [entry.number for entry in newest(connection, 9, since=AT + timedelta(minutes=4))] == [5, 6]
        (entry,) = newest(connection, 1)
    assert (entry.at, entry.actor, entry.facts) == ("2026-11-28T09:35:00.000000+00:00", "key:5", '{"number":5}')


def test_a_walk_may_begin_behind_an_event(chain: Engine, ring: KeyRing) -> None:
    with read(chain) as connection:
        walk = Walk(ring.mac).behind(4, signature(chain, 4))
        assert walk.through(entries(connection, above=4)) is None
    assert walk.ended() == Verified(events=6, signature=signature(chain, 6))
