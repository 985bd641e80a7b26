"""Everything in this process that would print a log line goes through one pipeline: ours, every library's, warnings,
and exceptions that nobody caught.

The standard library asks each logger for its handlers, and anybody may add some at any time: gunicorn does after we
are set up, with `propagate` off; the framework's LOG_EXECUTION_ID replaces the root's. So this is where we stand, in
`Logger.callHandlers`, which every record of every logger passes. Our pipeline writes each record once. Handlers of
others that print to the terminal get nothing; all others (files, collectors, pytest's) get a copy that is masked.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from common.telemetry import log_counts
from common.telemetry.log_lines import STANDARD, Line, LineMaker, Location
from common.telemetry.log_outputs import LineHandler

if TYPE_CHECKING:
    from types import TracebackType

ACCESS_LOG = "gunicorn.access"  # written only where somebody asked gunicorn for it


class Pipeline(NamedTuple):
    """From whatever is logged to lines, and from lines to where they go."""

    maker: LineMaker
    handler: LineHandler


# Where the classes live that stand for `sys.stderr`: Flask's `wsgi_errors_stream`, the framework's LOG_EXECUTION_ID.
_PROXIES = frozenset(("werkzeug.local", "functions_framework.execution_id"))

_installed: Pipeline | None = None


def installed() -> Pipeline | None:
    """What `install` put in place last."""
    return _installed


def write_event(
    pipeline: Pipeline,
    logger: logging.Logger,
    level: int,
    event: object,
    fields: dict[str, object],
    location: Location | None,
) -> None:
    """Write one event of ours. Never raises."""
    try:
        line = pipeline.maker.of_event(logger.name, level, event, fields, location)
        pipeline.handler.write(line)
        for handler in _others(logger):
            _hand_on(handler, line)
    except Exception:  # noqa: BLE001  # a log line never breaks what it tells about
        log_counts.failed("internal")


def install(pipeline: Pipeline, level: int) -> None:
    """Write everything that is logged in this process at `level` and above through `pipeline`.

    Doing it again puts a new pipeline in the place of the old, which is closed.
    """
    global _installed
    previous, _installed = _installed, pipeline
    root = logging.getLogger()
    if previous is not None and previous is not pipeline:
        root.removeHandler(previous.handler)
        previous.handler.end()
    if pipeline.handler not in root.handlers:
        root.addHandler(pipeline.handler)  # for those who look whether there is one before they add their own
    root.setLevel(level)
    logging.Logger.callHandlers = _call_handlers  # type: ignore[method-assign, assignment]
    logging.Handler.handleError = _handler_failed  # type: ignore[method-assign, assignment]  # prints the raw message
    logging.captureWarnings(capture=True)
    _take_hooks()


def _call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
    """In place of `logging.Logger.callHandlers`."""
    pipeline = _installed
    assert pipeline is not None
    try:
        if record.levelno < logging.WARNING and record.name != ACCESS_LOG and _is_library(record.pathname):
            return
        line = pipeline.maker.of_record(record)
        pipeline.handler.write(line)
        for handler in _others(logger):
            _hand_on(handler, line)
    except Exception:  # noqa: BLE001  # as for our own events
        log_counts.failed("internal")


@lru_cache(maxsize=2_000)
def _is_library(path: str) -> bool:
    """Whether code there is somebody else's, whose chatter below a warning nobody here reads."""
    return path.startswith(_libraries())


@cache
def _libraries() -> tuple[str, ...]:
    import sysconfig  # for the few that log so; it takes a millisecond of a start

    return tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _others(logger: logging.Logger) -> Iterator[logging.Handler]:
    """The handlers that the standard library would call, without those that print."""
    current: logging.Logger | None = logger
    while current is not None:
        for handler in current.handlers:
            if type(handler) is not LineHandler and not _prints(handler):
                yield handler
        current = current.parent if current.propagate else None


def _prints(handler: logging.Handler) -> bool:
    """Whether it writes to this process's own output, where our line stands already."""
    if not isinstance(handler, logging.StreamHandler):
        return False
    stream = handler.stream
    if any(stream is one for one in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        return True
    return type(stream).__module__ in _PROXIES  # never asked themselves: outside of a request some have nothing behind


def _hand_on(handler: logging.Handler, line: Line) -> None:
    if line.level < handler.level:
        return
    location = line.location or Location("", 0, "")
    record = logging.LogRecord(
        line.component, line.level, location.file, location.line, line.message, (), None, location.function
    )
    record.created = line.created
    record.exc_text = line.stack_trace
    record.__dict__.update((name, value) for name, value in line.fields.items() if name not in STANDARD)
    handler.handle(record)


def _handler_failed(_handler: logging.Handler, _record: logging.LogRecord) -> None:
    """In place of `logging.Handler.handleError`, which prints the message and its arguments as they are."""
    log_counts.failed("handler")


def _take_hooks() -> None:
    """What Python itself prints of uncaught exceptions; hooks that somebody else has put there stay."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _uncaught_in_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
    _report(logging.CRITICAL, "exception.uncaught", (kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        error = args.exc_value or args.exc_type()
        _report(logging.ERROR, "exception.uncaught_in_thread", (args.exc_type, error, args.exc_traceback))


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    error = args.exc_value or args.exc_type()
    _report(logging.ERROR, "exception.unraisable", (args.exc_type, error, args.exc_traceback))


def _report(
    level: int, event: str, exc_info: tuple[type[BaseException], BaseException, "TracebackType | None"]
) -> None:
    if _installed is not None:
        fields: dict[str, object] = {"exc_info": exc_info, "error_type": exc_info[0].__name__}
        write_event(_installed, logging.getLogger("python"), level, event, fields, None)
