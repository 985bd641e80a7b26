"""Lines to the logging API of Google Cloud, for processes whose stdout nobody collects (`LOG_TO=api`).

Not by google-cloud-logging's own handler: its background thread keeps a process alive for up to a minute at its end
while the API is away, its queue has no bound, and what it cannot send is gone. Here a line waits in a bounded queue,
a `Delivery` sends, each call is bounded, and whatever did not get there goes to the fallback: nothing is lost.

gRPC does not survive a fork, and gunicorn imports a function, which may log, in the master that forks its workers: so
lines wait there until a call ends in this process, a full batch waits, or the process ends. For the sake of processes
that answer no calls, one that is no longer starting and never forked sends its lines too.
"""

import atexit
import concurrent.futures.thread  # noqa: F401  # gRPC's import needs it, and it fails once the process ends
import json
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from common.telemetry import log_counts
from common.telemetry.delivery import Delivery
from common.telemetry.log_lines import JsonLines, Line

if TYPE_CHECKING:
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
    from google.cloud.logging_v2.types import LogEntry

MAX_WAITING = 10_000  # lines
MAX_WAITING_CHARACTERS = 8_000_000
MAX_BATCH = 500  # lines of one call
MAX_BATCH_CHARACTERS = 2_000_000  # the API takes 10 MB
EVERY_SECONDS = 1.0
CALL_SHARE = 0.8  # of the time-out: a call that hangs is over before the end of the process stops waiting for it
START_SECONDS = 10.0  # in which a process that will fork has done so
LEAVE_SECONDS = 2.0  # for a call to notice that its channel is closed

_PREFIX = "logging.googleapis.com/"
_OWN_PLACES = {
    "severity": "severity",
    "time": "timestamp",
    "httpRequest": "httpRequest",
    f"{_PREFIX}trace": "trace",
    f"{_PREFIX}spanId": "spanId",
    f"{_PREFIX}trace_sampled": "traceSampled",
    f"{_PREFIX}labels": "labels",
    f"{_PREFIX}sourceLocation": "sourceLocation",
}


class Fallback(Protocol):
    """Takes lines, as JSON text, that the API did not get. Raises whatever went wrong."""

    def __call__(self, text: str, /) -> None: ...


def _connect() -> "LoggingServiceV2Client":
    """A client with the credentials of the environment.

    Raises:
        DefaultCredentialsError: there are none.
    """
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

    return LoggingServiceV2Client()


