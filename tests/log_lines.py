"""What is logged inside a block, as tests look at it: masked already, as every handler gets it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        self.lines.append({"event": record.getMessage(), "log_level": record.levelname.lower(), **fields})


@contextmanager
def log_lines() -> Iterator[list[dict[str, Any]]]:
    """The lines of all loggers, oldest first: `event`, `log_level` and each field."""
    root = logging.getLogger()
    collector, level = _Collector(), root.level
    root.addHandler(collector)
    root.setLevel(logging.DEBUG)
    try:
        yield collector.lines
    finally:
        root.setLevel(level)
        root.removeHandler(collector)
