"""Log lines: an event in the past tense with fields, as in `log.info("retrieval.finished", documents=5)`.

Fields are on an allow-list, so that no message, answer or address lands in a line by accident: a new field is a
reviewed line here. Lines are readable in development, one JSON object a line in Cloud Logging's special fields in
production. What other libraries log goes to the same place, at WARNING and above, as `library.logged`: which logger,
from which line of code, and the type of an exception. Never its message, for nobody knows what that may hold.
"""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from structlog.typing import FilteringBoundLogger, WrappedLogger

FIELDS = frozenset(
    {
        "event", "level", "component", "timestamp", "request_id", "trace_id", "function",
        "agent", "agents", "asked", "attempt", "attempts", "breaker", "bytes_in", "bytes_out", "chunks", "confidence",
        "cost_usd", "count", "degraded", "documents", "duration_ms", "embedder", "error_type", "frames", "generation",
        "host", "input_tokens", "intent", "lane", "method", "model", "outcome", "output_tokens", "passages", "path",
        "port", "provider", "reason", "revisions", "rounds", "route", "score", "setting", "signals", "status", "step",
        "threshold", "unchanged", "unit", "version", "wait_seconds",
    }
)  # fmt: skip

_SEVERITY = {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR", "critical": "CRITICAL"}

# gunicorn gives these handlers of their own, after `setup_logging`, and keeps them from the root's.
_SELF_HANDLED = ("gunicorn.error", "gunicorn.access")

Event = MutableMapping[str, Any]


def _keep_allowed(_logger: WrappedLogger, _method: str, event: Event) -> Event:
    refused = [name for name in event if name not in FIELDS]
    for name in refused:
        del event[name]
    if refused:
        event["reason"] = f"{len(refused)} fields left out: not on the allow-list"
    return event


def _add_time(_logger: WrappedLogger, _method: str, event: Event) -> Event:
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return event


def _to_cloud_logging(_logger: WrappedLogger, _method: str, event: Event) -> Event:
    """Cloud Logging reads `severity`, `message` and `time` as its own.

    Source: https://cloud.google.com/logging/docs/structured-logging
    """
    event["severity"] = _SEVERITY.get(str(event.pop("level", "info")), "DEFAULT")
    event["message"] = event.pop("event", "")
    event["time"] = event.pop("timestamp", None)
    return event


def setup_logging(*, production: bool, level: str) -> None:
    """Route all log lines of this process to stdout; called once, by whoever starts it."""
    shared = [structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, _add_time, _keep_allowed]
    renderer: Any  # structlog's renderers share no type
    if production:
        renderer = [_to_cloud_logging, structlog.processors.JSONRenderer()]
    else:
        renderer = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )
    _route_libraries()


class _LibraryLines(logging.Handler):
    """Other libraries' records as lines of ours, without their words."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            return
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # the named one below: libraries may make up others
        error_type = record.exc_info[0] if record.exc_info else None
        get_logger(record.name).log(
            level,
            "library.logged",
            error_type=error_type.__name__ if error_type is not None else None,
            frames=[_frame(record.pathname, record.lineno, record.funcName)],
        )


_library_lines = _LibraryLines()


def _take_over(record: logging.LogRecord) -> bool:
    """A logger's filter: writes our line, and lets the record through to no handler."""
    _library_lines.emit(record)
    return False


def _route_libraries() -> None:
    """Have `_library_lines` in place of every handler that writes records out; doing it again changes nothing.

    Only plain `StreamHandler`s are taken away: those of subclasses keep records for somebody, as pytest's do.
    """
    known = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    for logger in (logging.root, *known):
        for handler in [one for one in logger.handlers if type(one) is logging.StreamHandler]:
            logger.removeHandler(handler)
    logging.root.addHandler(_library_lines)
    logging.lastResort = _library_lines  # for loggers that neither have a handler nor pass on to the root's
    for name in _SELF_HANDLED:
        logging.getLogger(name).addFilter(_take_over)
    logging.captureWarnings(capture=True)


def get_logger(name: str) -> FilteringBoundLogger:
    return cast("FilteringBoundLogger", structlog.get_logger(component=name))


def frames_of(error: BaseException) -> list[str]:
    """Where `error` came from, innermost last, as file:line:function; never its message, which may hold text."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(_frame(code.co_filename, trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    return frames[-12:]


def _frame(path: str, line: int, function: str | None) -> str:
    return f"{'/'.join(path.rsplit('/', 3)[-3:])}:{line}:{function}"


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """All lines written inside carry `fields`."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield
