"""What the database does, as measures: each statement's time by its kind, connections in use, errors by their class."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import Pool, QueuePool

from common.metrics import metrics_collector

_STARTED = "statement_started"
_KINDS = frozenset({"select", "insert", "update", "delete"})


def observe(engine: Engine) -> Engine:
    """`engine`, measured from now on."""
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _failed)
    event.listen(engine, "checkout", lambda *_: _count_connections(engine.pool, returning=0))
    event.listen(engine, "checkin", lambda *_: _count_connections(engine.pool, returning=1))
    return engine


@contextmanager
def waiting() -> Iterator[None]:
    """Around a wait for the turn to write, which counts as a statement of its own."""
    began = time.perf_counter()
    try:
        yield
    except Exception as error:
        metrics_collector.record_database_error(type(error).__name__)
        raise
    finally:
        metrics_collector.record_database_query("other", time.perf_counter() - began)


# Any: cursors and parameters are the driver's own, and only the statement's first word is looked at
def _begin(connection: Connection, _cursor: Any, _text: str, _parameters: Any, _context: Any, _many: bool) -> None:
    connection.info[_STARTED] = time.perf_counter()


def _end(connection: Connection, _cursor: Any, text: str, _parameters: Any, _context: Any, _many: bool) -> None:
    seconds = time.perf_counter() - connection.info.pop(_STARTED, time.perf_counter())
    metrics_collector.record_database_query(_kind(text), seconds)


def _kind(statement: str) -> str:
    word = (statement.split(None, 1) or [""])[0].lower()
    return word if word in _KINDS else "other"


def _failed(context: ExceptionContext) -> None:
    metrics_collector.record_database_error(type(context.original_exception).__name__)


def _count_connections(pool: Pool, *, returning: int) -> None:
    """`returning` is how many are on their way back: the pool tells of one before it counts it."""
    if isinstance(pool, QueuePool):
        metrics_collector.set_database_connections(pool.checkedout() - returning, pool.checkedin() + returning)
