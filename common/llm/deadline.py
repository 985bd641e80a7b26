"""A time limit for remote calls behind seams that have no parameter for one, such as `Embedder`."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)  # a reading of time.monotonic()


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Calls inside end within `seconds`, and within what a block around this one leaves. None: no limit of its own.

    It holds for this context alone: a thread that is started inside must run in a copy of it.
    """
    ends = time.monotonic() + (math.inf if seconds is None else seconds)
    token = _deadline.set(min(_deadline.get(), ends))
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left() -> float:
    """What is left of the limit: 0 after its end, infinity without one."""
    return max(0.0, _deadline.get() - time.monotonic())
