"""How telemetry leaves: sent from a thread of its own, so that no request waits for a collector or gateway.

The thread starts in the process that first has something to send, which a function that is imported has not: gunicorn
imports it in its master and forks, and a thread does not survive that; a child begins anew. On Cloud Run the CPU may
end with a call's answer, so there the end of a call waits for what is due, at most `wait_seconds`, and not at all while
the receiver is known to be away or slow. Within `one_wait` all channels of a call share that time.
"""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from common.logging import get_logger
from common.settings import settings

log = get_logger(__name__)

Channel = Literal["traces", "metrics", "logs"]
Outcome = Literal["ok", "failed", "timed_out"]

LOG_EVERY_SECONDS = 60.0


# What the current call is to wait for: a delivery and the number of its send; None outside `one_wait`.
_waits: "ContextVar[list[tuple[Delivery, int]] | None]" = ContextVar("telemetry_waits", default=None)


@contextmanager
def one_wait() -> Iterator[None]:
    """For the end of a call: all channels that end it inside send at once, and the call waits once for all of them."""
    waits: list[tuple[Delivery, int]] = []
    token = _waits.set(waits)
    try:
        yield
    finally:
        _waits.reset(token)
    since = time.monotonic()
    for delivery, wanted in waits:
        delivery._wait_at_a_calls_end(wanted, since)


def _always() -> bool:
    return True


def _nothing() -> None:
    return


class Delivery:
    """Sends one kind of telemetry: every `every_seconds`, when woken, and once more when the process ends.

    `send` sends all that is there, bounded by `Settings.telemetry_timeout_seconds`; any exception of it is a failure.
    `has_work` says whether a send would send anything. `close` runs after the last send. `send` and `close` run in
    the delivery's thread. `forget` runs in a forked child, which is not to send what is its parent's. `clock` gives
    monotonic seconds.
    """

    def __init__(
        self,
        channel: Channel,
        send: Callable[[], None],
        *,
        every_seconds: float,
        wait_seconds: float,
        close: Callable[[], None] | None = None,
        has_work: Callable[[], bool] = _always,
        forget: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel: Channel = channel
        self._send = send
        self._every_seconds = every_seconds
        self._wait_seconds = wait_seconds
        self._close = close
        self._has_work = has_work
        self._forget = forget
        self._clock = clock
        self._reset()
        _all.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def _reset(self) -> None:
        """As new: also in a forked child, where the parent's thread is not, and its lock may be held for ever."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = 0  # how many sends were asked for, and how many of those are done
        self._done = 0
        self._is_closing = False
        self._is_closed = False
        self._is_reachable = True  # the last send went well, and no call has waited in vain since
        self._sending_since: float | None = None
        self._due_at = self._log_at = self._clock()

    def start(self) -> None:
        """Make sure that the thread of this process runs. Costs next to nothing when it does."""
        if self._thread is None and not self._is_closing:
            with self._changed:
                self._start()

    def _start(self) -> None:
        if self._thread is not None or self._is_closing:
            return
        thread = threading.Thread(target=self._run, name=f"deliver-{self._channel}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads; the next call tries again
            self._report("failed", 0.0, type(error).__name__)
        else:
            self._thread = thread

    def wake(self) -> None:
        """Send soon, without waiting for it."""
        self.start()
        if self._thread is not None:
            self._ask()

    def flush(self) -> None:
        """Send now, and wait for it, at most `Settings.telemetry_timeout_seconds`. Not for the path of a request."""
        self.start()
        if self._thread is not None:
            wanted = self._ask()
            with self._changed:
                self._changed.wait_for(lambda: self._done >= wanted, settings().telemetry_timeout_seconds)

    def after_call(self) -> None:
        """At the end of a request. Costs below a microsecond unless something is due."""
        if self._clock() < self._due_at or self._is_closing or not self._has_work():
            return
        self.start()
        if self._thread is None:
            return
        hangs = self._hangs()
        wanted = self._ask()
        if self._is_reachable and not hangs and settings().k_service is not None:
            waits = _waits.get()
            if waits is None:
                self._wait_at_a_calls_end(wanted, time.monotonic())
            else:
                waits.append((self, wanted))

    def close(self) -> None:
        """Send what is left and end the thread, within `Settings.telemetry_timeout_seconds`; a second call is nothing.

        Does nothing in a process that never had anything to send, as gunicorn's master.
        """
        with self._changed:
            if self._is_closing:
                return
            self._is_closing = True
            self._changed.notify_all()
            if self._thread is not None:
                self._changed.wait_for(lambda: self._is_closed, settings().telemetry_timeout_seconds)

    def _ask(self) -> int:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def _hangs(self) -> bool:
        """Whether a send is under way for longer than a call may wait."""
        since = self._sending_since
        return since is not None and self._clock() - since > self._wait_seconds

    def _wait_at_a_calls_end(self, wanted: int, since: float) -> None:
        """`since` is when the call began to wait, for whichever channel, in seconds of `time.monotonic`."""
        seconds = self._wait_seconds - (time.monotonic() - since)
        with self._changed:
            if not self._changed.wait_for(lambda: self._done >= wanted, seconds):
                self._is_reachable = False  # no other call waits until a send went well

    def _run(self) -> None:
        is_last = False
        while not is_last:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._done or self._is_closing, self._every_seconds)
                serving, is_last = self._asked, self._is_closing
            self._deliver()
            if is_last and self._close is not None:
                self._attempt(self._close, count_success=False)
            with self._changed:
                self._done = serving
                self._is_closed = is_last
                self._changed.notify_all()

    def _deliver(self) -> None:
        self._due_at = self._clock() + self._every_seconds
        if self._has_work():
            self._sending_since = self._clock()
            went_well = self._attempt(self._send)
            with self._changed:
                self._sending_since = None
                self._is_reachable = went_well

    def _attempt(self, action: Callable[[], None], *, count_success: bool = True) -> bool:
        """Whether `action` went well. It is counted; a failure is logged, at most once a minute."""
        begun = self._clock()
        error_type = None
        try:
            action()
        except Exception as error:  # noqa: BLE001  # whatever it is: the thread goes on, and tells it here
            error_type = type(error).__name__
        seconds = self._clock() - begun
        if error_type is not None:
            # Exporters say only that they gave up: by the time they took, it was the receiver that did not answer.
            is_late = seconds >= settings().telemetry_timeout_seconds * 0.9
            self._report("timed_out" if is_late else "failed", seconds, error_type)
        elif count_success:
            self._report("ok", seconds, None)
        return error_type is None

    def _report(self, outcome: Outcome, seconds: float, error_type: str | None) -> None:
        from common.metrics import metrics_collector  # it has deliveries of its own

        metrics_collector.record_telemetry_send(self._channel, outcome, seconds)
        now = self._clock()
        if error_type is not None and now >= self._log_at:
            self._log_at = now + LOG_EVERY_SECONDS
            log.warning("telemetry.failed", part=self._channel, outcome=outcome, error_type=error_type)


_all: "weakref.WeakSet[Delivery]" = weakref.WeakSet()


def _reset_in_child() -> None:
    for delivery in list(_all):
        delivery._reset()
        delivery._forget()


def _close_at_exit(reference: "weakref.ref[Delivery]") -> None:
    delivery = reference()
    if delivery is not None:
        delivery.close()


os.register_at_fork(after_in_child=_reset_in_child)
