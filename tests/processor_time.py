"""How long something takes, where other work on the machine is not to count."""

import time
from collections.abc import Callable


def quickest(work: Callable[[], object], times: int = 1) -> float:
    """Seconds of this thread's processor time in the quickest of `times`: the others met a collection of garbage, or a
    neighbour on the same core."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return best


def is_within(bound: Callable[[float], float], small: Callable[[], object], large: Callable[[], object]) -> bool:
    """Whether `large` takes at most what `bound` makes of the seconds of `small`; looked at again where it does not."""
    return any(quickest(large, times) <= bound(quickest(small, times)) for times in (1, 2, 3))
