"""One log line: what is known about it, and how it is written: JSON for machines, colours for people."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from common.telemetry import log_counts
from common.telemetry.log_text import MAX_FIELD, MAX_MESSAGE, Cleaner, ExcInfo, text_of

MAX_LINE_BYTES = 200_000  # Cloud Logging takes entries of 256 KB

# What every record of the standard library has.
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# Keys with a meaning of their own: a field of somebody's that has such a name gets an underscore.
_SPECIAL = frozenset({"severity", "message", "time", "timestamp", "httpRequest", "event", "level", "stack_trace"})
MAX_REMEMBERED = 1_000
MAX_REMEMBERED_CHARACTERS = 100
MAX_ITEMS = 50  # of a list in one of our own fields
_NUMBERS = frozenset({int, float, bool})
_TOO_LARGE = 10**8  # for a count of ours: nine digits may be a number that belongs to somebody
MAX_NAME = 200  # characters of a logger's or field's name


class Trace(Protocol):
    """Where in a trace a line was written: ids in lower-case hex, 32 and 16 digits."""

    @property
    def trace_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...
    @property
    def sampled(self) -> bool: ...


class Location(NamedTuple):
    """The line of code that logged."""

    file: str
    line: int
    function: str


class Line(NamedTuple):
    """All text in it is masked. `created` is in seconds since 1970, `fields` hold the context too."""

    level: int
    message: str
    created: float
    component: str
    fields: dict[str, object]
    trace: Trace | None
    location: Location | None
    stack_trace: str | None

    @property
    def severity(self) -> str:
        return severity_of(self.level)


def severity_of(level: int) -> str:
    """Cloud Logging's name of a level of the standard library; one in between counts as the named one below."""
    if level >= logging.ERROR:
        return "CRITICAL" if level >= logging.CRITICAL else "ERROR"
    if level >= logging.INFO:
        return "WARNING" if level >= logging.WARNING else "INFO"
    return "DEBUG" if level >= logging.DEBUG else "DEFAULT"


