"""SIGINT and SIGTERM in a deploy: they stop it where it is, once; while it puts everything back, they wait."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Somebody stopped the deploy by a signal. As KeyboardInterrupt, it is no `Exception`, and so no fault."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Within, the first of these signals raises `Stopped`, wherever the program is."""

    is_stopped = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal is_stopped
        if not is_stopped:  # a second one would end what the first one began: putting everything back
            is_stopped = True
            raise Stopped(signal.Signals(number).name)

    with _handled(stop):
        yield


@contextmanager
def unstoppable(say: Callable[[str], None]) -> Iterator[None]:
    """Within, these signals are answered and change nothing."""

    def answer(number: int, _frame: FrameType | None) -> None:
        say(f"{signal.Signals(number).name}: everything is being put back already; please wait")

    with _handled(answer):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _STOPPING}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
