"""Refused access in the audit, without letting whoever is refused fill it.

The first refusal of a kind is an event at once; further ones of that kind are counted, and follow together, at most
once a minute. However many kinds there are, an instance records at most `EVENTS_PER_MINUTE`; what waits is recorded
later, at the latest when the process ends. Nothing is dropped: the counts of all events add up to the refusals.

A refusal is answered whether or not it can be recorded. What cannot is told in the log and in
`assistant_errors_total`, and kept for the next attempt.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common.logging import component_logger
from common.metrics import metrics_collector
from common.once import once
from common.security.audit import Event, record_alone
from common.security.principal import DEFAULT_TENANT

REPEAT_SECONDS = 60.0
RETRY_SECONDS = 10.0  # after a failed attempt: with the database away each one may take seconds
EVENTS_PER_MINUTE = 60
MAX_KINDS = 1_000  # in memory

log = component_logger("security")


class Kind(NamedTuple):
    """What refusals have in common that are told together. Without an `actor` they come from `address`."""

    tenant: str
    reason: str
    route: str
    actor: str | None
    address: str


OTHERS = Kind(DEFAULT_TENANT, "other", "other", "others", "")
"""All that come when there are `MAX_KINDS` already."""


@dataclass(slots=True)
class _Tally:
    """Refusals of one kind since its last event. `due` is when the next event may be, as the clock says."""

    due: float
    count: int = 0
    request_id: str | None = None  # of the first of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Refusals that become one event."""

    kind: Kind
    count: int
    request_id: str | None


def note_refusal(
    *, tenant: str, actor: str | None, reason: str, route: str, address_group: str, request_id: str | None
) -> None:
    """Note that access was refused: to the principal `actor`, or where it is not known to whoever is at an address.

    `reason` and `route` are texts of ours, from a short list. The address is kept in memory alone: the event has a
    keyed hash of it. Never raises, and waits for the database at most once in `RETRY_SECONDS` while that is away.
    """
    kind = Kind(tenant, reason, route, actor, "" if actor is not None else address_group)
    refusals().note(kind, request_id)


class Refusals:
    """Counts refusals and records them when they are due. Safe for use by several threads."""

    def __init__(self, write: Callable[[Sequence[Counted]], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`write` records what it is given, whole or not at all; `clock` is in seconds."""
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._tallies: dict[Kind, _Tally] = {}
        self._is_writing = False
        self._next_due = clock()  # of those that wait, the first
        self._not_before = clock()  # whatever is due
        self._minute_ends = clock()
        self._left = 0  # events that this minute may still have

    def note(self, kind: Kind, request_id: str | None) -> None:
        """Count one, and record what is due, unless another thread does that already."""
        with self._lock:
            tally = self._tally(kind)
            if not tally.count:
                tally.request_id = request_id
            tally.count += 1
            self._next_due = min(self._next_due, tally.due)
            if self._is_writing or self._clock() < max(self._next_due, self._not_before):
                return
            self._is_writing = True
        self._record(everything=False)

    def flush(self) -> None:
        """Record all that is left, due or not."""
        self._record(everything=True)

    def _tally(self, kind: Kind) -> _Tally:
        """The tally of `kind`, or that of all others where there are too many."""
        known = self._tallies.get(kind)
        if known is None:
            if len(self._tallies) >= MAX_KINDS:
                kind = OTHERS
            known = self._tallies.setdefault(kind, _Tally(due=self._clock()))
        return known

    def _record(self, *, everything: bool) -> None:
        """Record until nothing is due: what others count meanwhile too, for they left it to this thread."""
        is_over = False
        while not is_over:
            with self._lock:
                taken = self._taken(everything)
                if not taken:
                    self._is_writing = False
                    return
            is_over = not self._written(taken)

    def _written(self, taken: Sequence[Counted]) -> bool:
        """Whether `taken` could be recorded; else it is counted again, and waits."""
        try:
            self._write(taken)
        except Exception as error:  # noqa: BLE001  # the refusal is answered all the same
            self._put_back(taken)
            kind, count = type(error).__name__, sum(one.count for one in taken)
            log.error("refusals.not_recorded", count=count, error_type=kind)
            metrics_collector.record_error("audit", kind)
            return False
        return True

    def _taken(self, everything: bool) -> list[Counted]:
        """What is to be recorded now, taken off the tallies. Kinds without anything to tell are forgotten."""
        now = self._clock()
        if now >= self._minute_ends:
            self._minute_ends, self._left = now + REPEAT_SECONDS, EVENTS_PER_MINUTE
        for kind in [kind for kind, tally in self._tallies.items() if not tally.count and tally.due <= now]:
            del self._tallies[kind]
        waiting = [(kind, tally) for kind, tally in self._tallies.items() if tally.count]
        chosen = waiting if everything else [one for one in waiting if one[1].due <= now][: max(0, self._left)]
        self._left -= len(chosen)
        taken = [Counted(kind=kind, count=tally.count, request_id=tally.request_id) for kind, tally in chosen]
        for _, tally in chosen:
            tally.count, tally.request_id, tally.due = 0, None, now + REPEAT_SECONDS
        self._next_due = min((tally.due for tally in self._tallies.values() if tally.count), default=float("inf"))
        if self._left <= 0:
            self._not_before = self._minute_ends
        return taken

    def _put_back(self, taken: Sequence[Counted]) -> None:
        with self._lock:
            retry = self._clock() + RETRY_SECONDS
            for one in taken:
                tally = self._tallies.setdefault(one.kind, _Tally(due=retry))
                tally.count += one.count
                tally.request_id = one.request_id
                tally.due = retry
            self._next_due = self._not_before = retry
            self._is_writing = False


@once
def refusals() -> Refusals:
    """This process's; what is left of them is recorded when it ends."""
    made = Refusals(_record_in_audit)
    atexit.register(_flush_at_exit, made, os.getpid())
    return made


def _flush_at_exit(left: Refusals, pid: int) -> None:
    """In the process that counted, not in one that was forked from it: that would tell the same twice."""
    if os.getpid() == pid:
        left.flush()


def _record_in_audit(counted: Sequence[Counted]) -> None:
    record_alone(*map(_event, counted))


def _event(one: Counted) -> Event:
    kind = one.kind
    return Event(
        tenant=kind.tenant,
        actor=kind.actor or f"address:{_address_mark(kind.address)}",
        action="access.refused",
        target=kind.route,
        outcome="refused",
        request_id=one.request_id,
        facts={"reason": kind.reason, "count": one.count},
    )


def _address_mark(address: str) -> str:
    """A keyed hash that tells whether two refusals came from one address, and not which it was."""
    from common.security.keyring import key_ring

    return key_ring().mac("mark", f"address:{address}".encode())[:16]
