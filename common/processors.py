"""How much can run at once."""

import os

MOST = 8  # more threads than this gain an embedding little, and each one costs memory


def usable_processors() -> int:
    """Processors that this process may use, of which a container often has fewer than the machine; 1 to `MOST`."""
    if hasattr(os, "sched_getaffinity"):
        return min(MOST, len(os.sched_getaffinity(0)))
    return min(MOST, os.cpu_count() or 1)  # macOS and Windows
