"""Log lines: an event in the past tense with fields, as in `log.info("retrieval.finished", documents=5)`.

Fields are on an allow-list, so that no message, answer or address lands in a line by accident: a new field is a
reviewed line here. Lines are readable in development, one JSON object a line in Cloud Logging's special fields in
production. Whatever other libraries log goes to the same place, at WARNING and above.
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


def get_logger(name: str) -> FilteringBoundLogger:
    return cast("FilteringBoundLogger", structlog.get_logger(component=name))


def frames_of(error: BaseException) -> list[str]:
    """Where `error` came from, innermost last, as file:line:function; never its message, which may hold text."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{'/'.join(code.co_filename.rsplit('/', 3)[-3:])}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return frames[-12:]


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """All lines written inside carry `fields`."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield
