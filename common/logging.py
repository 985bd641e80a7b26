"""Log lines: an event in the past tense with fields, as in `log.info("retrieval.finished", documents=5)`.

Everything that is logged in this process, by us or by any library, passes one masking step (`log_lines.LineMaker`)
and leaves through one handler: readable lines in development, one JSON object a line in Cloud Logging's special
fields in production, and where the settings say so a file or the logging API.

The fields of our own lines are on an allow-list, so that no message, answer or address lands in a line by accident: a
new field is a reviewed line here, and a test reads the source for others. Fields of somebody else's code are kept,
masked.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, get_args

from common.once import once
from common.telemetry.lean_structlog import structlog
from common.telemetry.log_capture import Pipeline, install, installed, write_event
from common.telemetry.log_counts import count_with
from common.telemetry.log_lines import ConsoleLines, JsonLines, LineMaker, Location
from common.telemetry.log_outputs import FileOutput, LineHandler, Output, Render, StreamOutput, print_line
from common.telemetry.log_text import Cleaner

if TYPE_CHECKING:
    from common.pii import Pseudonyms
    from common.settings import Settings
    from common.telemetry.cloud_logging import ApiOutput

# Texts of these come from our own code, from a short list: each is scanned for personal data once.
BOUNDED_FIELDS = frozenset(
    {
        "agent", "agents", "breaker", "channel", "component", "degraded", "error_type", "frames", "function",
        "generation", "intent", "kind", "lane", "method", "outcome", "part", "provider", "route", "setting",
        "signals", "status", "step", "trace_id", "unit", "version",
    }
)  # fmt: skip
FIELDS = BOUNDED_FIELDS | frozenset(
    {
        "answers", "asked", "attempt", "attempts", "budget", "bytes_in", "bytes_out", "chunks", "confidence",
        "cost_usd", "count", "documents", "duration_ms", "embedder", "host", "input_tokens", "kinds", "lines",
        "link", "model", "notice", "output_tokens", "passages", "path", "period", "port", "principal", "reason",
        "request_id", "revisions", "rounds", "score", "sessions", "subject", "threshold", "turns", "unchanged",
        "wait_seconds",
    }
)  # fmt: skip

Component = Literal[
    "function", "query", "router", "retrieval", "planner", "critique", "model", "knowledge", "documents", "database",
    "health", "security", "cost", "emulator", "retention", "notices",
]  # fmt: skip
COMPONENTS: tuple[Component, ...] = get_args(Component)

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default={})  # noqa: B039  # never changed in place
_made: "tuple[Settings, bool, Pipeline] | None" = None


class Logger(structlog.stdlib.BoundLogger):
    """structlog's bound logger, that hands events and fields to our one pipeline. Nothing it does raises.

    `bind(name=value)` gives a logger whose lines all carry that field.
    """

    def debug(self, event: str | None = None, *args: Any, **fields: Any) -> None:
        self._write(logging.DEBUG, event, args, fields)

    def info(self, event: str | None = None, *args: Any, **fields: Any) -> None:
        self._write(logging.INFO, event, args, fields)

    def warning(self, event: str | None = None, *args: Any, **fields: Any) -> None:
        self._write(logging.WARNING, event, args, fields)

    def error(self, event: str | None = None, *args: Any, **fields: Any) -> None:
        self._write(logging.ERROR, event, args, fields)

    def critical(self, event: str | None = None, *args: Any, **fields: Any) -> None:
        self._write(logging.CRITICAL, event, args, fields)

    def exception(self, event: str | None = None, *args: Any, **fields: Any) -> None:
        self._write(logging.ERROR, event, args, {"exc_info": True, **fields})

    def log(self, level: int, event: str | None = None, *args: Any, **fields: Any) -> None:
        self._write(level, event, args, fields)

    warn = warning
    fatal = critical

    def _write(self, level: int, event: object, args: tuple[object, ...], fields: dict[str, object]) -> None:
        logger: logging.Logger = self._logger
        if level < logger.getEffectiveLevel():
            return
        if args:  # %-arguments, as structlog takes them; formatted where a misfit is caught
            event = _WithArguments(event, args)
        if self._context:
            fields = {**self._context, **fields}
        location = None
        if level >= logging.WARNING:
            frame = sys._getframe(2)
            location = Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        write_event(_current(), logger, level, event, fields, location)


class _WithArguments:
    """An event and its %-arguments, formatted when it is written."""

    def __init__(self, event: object, args: tuple[object, ...]) -> None:
        self._event = event
        self._args = args

    def __str__(self) -> str:
        return logging.LogRecord("", 0, "", 0, self._event, self._args, None).getMessage()


def get_logger(name: str) -> Logger:
    """The logger of a module or component; `name` stands in each of its lines."""
    return Logger(logging.getLogger(name), (), {})  # noqa: LOG001  # structlog's class


def component_logger(name: Component) -> Logger:
    """As `get_logger`, for the parts of the product; a type checker knows their names."""
    return get_logger(name)


def setup_logging(log_level: str | None = None, json_logs: bool | None = None) -> None:
    """Send everything that is logged in this process where the settings say; what is given goes before them.

    Anybody may call it, several times: the last call counts. Least severe level: `log_level` for our lines and those
    of code beside ours, WARNING for installed libraries.

    Raises:
        InvalidSettings: the settings cannot be used; or LOG_TO=api without GOOGLE_CLOUD_PROJECT.
        ValueError: there is no such level.
    """
    from common import pii
    from common.metrics import metrics_collector
    from common.settings import settings

    chosen = settings()
    as_json = json_logs if json_logs is not None else chosen.json_logs
    level = logging.getLevelNamesMapping().get((log_level or chosen.log_level).upper())
    if level is None:
        raise ValueError("log_level is none of DEBUG, INFO, WARNING, ERROR, CRITICAL")
    kinds, allowed = chosen.mask_kinds, (chosen.mask_allow or "").split(",")
    pii.configure(kinds=kinds, allow=filter(None, allowed), pseudonyms=_pseudonyms(chosen))
    count_with(line=metrics_collector.record_log_line, failure=metrics_collector.record_log_failure)
    install(_pipeline_of(chosen, chosen.is_production if as_json is None else as_json), level)
    structlog.configure(processors=[], wrapper_class=Logger, logger_factory=structlog.stdlib.LoggerFactory())


def bind_context(**fields: str) -> None:
    """All further lines of this context (the thread's or task's) carry `fields`."""
    _context.set({**_context.get(), **_current().maker.context(fields)})


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """All lines written inside carry `fields`."""
    before = _context.get()
    bind_context(**fields)
    try:
        yield
    finally:
        _context.set(before)  # no token: a generator may be closed in another context than it was begun in


def flush_due() -> None:
    """At the end of a request: what waits for the logging API may leave now. Nothing to do for any other output."""
    _current().handler.after_call()


def frames_of(error: BaseException) -> list[str]:
    """Where `error` came from, innermost last, as file:line:function; never its message, which may hold text."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{'/'.join(code.co_filename.rsplit('/', 3)[-3:])}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return frames[-12:]


