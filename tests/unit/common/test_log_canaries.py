"""Personal data, wherever somebody puts it, is in no line: searched for by hypothesis."""

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common import logging as our_logging
from common.logging import get_logger, log_context
from common.telemetry import log_capture
from common.telemetry.log_capture import Pipeline, install
from common.telemetry.log_lines import ConsoleLines, JsonLines, Line
from common.telemetry.log_outputs import Immediate, LineHandler, Render

MAIL = "jane.roe@example.com"
SSN = "078-05-1120"  # SSA withdrew it
CARD = "4111 1111 1111 1111"
KEY = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"
CANARIES = {MAIL: ["jane.roe", "example.com"], SSN: ["078-05"], CARD: ["4111 1111"], KEY: ["aB3dE6"]}

foreign = logging.getLogger("library.of.somebody")


class Kept(Immediate):
    """An output that keeps all that was written."""

    name = "kept"

    def __init__(self, render: Render) -> None:
        self._render = render
        self.written: list[str] = []

    def write(self, line: Line) -> None:
        self.written.append(self._render(line))


class KeptRecords(logging.Handler):
    """A handler of somebody else's."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(f"{self.format(record)} {record.__dict__}")


@pytest.fixture(scope="module")
def outputs() -> Iterator[list[list[str]]]:
    """What left this process by any way: JSON, readable, and the records that others' handlers got."""
    with pytest.MonkeyPatch.context() as patch:
        for where, name in [
            (logging.Logger, "callHandlers"), (logging.Handler, "handleError"), (sys, "excepthook"),
            (sys, "unraisablehook"), (threading, "excepthook"), (log_capture, "_installed"),
        ]:  # fmt: skip
            patch.setattr(where, name, getattr(where, name))  # put back at the end
        level = logging.root.level
        kept = [Kept(JsonLines("p")), Kept(ConsoleLines(colors=False))]
        others = KeptRecords()
        install(Pipeline(our_logging._maker(), LineHandler(kept, [])), logging.DEBUG)
        logging.root.addHandler(others)
        yield [*(output.written for output in kept), others.written]
        logging.root.removeHandler(others)
        for handler in [one for one in logging.root.handlers if isinstance(one, LineHandler)]:
            logging.root.removeHandler(handler)
        logging.root.setLevel(level)


class Shown:
    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__


def raise_with(text: str) -> None:
    raise ValueError(text)


@contextlib.contextmanager
def logged_exception(name: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        (foreign if name == "foreign" else get_logger("ours")).exception("it failed")


def chained(text: str) -> None:
    with logged_exception("foreign"):
        try:
            raise_with(text)
        except ValueError as error:
            raise KeyError("no such loan") from error


def in_context_of_another(text: str) -> None:
    with logged_exception("ours"):
        try:
            raise_with(text)
        finally:
            raise KeyError("no such loan")


def with_note(text: str) -> None:
    with logged_exception("foreign"):
        error = OSError("x")
        error.add_note(text)
        raise error


def in_group(text: str) -> None:
    with logged_exception("foreign"):
        raise ExceptionGroup("several", [ValueError(text), ExceptionGroup("more", [OSError(2, text)])])


def in_context(text: str) -> None:
    with log_context(request_id=text):
        get_logger("ours").info("some.event")


def warn(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(text, stacklevel=1)
        logging.captureWarnings(capture=False)


def uncaught(text: str) -> None:
    try:
        raise_with(text)
    except ValueError as error:
        log_capture._uncaught(ValueError, error, error.__traceback__)


PLACES: dict[str, Callable[[str], None]] = {
    "message": foreign.error,
    "message with %": lambda text: foreign.error(text, "x"),
    "argument": lambda text: foreign.error("for %s", text),
    "arguments": lambda text: foreign.error("for %s and %r", 5, [text]),
    "argument that does not fit": lambda text: foreign.error("for %d", text),
    "mapping": lambda text: foreign.error("for %(who)s", {"who": text}),
    "object": lambda text: foreign.error(Shown(text)),
    "bytes": lambda text: foreign.error(text.encode("utf-8", "surrogatepass")),
    "extra": lambda text: foreign.error("x", extra={"who": text}),
    "nested extra": lambda text: foreign.error("x", extra={"who": {"a": [1, (Shown(text), {text})]}}),
    "key of an extra": lambda text: foreign.error("x", extra={"who": {text: 1}}),
    "name of an extra": lambda text: foreign.error("x", extra={text: 1}),
    "name of a logger": lambda text: logging.getLogger(text.replace(".", " ") if "@" not in text else "x").error("x"),
    "stack": lambda text: foreign.handle(logging.makeLogRecord({"msg": "x", "levelno": 40, "stack_info": text})),
    "exception": lambda text: foreign.error("x", exc_info=ValueError(text)),
    "chained exception": chained,
    "context of an exception": in_context_of_another,
    "note": with_note,
    "group": in_group,
    "warning": warn,
    "uncaught exception": uncaught,
    "event of ours": get_logger("ours").info,
    "argument of ours": lambda text: get_logger("ours").info("for %s", text),
    "field of ours": lambda text: get_logger("ours").info("some.event", reason=text),
    "bounded field of ours": lambda text: get_logger("ours").info("some.event", outcome=text),
    "list of ours": lambda text: get_logger("ours").info("some.event", degraded=[text]),
    "field of somebody's": lambda text: get_logger("ours").info("some.event", borrower=text),
    "bound field": lambda text: get_logger("ours").bind(borrower=text).info("some.event"),
    "context": in_context,
}

around = st.text(alphabet="ab é\n\t→%s(){}[]'\"\\\ud800", max_size=20)


@given(
    place=st.sampled_from(sorted(PLACES)),
    canary=st.sampled_from(sorted(CANARIES)),
    before=around,
    after=around,
)
@example(place="message", canary=SSN, before="x" * 16_380, after="")
@example(place="exception", canary=MAIL, before="x" * 32_760, after="")
@example(place="field of ours", canary=KEY, before="x" * 4_090, after="y" * 10_000)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_canary_leaves_by_any_way(
    outputs: list[list[str]], place: str, canary: str, before: str, after: str
) -> None:
    PLACES[place](f"{before} {canary} {after}")
    for written in outputs:
        assert written, "nothing was logged at all"
        for piece in CANARIES[canary]:
            assert piece not in "".join(written)
        written.clear()


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_logged_and_masked(outputs: list[list[str]], place: str) -> None:
    PLACES[place](f"for {SSN} .")
    for written in outputs:
        assert "078-05" not in "".join(written)
        assert "[SSN]" in "".join(written)
        written.clear()
