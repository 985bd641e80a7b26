"""How long something takes, where other work on the machine is not to count."""

import time
from collections.abc import Callable


def quickest(work: Callable[[], object], times: int = 3) -> float:
    """Seconds of this thread's processor time in the quickest of `times`: the others met a collection of garbage, or a
    neighbour on the same core."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return best