@once
def _before_setup() -> Pipeline:
    """For lines of ours while nobody has called `setup_logging`: readable, on stdout."""
    return Pipeline(_maker(), LineHandler([StreamOutput("stdout", ConsoleLines(colors=False))], []))


def _current() -> Pipeline:
    return installed() or _before_setup()


def _pipeline_of(chosen: "Settings", as_json: bool) -> Pipeline:
    """The pipeline for these settings; the one in use where it was made from the same."""
    global _made
    if _made is not None and _made[0] is chosen and _made[1] == as_json:
        return _made[2]
    stdout = StreamOutput("stdout", _rendering(chosen, as_json))
    stderr = StreamOutput("stderr", _rendering(chosen, as_json))
    outputs: list[Output] = [stdout]
    fallbacks: list[Output] = [stderr]
    if chosen.log_to == "api":
        outputs, fallbacks = [_api_output(chosen)], [stdout, stderr]
    if chosen.log_file is not None:
        outputs.append(FileOutput(chosen.log_file, JsonLines(chosen.google_cloud_project)))
    pipeline = Pipeline(_maker(), LineHandler(outputs, fallbacks))
    _made = (chosen, as_json, pipeline)
    return pipeline


def _rendering(chosen: "Settings", as_json: bool) -> Render:
    if as_json:
        return JsonLines(chosen.google_cloud_project)
    return ConsoleLines(colors=sys.stdout is not None and sys.stdout.isatty())


def _api_output(chosen: "Settings") -> "ApiOutput":
    from common.settings import InvalidSettings
    from common.telemetry.cloud_logging import ApiOutput

    if chosen.google_cloud_project is None:
        raise InvalidSettings("GOOGLE_CLOUD_PROJECT: LOG_TO=api needs the project that lines belong to")
    return ApiOutput(
        chosen.google_cloud_project,
        chosen.service_name,
        fallback=print_line,
        timeout_seconds=chosen.telemetry_timeout_seconds,
        wait_seconds=chosen.telemetry_wait_ms / 1000,
    )


def _pseudonyms(chosen: "Settings") -> "Pseudonyms | None":
    from common.pii import Pseudonyms

    return Pseudonyms(chosen.pseudonym_key.get_secret_value().encode()) if chosen.pseudonym_key else None


def _maker() -> LineMaker:
    from common.pii import mask, mask_value
    from common.tracing import current

    return LineMaker(
        Cleaner(mask, mask_value),
        bounded=BOUNDED_FIELDS,
        others=FIELDS - BOUNDED_FIELDS,
        context=_context.get,
        trace=current,
    )