class LineMaker:
    """Makes lines of our own events and of other libraries' records; the one place where either is masked.

    `bounded` are names of fields whose texts come from a short list in our own code: what was scanned once is not
    scanned again. `others` are further names of ours. `context` gives the fields of the request, masked already;
    `trace` where we are in a trace.
    """

    def __init__(
        self,
        cleaner: Cleaner,
        *,
        bounded: frozenset[str],
        others: frozenset[str],
        context: Callable[[], Mapping[str, object]],
        trace: Callable[[], Trace | None],
    ) -> None:
        self._cleaner = cleaner
        self._bounded = bounded
        self._known = bounded | others
        self._context = context
        self._trace = trace
        self._clean: set[str] = set()  # short texts of code that come again and again, and need no mask

    def of_event(
        self, component: str, level: int, event: object, fields: dict[str, object], location: Location | None
    ) -> Line:
        """A line of ours: an event and its fields; those that are None are not known, and left out.

        `fields` may hold `exc_info`, which is taken out of it.
        """
        clean = dict(self._context())
        exc_info = _exc_info(fields.pop("exc_info", None))
        for name, value in fields.items():
            if name in self._known and self._is_clean(value):
                clean[name] = value
            elif value is not None:
                self._add(clean, name, value)
        return Line(
            level,
            event if type(event) is str and event in self._clean else self._remembered(text_of(event), MAX_MESSAGE),
            time.time(),
            component,
            clean,
            self._current_trace(),
            location,
            self._cleaner.traceback(exc_info) if exc_info else None,
        )

    def of_record(self, record: logging.LogRecord) -> Line:
        """A line of a record of the standard library, whoever made it."""
        clean = dict(self._context())
        for name, value in record.__dict__.items():
            if name not in STANDARD:
                self._add(clean, name, value)
        exc_info = _exc_info(record.exc_info)
        traces = []
        if exc_info:
            traces.append(self._cleaner.traceback(exc_info))
        elif record.exc_text:
            traces.append(self._cleaner.text(text_of(record.exc_text), MAX_MESSAGE))
        if record.stack_info:
            traces.append(self._cleaner.text(text_of(record.stack_info), MAX_MESSAGE))
        return Line(
            record.levelno,
            self._cleaner.text(_message(record), MAX_MESSAGE),
            record.created,
            self._cleaner.text(text_of(record.name), MAX_NAME),
            clean,
            self._current_trace(),
            Location(self._place(record.pathname), record.lineno, self._place(record.funcName or "?")),
            "\n".join(traces) or None,
        )

    def _place(self, name: object) -> str:
        """A path's or function's name, of which there are few: a template's or a notebook's may be made of anything."""
        return name if type(name) is str and name in self._clean else self._remembered(text_of(name), MAX_FIELD)

    def context(self, fields: Mapping[str, object]) -> dict[str, object]:
        """`fields` as the context of lines: cleaned once for all of them."""
        clean: dict[str, object] = {}
        for name, value in fields.items():
            if name in self._known and (self._is_clean(value) or _is_hex_id(value)):
                clean[name] = value
            else:
                self._add(clean, name, value)
        return clean

    def _is_clean(self, value: object) -> bool:
        """Whether it is known to need no mask, in a field of ours."""
        kind = type(value)
        if kind is str:
            return value in self._clean
        return kind in _NUMBERS and -_TOO_LARGE < value < _TOO_LARGE  # type: ignore[operator]  # it is a number

    def _add(self, clean: dict[str, object], name: str, value: object) -> None:
        if name in self._known:
            clean[name] = self._of_known(name, value)
            return
        masked = self._cleaner.named(name, value)
        name = self._cleaner.text(text_of(name), MAX_NAME)
        if name in _SPECIAL or name.startswith("logging.googleapis.com/"):
            name += "_"
        clean[name] = masked

    def _of_known(self, name: str, value: object) -> object:
        if type(value) is str:
            bounded = name in self._bounded
            return self._remembered(value, MAX_FIELD) if bounded else self._cleaner.text(value, MAX_FIELD)
        if type(value) is list and name in self._bounded and all(type(one) is str for one in value):
            return [one if one in self._clean else self._remembered(one, MAX_FIELD) for one in value[:MAX_ITEMS]]
        return self._cleaner.named(name, value)

    def _remembered(self, text: str, limit: int) -> str:
        clean = self._cleaner.text(text, limit)
        if clean == text and len(text) <= MAX_REMEMBERED_CHARACTERS and len(self._clean) < MAX_REMEMBERED:
            self._clean.add(text)
        return clean

    def _current_trace(self) -> Trace | None:
        try:
            return self._trace()
        except Exception:  # noqa: BLE001  # a line without its trace is better than none
            log_counts.failed("trace")
            return None


def _is_hex_id(value: object) -> bool:
    """Whether it is an id as we make them; `mask` never touches those."""
    return type(value) is str and len(value) == 32 and value.isalnum() and not value.strip("0123456789abcdef")


def _message(record: logging.LogRecord) -> str:
    """The message with its arguments; where they do not fit, both side by side."""
    try:
        return record.getMessage() if record.args else text_of(record.msg)
    except Exception:  # noqa: BLE001  # wrong arguments, or one that cannot be printed
        log_counts.failed("arguments")
        arguments = record.args if isinstance(record.args, tuple) else (record.args,)
        return " ".join(text_of(part) for part in (record.msg, *arguments))


def _exc_info(given: object) -> ExcInfo | None:
    """What callers pass as `exc_info`: True, an exception, or the tuple of `sys.exc_info()`."""
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if isinstance(given, tuple):
        return given if len(given) == 3 and isinstance(given[1], BaseException) else None
    if given:
        error = sys.exception()
        return _exc_info(error) if error is not None else None
    return None