class ApiOutput:
    """Queues lines and has them sent; one for a process. `timeout_seconds` bounds a call, `wait_seconds` what the end
    of a request may wait for one, on Cloud Run only (see `Delivery`)."""

    name = "api"

    def __init__(
        self,
        project: str,
        log_id: str,
        *,
        fallback: Fallback,
        timeout_seconds: float,
        wait_seconds: float,
        connect: "Callable[[], LoggingServiceV2Client] | None" = None,
    ) -> None:
        self._render = JsonLines(project)
        self._fallback = fallback
        self._timeout_seconds = timeout_seconds
        self._connect = connect or _connect
        self._log_name = f"projects/{project}/logs/{quote(log_id, safe='')}"
        self._resource = {"type": "global", "labels": {"project_id": project}}
        self._forget()
        self._delivery = Delivery(
            "logs",
            self._send,
            every_seconds=EVERY_SECONDS,
            wait_seconds=wait_seconds,
            has_work=lambda: bool(self._waiting),
            forget=self._forget,
        )
        atexit.register(_end_at_exit, weakref.ref(self))  # after the delivery's own, so it runs before it

    def _forget(self) -> None:
        """As new: also in a forked child, where the lines and the connection are its parent's."""
        self._client: LoggingServiceV2Client | None = None
        self._waiting: deque[str] = deque()
        self._characters_in = 0  # of all lines that were ever queued, and of those that were taken out again:
        self._characters_out = 0  # each is counted by one thread alone
        self._leaving: list[str] = []  # on the wire; no longer waiting, and not known to have arrived
        self._idle = threading.Event()
        self._idle.set()
        self._is_ended = False
        self._starting_until = time.monotonic() + START_SECONDS

    def write(self, line: Line) -> None:
        """Queue it.

        Raises:
            BufferError: too many wait already, or nothing is sent any more.
        """
        text = self._render(line)
        characters = self._characters_in - self._characters_out + len(text)
        if self._is_ended or len(self._waiting) >= MAX_WAITING or characters > MAX_WAITING_CHARACTERS:
            raise BufferError
        self._characters_in += len(text)
        self._waiting.append(text)
        if len(self._waiting) >= MAX_BATCH or (time.monotonic() >= self._starting_until and not _has_forked):
            self._delivery.start()

    def after_call(self) -> None:
        self._delivery.after_call()

    def close(self) -> None:
        """Nothing: lines go on, and leave as before."""

    def end(self) -> None:
        """Send what is left, bounded; the rest goes to the fallback. Later lines are refused."""
        if self._waiting:
            self._delivery.start()
        self._delivery.close()
        if self._client is not None:
            self._client.transport.close()  # type: ignore[no-untyped-call]  # ends a call that hangs
        # A daemon thread that the interpreter ends inside gRPC's C++ aborts the whole process.
        self._idle.wait(LEAVE_SECONDS)
        self._is_ended = True
        left = [*self._leaving, *self._waiting]
        self._waiting.clear()
        self._give_back(left)

    def _send(self) -> None:
        """Runs in the delivery's thread. Batches until nothing waits, or one fails: then all go to the fallback."""
        self._idle.clear()
        try:
            self._send_all()
        finally:
            self._idle.set()

    def _send_all(self) -> None:
        until = time.monotonic() + self._timeout_seconds * CALL_SHARE
        while batch := self._next_batch():
            self._leaving = list(batch)
            try:
                self._write_entries(self._entries(batch), max(0.1, until - time.monotonic()))
            except Exception:
                self._give_back(self._leaving)
                self._leaving = []
                while rest := self._next_batch():
                    self._give_back(rest)
                raise
            self._leaving = []

    def _next_batch(self) -> list[str]:
        batch: list[str] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_CHARACTERS:
            batch.append(self._waiting.popleft())
            size += len(batch[-1])
        self._characters_out += size
        return batch

    def _entries(self, batch: Sequence[str]) -> "list[LogEntry]":
        """The batch for the API; what it cannot take, for a field of somebody's, is given back one by one."""
        entries = []
        for text in batch:
            try:
                entries.append(entry_of(text))
            except Exception:  # noqa: BLE001  # protobuf's ParseError, and what its messages raise
                self._leaving.remove(text)
                self._give_back([text])
        return entries

    def _write_entries(self, entries: "list[LogEntry]", timeout_seconds: float) -> None:
        if self._client is None:
            self._client = self._connect()
        self._client.write_log_entries(
            log_name=self._log_name,
            resource=self._resource,
            entries=entries,
            timeout=timeout_seconds,
            retry=None,  # the client's own goes on for a minute
        )

    def _give_back(self, texts: Sequence[str]) -> None:
        for text in texts:
            log_counts.failed("api")
            try:
                self._fallback(text)
            except Exception:  # noqa: BLE001  # stdout is closed as well
                log_counts.failed("lost")


_has_forked = False


def _forked(is_parent: bool) -> None:
    global _has_forked
    _has_forked = is_parent


os.register_at_fork(after_in_parent=lambda: _forked(True), after_in_child=lambda: _forked(False))


def _end_at_exit(reference: "weakref.ref[ApiOutput]") -> None:
    output = reference()
    if output is not None:
        output.end()


def entry_of(text: str) -> "LogEntry":
    """The API's entry of a JSON line: what has a place of its own there, the rest as its payload."""
    from google.cloud.logging_v2.types import LogEntry
    from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # it ships no types

    line: dict[str, Any] = json.loads(text)  # Any: JSON of any line
    entry = {place: line.pop(name) for name, place in _OWN_PLACES.items() if name in line}
    location = entry.get("sourceLocation")
    if location is not None:
        entry["sourceLocation"] = location | {"line": str(location["line"])}  # int64, in JSON a string
    made: LogEntry = LogEntry.wrap(ParseDict(entry | {"jsonPayload": line}, LogEntry.pb(LogEntry())))
    return made
