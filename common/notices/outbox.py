"""The outbox: notices are kept in the transaction of what they tell of, and sent after it.

So none is sent of what was rolled back, and none is lost where a channel is down: whoever calls `deliver_due` next
tries it again. A notice is sent at least once. Twice only where a process ends, or the database goes away, between the
sending and its note here, or where a receiver takes it and says so too late: Message-ID and webhook-id are the same
then.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay, wait_random_exponential

from common.database.engine import engine, read, write
from common.database.tables import notices
from common.logging import component_logger
from common.metrics import metrics_collector
from common.notices.channels import Channel, NotSent, TimedOut, channels_for
from common.notices.notice import MAX_LINE, MAX_SUBJECT, Notice
from common.pii import mask
from common.settings import settings
from common.tracing import span

MOST_AT_ONCE = 100
ATTEMPTS = 3  # of one channel, before the notice is left for the next call
ATTEMPT_SECONDS = 10.0
CHANNEL_SECONDS = 25.0  # for all attempts of one channel at one notice, waits included
LEASE = timedelta(minutes=5)  # from when on one who claimed a notice is taken for dead; two channels take one minute

_JITTER = wait_random_exponential(multiplier=0.5, max=5)  # seconds: 0 to 0.5, 0 to 1, ...

log = component_logger("notices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """`sent` by this call, on every channel; `waiting` are all that have still to be sent, by whomever."""

    sent: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """A notice that this call alone delivers now. `sent_by`: the channels that took it already."""

    notice: Notice
    put_at: datetime
    sent_by: tuple[str, ...]


def put(connection: Connection, notice: Notice, now: datetime | None = None) -> bool:
    """Keep `notice` for delivery, in the caller's transaction; False where its key was put before.

    It is masked once more on the way: what goes to people's mailboxes is out of our hands.
    """
    lines = tuple(mask(line)[:MAX_LINE] for line in notice.lines)  # a mask may be longer than what it hides
    masked = replace(notice, subject=mask(notice.subject)[:MAX_SUBJECT], lines=lines)
    new = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = new(notices).values(
        key=notice.key,
        kind=notice.kind,
        payload=_payload(masked, ()),
        created_at=now or datetime.now(UTC),
        attempts=0,
    )
    return connection.scalar(row.on_conflict_do_nothing().returning(notices.c.key)) is not None


def deliver_due(
    deadline_seconds: float,
    *,
    channels: Sequence[Channel] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivered:
    """Send what is not sent yet, what was tried least first, and begin no notice after `deadline_seconds`.

    Never inside a transaction: it has its own, around each notice. A channel that is down is left alone for the rest of
    the call; one that refuses a notice gets the next. `channels` are those of the settings where they are not given;
    `sleep` and `clock` are there for tests.

    Raises:
        InvalidSettings: as `channels_for`; nothing is sent then, and nothing lost.
        DatabaseUnavailable: what is sent by then is sent.
    """
    ends = time.monotonic() + deadline_seconds
    open_channels = list(channels_for(settings()) if channels is None else channels)
    wanted = {channel.name for channel in open_channels}
    sent = 0
    for key in _due(clock()):
        if time.monotonic() >= ends or not open_channels:
            break
        claimed = _claim(key, clock())
        if claimed is None:  # somebody else is at it, or done
            continue
        delivery = _Delivery(claimed, ends, sleep)
        errors = {channel.name: delivery.by(channel) for channel in open_channels}
        is_done = wanted <= set(delivery.sent_by)
        _settle(key, delivery, clock() if is_done else None)
        sent += is_done
        open_channels = [one for one in open_channels if (error := errors[one.name]) is None or not error.is_outage]
    return Delivered(sent=sent, waiting=_count_waiting())


class _Delivery:
    """One notice on its way; `sent_by` grows, `reason` is why the last channel did not take it."""

    def __init__(self, claimed: _Claimed, ends: float, sleep: Callable[[float], None]) -> None:
        self.notice = claimed.notice
        self.sent_by = list(claimed.sent_by)
        self.reason: str | None = None
        self._put_at = claimed.put_at
        self._ends = ends
        self._sleep = sleep

    def by(self, channel: Channel) -> NotSent | None:
        """None: `channel` has it now, or had it before."""
        if channel.name in self.sent_by:
            return None
        try:
            with span(f"send {channel.name}", kind="client"):
                self._attempts(channel)
        except NotSent as error:
            self.reason = error.reason
            metrics_collector.record_notice(channel.name, "failed")
            log.warning(
                "notice.not_sent", kind=self.notice.kind, notice=self.notice.key, channel=channel.name,
                reason=error.reason,
            )  # fmt: skip
            return error
        self.sent_by.append(channel.name)
        metrics_collector.record_notice(channel.name, "sent")
        log.info("notice.sent", kind=self.notice.kind, notice=self.notice.key, channel=channel.name)
        return None

    def _attempts(self, channel: Channel) -> None:
        seconds = max(1.0, min(CHANNEL_SECONDS, self._ends - time.monotonic()))
        gives_up = time.monotonic() + seconds
        retrying = Retrying(
            retry=retry_if_exception(_is_worth_another),
            wait=_JITTER,
            stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(seconds),
            sleep=self._sleep,
            reraise=True,
        )
        retrying(lambda: self._attempt(channel, max(0.1, min(ATTEMPT_SECONDS, gives_up - time.monotonic()))))

    def _attempt(self, channel: Channel, seconds: float) -> None:
        """In a thread of its own: a library's time-out bounds each step, but neither the sum of them nor the look-up of
        a name. One that hangs is left behind."""
        context, outcome = copy_context(), Future[None]()

        def send() -> None:
            try:
                context.run(channel.send, self.notice, put_at=self._put_at, timeout_seconds=seconds)
            except BaseException as error:  # noqa: BLE001  # raised again by who waits
                outcome.set_exception(error)
            else:
                outcome.set_result(None)

        threading.Thread(target=send, name=f"notice by {channel.name}", daemon=True).start()
        try:
            outcome.result(timeout=seconds)
        except TimeoutError as error:
            raise TimedOut(channel.name) from error


def _is_worth_another(error: BaseException) -> bool:
    return isinstance(error, NotSent) and error.is_outage and not isinstance(error, TimedOut)


def _is_free(now: datetime) -> ColumnElement[bool]:
    row = notices.c
    return and_(row.sent_at.is_(None), or_(row.claimed_at.is_(None), row.claimed_at < now - LEASE))


def _due(now: datetime) -> Sequence[str]:
    query = (
        select(notices.c.key)
        .where(_is_free(now))
        .order_by(notices.c.attempts, notices.c.created_at)
        .limit(MOST_AT_ONCE)
    )
    with read(engine()) as connection:
        return connection.scalars(query).all()


def _count_waiting() -> int:
    with read(engine()) as connection:
        return connection.scalar(select(func.count()).where(notices.c.sent_at.is_(None))) or 0


def _claim(key: str, now: datetime) -> _Claimed | None:
    """The notice, where it is free: of several that ask at once one gets it."""
    row = notices.c
    claiming = (
        update(notices)
        .where(row.key == key, _is_free(now))
        .values(claimed_at=now, attempts=row.attempts + 1)
        .returning(row.kind, row.payload, row.created_at)
    )
    with write(engine()) as connection:
        found = connection.execute(claiming).one_or_none()
    if found is None:
        return None
    content = json.loads(found.payload)
    notice = Notice(
        kind=found.kind,
        key=key,
        subject=content["subject"],
        lines=tuple(content["lines"]),
        link=content["link"],
    )
    return _Claimed(notice=notice, put_at=found.created_at, sent_by=tuple(content["sent_by"]))


def _settle(key: str, delivery: _Delivery, sent_at: datetime | None) -> None:
    values = {
        "claimed_at": None,
        "sent_at": sent_at,
        "last_error": delivery.reason,
        "payload": _payload(delivery.notice, delivery.sent_by),
    }
    with write(engine()) as connection:
        connection.execute(update(notices).where(notices.c.key == key).values(values))


def _payload(notice: Notice, sent_by: Sequence[str]) -> str:
    content = {"subject": notice.subject, "lines": list(notice.lines), "link": notice.link, "sent_by": list(sent_by)}
    return json.dumps(content, ensure_ascii=False)
