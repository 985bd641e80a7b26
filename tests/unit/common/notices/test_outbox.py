"""The outbox: what is put is sent once, by one of those who try, and never lost."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, Row, select

from common.database.engine import read, write
from common.database.tables import notices
from common.metrics import metrics_collector
from common.notices import outbox
from common.notices.channels import ChannelName, LogChannel, NotSent
from common.notices.notice import Notice
from common.notices.outbox import LEASE, Delivered, deliver_due, put
from tests.log_lines import log_lines

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NotSent("later", is_outage=True)
NEVER = NotSent("never", is_outage=False)


@dataclass
class Fake:
    """A channel that raises `errors` one after the other, and then takes everything."""

    name: ChannelName = "email"
    errors: list[Exception] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    attempts: int = 0
    meanwhile: Callable[[], None] = lambda: None

    def send(self, notice: Notice, *, put_at: datetime, timeout_seconds: float) -> None:
        assert put_at == AT
        assert 0 < timeout_seconds <= 10
        self.attempts += 1
        self.meanwhile()
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(notice.key)


@pytest.fixture
def kept(sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(outbox, "engine", lambda: sqlite_database)
    return sqlite_database


@pytest.fixture
def either(database: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """SQLite and PostgreSQL, where the two could differ."""
    monkeypatch.setattr(outbox, "engine", lambda: database)
    return database


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(metrics_collector, "record_notice", lambda *labels: found.append(labels))
    return found


def notice(key: str, **other: object) -> Notice:
    return Notice(**{"kind": "budget", "key": key, "subject": "Subject", "lines": ("Line.",), **other})  # type: ignore[arg-type]


def keep(engine: Engine, *keys: str) -> list[bool]:
    with write(engine) as connection:
        return [put(connection, notice(key), AT) for key in keys]


def row(engine: Engine, key: str = "a") -> Row[tuple[object, ...]]:
    with read(engine) as connection:
        return connection.execute(select(notices).where(notices.c.key == key)).one()


def deliver(*channels: Fake | LogChannel, seconds: float = 60, at: datetime = AT) -> Delivered:
    return deliver_due(seconds, channels=channels, sleep=lambda _: None, clock=lambda: at)


def test_a_notice_is_sent_and_then_never_again(kept: Engine, counted: list[tuple[str, str]]) -> None:
    channel = Fake()
    assert keep(kept, "a", "b") == [True, True]
    assert deliver(channel) == Delivered(sent=2, waiting=0)
    assert deliver(channel) == Delivered(sent=0, waiting=0)
    assert sorted(channel.taken) == ["a", "b"]
    assert (row(kept).sent_at, row(kept).attempts, row(kept).last_error) == (AT, 1, None)
    assert counted == [("email", "sent")] * 2


def test_the_same_key_is_kept_once_also_after_it_was_sent(either: Engine) -> None:
    channel = Fake()
    assert keep(either, "a", "a") == [True, False]
    deliver(channel)
    assert keep(either, "a") == [False]
    assert deliver(channel) == Delivered(sent=0, waiting=0)
    assert channel.taken == ["a"]


def test_what_is_rolled_back_was_never_put(kept: Engine) -> None:
    with write(kept) as connection:
        put(connection, notice("a"), AT)
        connection.get_transaction().rollback()  # type: ignore[union-attr]  # there is one
    assert deliver(Fake()) == Delivered(sent=0, waiting=0)


def test_personal_data_that_slipped_in_is_masked(kept: Engine) -> None:
    with write(kept) as connection:
        put(connection, notice("a", subject="For jane.roe@example.com", lines=("SSN 078-05-1120", "x" * 1000)), AT)
    assert json.loads(str(row(kept).payload)) == {
        "subject": "For [EMAIL]", "lines": ["SSN [SSN]", "x" * 1000], "link": None, "sent_by": [],
    }  # fmt: skip


def test_an_outage_that_passes_is_waited_for(kept: Engine, counted: list[tuple[str, str]]) -> None:
    channel = Fake(errors=[LATER, LATER])
    keep(kept, "a")
    assert deliver(channel) == Delivered(sent=1, waiting=0)
    assert (channel.attempts, counted) == (3, [("email", "sent")])


def test_a_channel_that_is_down_leaves_everything_for_the_next_call(
    kept: Engine, counted: list[tuple[str, str]]
) -> None:
    channel = Fake(errors=[LATER] * 3)
    keep(kept, "a", "b")
    with log_lines() as lines:
        assert deliver(channel) == Delivered(sent=0, waiting=2)
    assert channel.attempts == 3  # and the second notice was not tried
    (line,) = [line for line in lines if line["event"] == "notice.not_sent"]
    assert (line["channel"], line["kind"], line["reason"]) == ("email", "budget", "later")
    assert counted == [("email", "failed")]
    assert deliver(channel) == Delivered(sent=2, waiting=0)
    assert sorted(channel.taken) == ["a", "b"]


def test_a_notice_that_is_refused_does_not_keep_others_back(kept: Engine) -> None:
    channel = Fake(errors=[NEVER])
    keep(kept, "a", "b")
    assert deliver(channel) == Delivered(sent=1, waiting=1)
    (left,) = {"a", "b"} - set(channel.taken)
    assert (row(kept, left).last_error, row(kept, left).claimed_at) == ("never", None)


def test_each_channel_gets_it_once_though_another_is_down(kept: Engine) -> None:
    email, webhook = Fake("email"), Fake("webhook", errors=[LATER] * 3)
    keep(kept, "a")
    assert deliver(email, webhook) == Delivered(sent=0, waiting=1)
    assert deliver(email, webhook) == Delivered(sent=1, waiting=0)
    assert (email.taken, webhook.taken) == (["a"], ["a"])


def test_a_channel_that_is_down_does_not_keep_the_other_from_later_notices(kept: Engine) -> None:
    email, webhook = Fake("email"), Fake("webhook", errors=[LATER] * 3)
    keep(kept, "a", "b")
    assert deliver(email, webhook) == Delivered(sent=0, waiting=2)
    assert sorted(email.taken) == ["a", "b"]
    assert deliver(email, webhook) == Delivered(sent=2, waiting=0)
    assert sorted(email.taken) == sorted(webhook.taken) == ["a", "b"]


def test_a_channel_that_is_added_later_gets_what_still_waits(kept: Engine) -> None:
    email, webhook = Fake("email", errors=[NEVER]), Fake("webhook")
    keep(kept, "a")
    deliver(email)
    assert deliver(email, webhook) == Delivered(sent=1, waiting=0)
    assert webhook.taken == ["a"]


def test_a_notice_that_another_instance_sends_now_is_left_to_it(either: Engine) -> None:
    inner = Fake()
    outer = Fake(meanwhile=lambda: seen.append(deliver(inner)))
    seen: list[Delivered] = []
    keep(either, "a")
    assert deliver(outer) == Delivered(sent=1, waiting=0)
    assert seen == [Delivered(sent=0, waiting=1)]
    assert inner.taken == []


def test_of_one_who_died_another_takes_over(either: Engine) -> None:
    keep(either, "a")
    with pytest.raises(KeyboardInterrupt):
        deliver(Fake(errors=[KeyboardInterrupt()]))  # type: ignore[list-item]  # as dead as a test can be
    assert deliver(Fake(), at=AT + LEASE) == Delivered(sent=0, waiting=1)
    after = AT + LEASE + timedelta(seconds=1)
    assert deliver(Fake(), at=after) == Delivered(sent=1, waiting=0)
    assert row(either).attempts == 2


def test_many_at_once_send_each_notice_once(either: Engine) -> None:
    keys = [f"n{number}" for number in range(12)]
    keep(either, *keys)
    channels = [Fake() for _ in range(4)]
    start = threading.Barrier(4)

    def run(channel: Fake) -> Delivered:
        start.wait()
        return deliver(channel)

    with ThreadPoolExecutor(4) as threads:
        counts = list(threads.map(run, channels))
    assert sum(count.sent for count in counts) == len(keys)
    assert sorted(key for channel in channels for key in channel.taken) == sorted(keys)


def test_two_who_put_the_same_key_at_once_keep_it_once(either: Engine) -> None:
    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda _: keep(either, "a"), range(8)))
    assert sorted(outcomes) == [[False]] * 7 + [[True]]


def test_after_the_deadline_nothing_is_begun(kept: Engine) -> None:
    channel = Fake()
    keep(kept, "a")
    assert deliver(channel, seconds=0) == Delivered(sent=0, waiting=1)
    assert channel.attempts == 0


@pytest.fixture
def hanging() -> Iterator[Fake]:
    over = threading.Event()

    def wait() -> None:
        over.wait(10)

    yield Fake(meanwhile=wait)
    over.set()


def test_one_that_hangs_is_left_behind(kept: Engine, hanging: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "ATTEMPT_SECONDS", 0.05)
    keep(kept, "a")
    assert deliver(hanging) == Delivered(sent=0, waiting=1)
    assert row(kept).last_error == "email: timed out"
    assert hanging.attempts == 1  # it may have been taken: not three of it


def test_without_settings_a_notice_is_a_line_in_the_log(kept: Engine) -> None:
    keep(kept, "a")
    with log_lines() as lines:
        assert deliver(LogChannel()) == Delivered(sent=1, waiting=0)
    (line,) = [line for line in lines if line["event"] == "notice.given"]
    assert (line["notice"], line["subject"], line["lines"]) == ("a", "Subject", ["Line."])


def test_an_error_of_our_own_is_not_swallowed(kept: Engine) -> None:
    keep(kept, "a")
    with pytest.raises(ZeroDivisionError):
        deliver(Fake(errors=[ZeroDivisionError()]))
