"""How many log lines went out, by severity, and what went wrong with others, by reason.

Logging comes before everything else, so it imports no metrics: it counts here, and `count_with` hands everything on,
from the start of the process.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable

Record = Callable[[str], None]

_lock = threading.Lock()
_lines: Counter[str] = Counter()
_failures: Counter[str] = Counter()
_on_line: Record | None = None
_on_failure: Record | None = None


def count_with(*, line: Record, failure: Record) -> None:
    """From now on call `line` with each line's severity and `failure` with the reason of each failure.

    What was counted before is handed on at once. What the two raise is swallowed: a line is worth more than its count.
    """
    global _on_line, _on_failure
    with _lock:
        _on_line, _on_failure = line, failure
        earlier = [(line, name) for name in _lines.elements()] + [(failure, name) for name in _failures.elements()]
        _lines.clear()
        _failures.clear()
    for record, name in earlier:
        _tell(record, name)


def written(severity: str) -> None:
    """One line of this severity went out."""
    if _on_line is not None:
        _tell(_on_line, severity)
    else:
        with _lock:
            _lines[severity] += 1


def failed(reason: str) -> None:
    """Something of a line, or all of it, was lost; `reason` is one of our own few words."""
    if _on_failure is not None:
        _tell(_on_failure, reason)
    else:
        with _lock:
            _failures[reason] += 1


def waiting() -> tuple[dict[str, int], dict[str, int]]:
    """What nobody took yet: lines by severity, failures by reason."""
    with _lock:
        return dict(_lines), dict(_failures)


def _fresh_lock() -> None:
    """A forked child may find the lock held by a thread that is not there."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_fresh_lock)


def _tell(record: Record, name: str) -> None:
    try:  # noqa: SIM105  # contextlib.suppress costs more than the count
        record(name)
    except Exception:  # noqa: BLE001, S110  # counting is the last resort: there is nobody left to tell
        pass