class JsonLines:
    """One JSON object a line, in Cloud Logging's special fields.

    Source: https://cloud.google.com/logging/docs/structured-logging
    """

    def __init__(self, project: str | None) -> None:
        import orjson  # only where lines are JSON

        self._dumps = orjson.dumps
        self._traces = f"projects/{project}/traces/" if project else ""
        self._second = (0, "")

    def __call__(self, line: Line) -> str:
        entry = self.entry(line)
        try:
            written = self._dumps(entry)
        except Exception:  # noqa: BLE001  # lone surrogates; orjson's errors are TypeErrors, but not only
            written = self._dumps(_mended(entry))
        if len(written) > MAX_LINE_BYTES:
            log_counts.failed("too_long")
            written = self._dumps(_mended(self.entry(_shortened(line))))
        return written.decode()

    def entry(self, line: Line) -> dict[str, object]:
        """The line as the object that is written."""
        entry: dict[str, object] = {
            "severity": line.severity,
            "message": line.message,
            "time": self._time(line.created),
        }
        entry.update(line.fields)
        labels: dict[str, object] = {"component": line.component}
        if "function" in entry:
            labels["function"] = str(entry.pop("function"))
        entry["logging.googleapis.com/labels"] = labels
        if type(entry.get("method")) is str and type(entry.get("status")) is int:
            entry["httpRequest"] = _http_request(entry)
        self._add_trace(entry, line.trace)
        if line.location is not None and line.level >= logging.WARNING:
            file, number, function = line.location
            entry["logging.googleapis.com/sourceLocation"] = {"file": file, "line": number, "function": function}
        if line.stack_trace is not None:
            entry["stack_trace"] = line.stack_trace  # where Error Reporting looks for it
        return entry

    def _add_trace(self, entry: dict[str, object], trace: Trace | None) -> None:
        if trace is None:
            trace_id = entry.get("trace_id")
        else:
            trace_id = trace.trace_id
            entry["logging.googleapis.com/spanId"] = trace.span_id
            entry["logging.googleapis.com/trace_sampled"] = trace.sampled
        if trace_id is None:
            return
        if self._traces:
            entry.pop("trace_id", None)
            entry["logging.googleapis.com/trace"] = f"{self._traces}{trace_id}"
        else:
            entry["trace_id"] = trace_id

    def _time(self, created: float) -> str:
        """RFC 3339 in UTC. Most lines share their second with the one before."""
        second = int(created)
        known, text = self._second
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{int((created - second) * 1_000_000):06}Z"


def _http_request(entry: dict[str, object]) -> dict[str, object]:
    """Source: https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest"""
    request: dict[str, object] = {"requestMethod": entry.pop("method"), "status": entry.pop("status")}
    for name, ours in (("requestUrl", "route"), ("requestSize", "bytes_in"), ("responseSize", "bytes_out")):
        if ours in entry:
            value = entry.pop(ours)
            request[name] = value if name == "requestUrl" else str(value)
    milliseconds = entry.pop("duration_ms", None)
    if isinstance(milliseconds, (int, float)):
        request["latency"] = f"{milliseconds / 1000:.4f}s"
    return request


def _mended(value: object) -> object:
    """`value` with everything written out that JSON in UTF-8 cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_mended(str(key)): _mended(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_mended(one) for one in value]
    is_plain = value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63)
    return value if is_plain else _mended(text_of(value))


def _shortened(line: Line) -> Line:
    """The line with its context and small fields; of large ones only that they were there."""
    fields: dict[str, object] = {}
    for name, value in line.fields.items():
        if len(fields) == 50:
            break
        fields[name[:200]] = value if len(str(value)) <= 500 else f"[left out: {len(str(value)):,} characters]"
    return line._replace(fields=fields)


# C0, DEL, C1 and Unicode's line ends as escapes: what somebody sent neither begins a line nor moves the cursor.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"
}  # fmt: skip
_CONTROLS_IN_TRACES = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\n\t"}


class ConsoleLines:
    """Readable lines, with colours on a terminal. Only tracebacks have several lines."""

    def __init__(self, *, colors: bool) -> None:
        from structlog.dev import ConsoleRenderer

        self._render = ConsoleRenderer(colors=colors)

    def __call__(self, line: Line) -> str:
        event: dict[str, object] = {
            "timestamp": time.strftime("%H:%M:%S", time.localtime(line.created)),
            "level": line.severity.lower(),
            "event": line.message.translate(_CONTROLS),
            "logger": line.component.translate(_CONTROLS),
        }
        for name, value in line.fields.items():  # others than texts are shown by their `repr`
            event[name.translate(_CONTROLS)] = value.translate(_CONTROLS) if isinstance(value, str) else value
        if line.trace is not None:
            event["trace_id"] = line.trace.trace_id
        if line.stack_trace is not None:
            event["exception"] = line.stack_trace.translate(_CONTROLS_IN_TRACES)
        written = self._render(None, "", event)
        return written.encode("utf-8", "backslashreplace").decode()
