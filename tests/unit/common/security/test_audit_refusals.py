"""Refusals in the audit: the first at once, the rest counted and told together, none lost, nobody held up."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from common.database.engine import DatabaseUnavailable, engine, read
from common.database.tables import audit_events
from common.metrics import metrics_collector
from common.security import audit_refusals
from common.security.audit_refusals import (
    EVENTS_PER_MINUTE,
    MAX_KINDS,
    OTHERS,
    REPEAT_SECONDS,
    RETRY_SECONDS,
    Counted,
    Kind,
    Refusals,
    note_refusal,
    refusals,
)
from common.security.keyring import key_ring
from tests.instance import instance as fresh_instance

ROOT = Path(__file__).parents[4]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Book:
    """Where refusals are written to; `error` is raised instead while it is set."""

    def __init__(self) -> None:
        self.written: list[Counted] = []
        self.attempts = 0
        self.error: Exception | None = None

    def write(self, counted: Sequence[Counted]) -> None:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        self.written += counted

    def counts(self) -> list[int]:
        return [one.count for one in self.written]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def counting(book: Book, clock: Clock) -> Refusals:
    return Refusals(book.write, clock)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Path]:
    """This process as an instance with its state in an empty folder."""
    with fresh_instance(tmp_path) as folder:
        yield folder


def kind(number: int = 1) -> Kind:
    return Kind("default", "credentials", "POST /", None, f"192.0.2.{number}")


def test_the_first_of_a_kind_is_written_at_once_and_the_next_ones_together(
    counting: Refusals, book: Book, clock: Clock
) -> None:
    for number in range(500):
        counting.note(kind(), f"request-{number}")
    assert book.written == [Counted(kind=kind(), count=1, request_id="request-0")]
    clock.now += REPEAT_SECONDS
    counting.note(kind(), "request-last")
    assert book.written[1:] == [Counted(kind=kind(), count=500, request_id="request-1")]


def test_another_kind_is_written_at_once_too(counting: Refusals, book: Book) -> None:
    counting.note(kind(1), None)
    counting.note(kind(2), None)
    assert [one.kind for one in book.written] == [kind(1), kind(2)]


def test_what_waits_is_written_with_the_next_refusal_of_any_kind(counting: Refusals, book: Book, clock: Clock) -> None:
    counting.note(kind(1), None)
    counting.note(kind(1), None)
    clock.now += REPEAT_SECONDS
    counting.note(kind(2), None)
    assert [(one.kind, one.count) for one in book.written[1:]] == [(kind(1), 1), (kind(2), 1)]


def test_however_many_kinds_there_are_a_minute_has_a_bounded_number_of_events(
    counting: Refusals, book: Book, clock: Clock
) -> None:
    for number in range(3 * MAX_KINDS):
        counting.note(kind(number), None)
    assert len(book.written) == EVENTS_PER_MINUTE
    clock.now += REPEAT_SECONDS
    counting.note(kind(1), None)
    assert len(book.written) == 2 * EVENTS_PER_MINUTE
    counting.flush()
    assert len(book.written) <= MAX_KINDS + 1 + EVENTS_PER_MINUTE
    assert sum(book.counts()) == 3 * MAX_KINDS + 1
    assert OTHERS in {one.kind for one in book.written}


def test_kinds_with_nothing_to_tell_are_forgotten(counting: Refusals, book: Book, clock: Clock) -> None:
    for number in range(EVENTS_PER_MINUTE):
        counting.note(kind(number), None)
    clock.now += REPEAT_SECONDS
    counting.note(kind(0), None)
    assert len(counting._tallies) == 1


def test_a_refusal_that_cannot_be_written_is_logged_counted_and_kept(
    counting: Refusals, book: Book, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors, lines = [], []
    monkeypatch.setattr(metrics_collector, "record_error", lambda *told: errors.append(told))
    monkeypatch.setattr(audit_refusals.log, "error", lambda event, **told: lines.append((event, told)), raising=False)
    book.error = DatabaseUnavailable()
    for _ in range(100):
        counting.note(kind(), "request-1")
    assert book.attempts == 1
    assert errors == [("audit", "DatabaseUnavailable")]
    assert lines == [("refusals.not_recorded", {"count": 1, "error_type": "DatabaseUnavailable"})]
    book.error = None
    clock.now += RETRY_SECONDS
    counting.note(kind(), "request-2")
    assert book.written == [Counted(kind=kind(), count=101, request_id="request-1")]


def test_while_the_database_is_away_new_kinds_do_not_try_it_either(counting: Refusals, book: Book) -> None:
    book.error = OSError()
    for number in range(50):
        counting.note(kind(number), None)
    assert book.attempts == 1
    counting.flush()
    assert book.attempts == 2
    book.error = None
    counting.flush()
    assert sum(book.counts()) == 50


def test_nobody_waits_for_another_ones_write_and_what_comes_meanwhile_is_written_after_it(clock: Clock) -> None:
    begun, may_end = threading.Event(), threading.Event()
    written: list[Counted] = []

    def write(counted: Sequence[Counted]) -> None:
        begun.set()
        assert may_end.wait(10)
        written.extend(counted)

    slow = Refusals(write, clock)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow.note, kind(1), None)
        assert begun.wait(10)
        slow.note(kind(2), None)
        assert written == []
        may_end.set()
        first.result()
    assert [one.kind for one in written] == [kind(1), kind(2)]


def test_counts_of_many_threads_add_up(book: Book) -> None:
    lock = threading.Lock()

    def write(counted: Sequence[Counted]) -> None:
        with lock:
            book.write(counted)

    counting = Refusals(write)
    with ThreadPoolExecutor(8) as pool:
        for number in range(4_000):
            pool.submit(counting.note, kind(number % 7), None)
    counting.flush()
    assert sum(book.counts()) == 4_000


def note(number: int, *, actor: str | None = None) -> None:
    note_refusal(
        tenant="default", actor=actor, reason="credentials", route="POST /", address_group="198.51.100.7",
        request_id=f"request-{number}",
    )  # fmt: skip


def test_ten_thousand_wrong_keys_are_a_handful_of_events_that_add_up(instance: Path) -> None:
    for number in range(10_000):
        note(number)
    note(10_000, actor="key:one")
    refusals().flush()
    with read(engine()) as connection:
        rows = connection.execute(select(audit_events)).all()
    assert len(rows) == 3
    assert sorted(json.loads(row.facts)["count"] for row in rows) == [1, 1, 9_999]
    assert {(row.action, row.outcome, row.target) for row in rows} == {("access.refused", "refused", "POST /")}
    mark = key_ring().mac("mark", b"address:198.51.100.7")[:16]
    assert {row.actor for row in rows} == {"key:one", f"address:{mark}"}
    assert "198.51" not in str(rows)


def test_refusals_are_answered_where_no_database_can_be_had(instance: Path) -> None:
    shutil.rmtree(instance / "database")
    (instance / "database").write_text("no folder")
    note(1)
    assert sum(tally.count for tally in refusals()._tallies.values()) == 1


def test_a_forked_process_leaves_the_rest_to_the_one_that_counted(counting: Refusals, book: Book) -> None:
    counting.note(kind(), None)
    counting.note(kind(), None)
    audit_refusals._flush_at_exit(counting, pid=-1)
    assert book.counts() == [1]


def test_what_is_left_is_written_when_the_process_ends(instance: Path) -> None:
    code = (
        "from common.security.audit_refusals import note_refusal\n"
        "for number in range(25):\n"
        "    note_refusal(tenant='default', actor='key:one', reason='scope', route='GET /', address_group='',"
        " request_id=None)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    with read(engine()) as connection:
        facts = connection.execute(select(audit_events.c.facts).order_by(audit_events.c.number)).scalars().all()
    assert facts == ['{"count":1,"reason":"scope"}', '{"count":24,"reason":"scope"}']
