"""The chain of audit events: each is signed together with all before it, and so is its end.

An event's signature is a keyed hash of its fields and of the link before it; the link after it is a keyed hash of its
number and signature. Events hold the signatures, and only the head holds a link: the newest. So whoever can write to
the database and has not the audit key can neither change an event, nor leave one out, nor put one in; and who cuts off
the end does not know the link that the head had then. Who kept an old head, or a whole old database, is found out by
the exports in the archive: checkpoints that the chain must still pass through.
"""

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

from sqlalchemy import Connection, Row, String, insert, select, type_coerce, update

from common.database.tables import audit_events, audit_head

Mac = Callable[[Literal["audit"], bytes], str]
"""`KeyRing.mac`."""

BATCH = 500  # events in memory at a time
NO_LINK = ""  # before the first event
NO_NUMBER = 0  # of what stands where a number should be

Reason = Literal["changed", "missing", "inserted", "forked", "cut off", "head changed", "not archived"]

WORDS: Mapping[Reason, str] = {
    "changed": "it does not fit its signature: it was changed, or another one stands in its place",
    "missing": "it is missing, while later ones are there",
    "inserted": "it was never recorded: its number is not the next one",
    "forked": "the archive has another event of this number",
    "cut off": "it is missing, and so are all after it",
    "not archived": "it was exported, and the archive has it no more",
    "head changed": "the mark of the newest event does not fit it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event as it is stored or exported, whatever it is by now: nothing of it is trusted.

    `at` is ISO 8601 with microseconds, in UTC; `facts` the JSON text that was signed.
    """

    number: int
    at: str
    tenant: str
    actor: str
    action: str
    target: str
    outcome: str
    request_id: str | None
    facts: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """All is as it was recorded: `events` of them, the newest with `signature`, which is empty where there is none."""

    events: int
    signature: str
    holds: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"The audit chain holds: {self.events:,} events."


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLink:
    """The first event, by its number, that is not as it was recorded."""

    number: int
    reason: Reason
    holds: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"The audit chain is broken at event {self.number}: {WORDS[self.reason]}."


def append(connection: Connection, mac: Mac, *, at: datetime, **fields: str | None) -> int:
    """Add an event behind the newest, and return its number. `fields` are those of `Entry`, fit to be stored.

    Writers take turns at the head's row; SQLite gave this one its turn when the transaction began.
    """
    head = connection.execute(select(audit_head.c.number, audit_head.c.signature).with_for_update()).one()
    number: int = head.number + 1
    signature = _signature(mac, (number, _iso(at), *(fields[name] for name in _FIELDS)), head.signature)
    connection.execute(insert(audit_events).values(number=number, at=at, **fields, signature=signature))
    connection.execute(update(audit_head).values(number=number, signature=_link(mac, number, signature)))
    return number


class Walk:
    """Entries checked one after the other, from the first event on."""

    def __init__(self, mac: Mac, checkpoints: Mapping[int, str] | None = None) -> None:
        """`checkpoints` are signatures, by number, that are known from elsewhere."""
        self._mac = mac
        self._checkpoints = checkpoints or {}
        self.number = 0
        self.signature = ""
        self.link = NO_LINK

    def behind(self, number: int, signature: str) -> Self:
        """This walk, standing behind the event `number` as it would if that had been checked."""
        self.number, self.signature = number, signature
        self.link = _link(self._mac, number, signature) if number else NO_LINK
        return self

    def broken_by(self, entry: Entry) -> BrokenLink | None:
        """Why `entry` cannot be the next, or None: then it was, and the walk stands behind it."""
        number = self.number + 1
        if entry.number != number:
            return BrokenLink(number=number, reason="missing" if entry.number > number else "inserted")
        fields = (number, entry.at, *(getattr(entry, name) for name in _FIELDS))
        if entry.signature != _signature(self._mac, fields, self.link):
            return BrokenLink(number=number, reason="changed")
        if self._checkpoints.get(number, entry.signature) != entry.signature:
            return BrokenLink(number=number, reason="forked")
        self.number, self.signature = number, entry.signature
        self.link = _link(self._mac, number, entry.signature)
        return None

    def through(self, entries: Iterable[Entry]) -> BrokenLink | None:
        """The first of `entries` that breaks the chain."""
        return next(filter(None, map(self.broken_by, entries)), None)

    def ended(self) -> Verified | BrokenLink:
        """What is found when nothing comes any more."""
        if any(number > self.number for number in self._checkpoints):
            return BrokenLink(number=self.number + 1, reason="cut off")
        return Verified(events=self.number, signature=self.signature)


def verify(connection: Connection, mac: Mac, checkpoints: Mapping[int, str] | None = None) -> Verified | BrokenLink:
    """Walk through all events as `connection` sees them; a `read` transaction sees them and the head at one moment.

    `checkpoints` are signatures by number, of events that the archive holds. Memory does not grow with the chain.
    """
    walk = Walk(mac, checkpoints)
    with closing(entries(connection)) as stored:
        broken = walk.through(stored)
    if broken is not None:
        head = connection.execute(select(audit_head.c.number)).scalar()
        is_beyond = isinstance(head, int) and broken.number > head
        return BrokenLink(number=broken.number, reason="inserted") if is_beyond else broken
    return _ended_at_head(connection, walk) or walk.ended()


def entries(connection: Connection, *, above: int = 0, limit: int | None = None) -> Generator[Entry]:
    """Stored events in order, from number `above` + 1 on; without `above` also those that no number could be given.

    Whoever does not read to the end closes it: PostgreSQL keeps the rest ready.
    """
    statement = select(*_COLUMNS).order_by(audit_events.c.number).limit(limit)
    if above:
        statement = statement.where(audit_events.c.number > above)
    options: dict[str, Any] = {"stream_results": True, "yield_per": BATCH}  # Any: as SQLAlchemy types them
    with connection.execute(statement.execution_options(**options)) as rows:
        yield from map(_entry, rows)


def newest(
    connection: Connection, limit: int, *, since: datetime | None = None, action: str | None = None
) -> list[Entry]:
    """The newest events of those that are wanted, at most `limit`, oldest first. Nothing is checked."""
    statement = select(*_COLUMNS).order_by(audit_events.c.number.desc()).limit(limit)
    if since is not None:
        statement = statement.where(audit_events.c.at >= since)
    if action is not None:
        statement = statement.where(audit_events.c.action == action)
    return [_entry(row) for row in connection.execute(statement)][::-1]


def _ended_at_head(connection: Connection, walk: Walk) -> BrokenLink | None:
    """What is wrong with the head, after the last event."""
    head = connection.execute(select(audit_head.c.number, audit_head.c.signature)).one_or_none()
    if head is None or not isinstance(head.number, int):
        return BrokenLink(number=walk.number, reason="head changed")
    if head.number > walk.number:
        return BrokenLink(number=walk.number + 1, reason="cut off")
    if head.number < walk.number:
        return BrokenLink(number=head.number + 1, reason="inserted")
    return None if head.signature == walk.link else BrokenLink(number=walk.number, reason="head changed")


_FIELDS = ("tenant", "actor", "action", "target", "outcome", "request_id", "facts")
# SQLite gives the stored text of `at`, which may be anything by now; PostgreSQL gives a time.
_COLUMNS = (
    audit_events.c.number,
    type_coerce(audit_events.c.at, String).label("at"),
    *(audit_events.c[name] for name in (*_FIELDS, "signature")),
)


def _entry(row: Row[Any]) -> Entry:  # Any: whatever the database holds by now
    values = dict(zip(("number", "at", *_FIELDS, "signature"), row, strict=True))
    values["number"] = row.number if isinstance(row.number, int) else NO_NUMBER
    values["at"] = _iso(row.at) if isinstance(row.at, datetime) else _iso_of_text(row.at)
    return Entry(**values)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _iso_of_text(stored: object) -> str:
    """The time as SQLite keeps it, 2026-11-28 09:30:00.000000; any other spelling gives what no event was signed as."""
    day, _, time = str(stored).partition(" ")
    return f"{day}T{time}+00:00"


def _signature(mac: Mac, fields: tuple[object, ...], link: str) -> str:
    return mac("audit", _message("audit-event/1", *fields, link))


def _link(mac: Mac, number: int, signature: str) -> str:
    return mac("audit", _message("audit-link/1", number, signature))


def _message(*parts: object) -> bytes:
    """`parts` in one way that no others are written; `repr` is for what only a changed row can hold."""
    return json.dumps(parts, separators=(",", ":"), default=repr).encode()
