"""A mark is the same for one identifier however it is written, in a text or typed alone; and differs by the key."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from common.database import engine as database_module
from common.database.engine import write
from common.database.tables import subject_marks
from common.pii import configure
from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing
from common.security.marks import Marks, NotAnIdentifier, forget_marks, mark_of, marks_of
from tests.instance import instance

# What a person types, and texts that hold it.
WRITTEN = [
    ("jane.roe@example.com", ["Write to jane.roe@example.com.", "JANE.ROE@Example.COM", "q=jane.roe%40example.com"]),
    (
        "+1 415 555 0123",
        ["Call (415) 555-0123.", "tel:+14155550123", "1-415-555-0123 ext. 12", "415.555.0123 x9", "001 415 555 0123"],
    ),
    ("4155550123", ["Call (415) 555-0123."]),
    ("14155550123", ["Call (415) 555-0123."]),
    ("(415) 555-0123 ext. 5", ["Call 415-555-0123."]),
    ("+44 20 7946 0958", ["Ring +44 (0)20 7946 0958.", "0044 20 7946 0958"]),
    ("078-05-1120", ["SSN 078-05-1120", "ssn: 078051120"]),
    ("078051120", ["SSN 078-05-1120"]),
    ("4111111111111111", ["card 4111 1111 1111 1111", "4111-1111-1111-1111"]),
    ("DE89 3704 0044 0532 0130 00", ["IBAN de89370400440532013000", "DE89 3704 0044 0532 0130 00"]),
    ("12345678", ["account number 12345678", "acct 12345678"]),
    ("0012-345-678", ["account number 0012345678"]),
    ("(415) 555-0123", ["What about 4155550123?", "4155550123", "4155550123; 12"]),
    ("000123456789", ["Debit 000123456789 first."]),
    (" ４１５-555-0123 ", ["Call (415) 555‑0123."]),
]


@pytest.fixture
def ring(sqlite_database: Engine) -> KeyRing:
    return KeyRing.over(sqlite_database, [FileKey(bytes(32))])


@pytest.fixture
def marks(ring: KeyRing) -> Marks:
    return Marks(ring)


@pytest.mark.parametrize(("typed", "texts"), WRITTEN, ids=[typed for typed, _ in WRITTEN])
def test_an_identifier_has_one_mark_however_it_is_written(marks: Marks, typed: str, texts: list[str]) -> None:
    mark = marks.of_identifier(typed)
    assert len(mark) == 64
    for text in texts:
        assert mark in marks.of(text), text


def test_two_identifiers_have_two_marks(marks: Marks) -> None:
    typed = ["jane@example.com", "jane@example.org", "4155550123", "4155550124", "078-05-1120", "4111111111111111"]
    assert len({marks.of_identifier(one) for one in typed}) == len(typed)


def test_texts_have_a_mark_for_each_identifier_in_them(marks: Marks) -> None:
    found = marks.of("jane@example.com and (415) 555-0123", "jane@example.com again", "nothing")
    assert found == {marks.of_identifier("jane@example.com"), marks.of_identifier("415 555 0123")}
    assert marks.of() == frozenset()


def test_amounts_rates_and_short_numbers_have_none(marks: Marks) -> None:
    text = "$25000000 or \u20ac25000000, 25000000.50, 1,234567, 250,000, 123456, section 1002.2, v12345678a"
    assert marks.of(text) == frozenset()


def test_secrets_addresses_of_machines_and_names_have_none(marks: Marks) -> None:
    assert marks.of("Jane Roe, password=hunter2hunter2, from 192.0.2.7, Elm Street 4") == frozenset()


@pytest.mark.parametrize("kinds", ["SECRET", "EMAIL"])
def test_marks_do_not_depend_on_what_is_masked(marks: Marks, kinds: str) -> None:
    whole = marks.of("jane@example.com, (415) 555-0123")
    configure(kinds=kinds, allow=["jane@example.com"])
    try:
        assert marks.of("jane@example.com, (415) 555-0123") == whole
        assert marks.of_identifier("jane@example.com") in whole
    finally:
        configure()


@pytest.mark.parametrize(
    "typed",
    ["", "Jane Roe", "Unit 12345678", "123456", "12-34", "1,234,567", "jane@example.com, 415 555 0123", "7" * 321],
)
def test_what_is_no_identifier_has_no_mark(marks: Marks, typed: str) -> None:
    with pytest.raises(NotAnIdentifier) as refused:
        marks.of_identifier(typed)
    assert not typed or typed not in str(refused.value)


def test_another_database_has_other_marks(marks: Marks, tmp_path: Path) -> None:
    other = database_module.create_engine_for(f"sqlite:///{tmp_path / 'other.db'}")
    database_module.migrate(other)
    others = Marks(KeyRing.over(other, [FileKey(bytes(32))]))
    assert others.of_identifier("jane@example.com") != marks.of_identifier("jane@example.com")
    other.dispose()


@pytest.fixture
def noting(database: Engine) -> Marks:
    ring = KeyRing.over(database, [FileKey(bytes(32))])
    ring.complete()
    return Marks(ring)


def test_marks_are_noted_once_for_each_row_and_forgotten_with_it(database: Engine, noting: Marks) -> None:
    text = "jane@example.com, (415) 555-0123"
    with write(database) as connection:
        for uid in ("one", "one", "two"):
            noting.note(connection, "acme", "turns", uid, [text])
        noting.note(connection, "acme", "idempotent_answers", "one", [text])
        noting.note(connection, "acme", "turns", "three", ["nobody"])
    with write(database) as connection:
        assert connection.scalar(select(func.count()).select_from(subject_marks)) == 6
        forget_marks(connection, "turns", ["one", *(f"row-{number}" for number in range(1_200))])
        forget_marks(connection, "turns", [])
        left = connection.execute(select(subject_marks).order_by(subject_marks.c.holder, subject_marks.c.mark)).all()
    assert {(row.holder, row.uid) for row in left} == {("turns", "two"), ("idempotent_answers", "one")}
    assert {row.mark for row in left} == noting.of(text)
    assert {row.tenant for row in left} == {"acme"}


def test_all_rows_of_an_erasure_are_forgotten_however_many_they_are(database: Engine, noting: Marks) -> None:
    uids = [f"row-{number}" for number in range(1_001)]
    with write(database) as connection:
        for uid in uids:
            noting.note(connection, "acme", "turns", uid, ["jane@example.com"])
        forget_marks(connection, "turns", uids)
        assert connection.scalar(select(func.count()).select_from(subject_marks)) == 0


def test_an_instance_marks_by_its_own_ring(tmp_path: Path) -> None:
    with instance(tmp_path):
        mark = mark_of("jane@example.com")
        assert marks_of("Write to Jane@Example.com.") == {mark}
