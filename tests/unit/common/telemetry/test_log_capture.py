"""The one way of all records: whatever fails on it is counted and never reaches the caller."""

import io
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from flask.logging import wsgi_errors_stream
from functions_framework.execution_id import logging_stream

from common.logging import frames_of
from common.telemetry import log_capture, log_counts
from common.telemetry.log_capture import Pipeline, write_event
from common.telemetry.log_lines import Line, LineMaker, Location
from common.telemetry.log_outputs import LineHandler
from common.telemetry.log_text import Cleaner


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(log_counts, "failed", found.append)
    return found


class Kept(LineHandler):
    def __init__(self) -> None:
        super().__init__([], [])
        self.lines: list[Line] = []

    def write(self, line: Line) -> None:
        self.lines.append(line)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def pipeline(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    maker = LineMaker(
        Cleaner(lambda text: text, lambda value: value), bounded=frozenset(), others=frozenset(), context=dict,
        trace=lambda: None,
    )  # fmt: skip
    made = Pipeline(maker, kept)
    monkeypatch.setattr(log_capture, "_installed", made)
    return made


def record(**fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "x", "levelno": logging.ERROR, "msg": "hello", **fields})


def test_a_fault_of_our_own_is_counted(failures: list[str], kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Pipeline(None, kept)  # type: ignore[arg-type]  # as broken as can be
    monkeypatch.setattr(log_capture, "_installed", broken)
    write_event(broken, logging.getLogger("x"), logging.INFO, "some.event", {}, None)
    log_capture._call_handlers(logging.getLogger("x"), record())
    log_capture._call_handlers(logging.getLogger("x"), record(levelno=None))
    assert failures == ["internal"] * 3


def test_chatter_of_installed_libraries_is_passed_over(pipeline: Pipeline, kept: Kept) -> None:
    for where, level in [(pytest.__file__, 20), (__file__, 20), (pytest.__file__, 30)]:
        log_capture._call_handlers(logging.getLogger("x"), record(pathname=where, levelno=level))
    log_capture._call_handlers(
        logging.getLogger("x"), record(pathname=pytest.__file__, levelno=20, name="gunicorn.access")
    )
    assert [line.level for line in kept.lines] == [20, 30, 20]


def test_handlers_of_others_get_what_their_level_asks_for(pipeline: Pipeline) -> None:
    got: list[logging.LogRecord] = []

    class Others(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            got.append(record)

    logger = logging.getLogger("with.a.handler")
    logger.addHandler(Others(logging.ERROR))
    write_event(pipeline, logger, logging.WARNING, "some.event", {"loan": 1}, None)
    write_event(pipeline, logger, logging.ERROR, "some.event", {"loan": 2}, Location("/a.py", 3, "f"))
    (only,) = got
    assert (only.getMessage(), only.__dict__["loan"], only.pathname, only.lineno) == ("some.event", 2, "/a.py", 3)


def test_uncaught_exceptions_become_lines(pipeline: Pipeline, kept: Kept) -> None:
    error = ValueError("x")
    log_capture._uncaught(ValueError, error, None)
    for kind, value in ((ValueError, error), (ValueError, None), (SystemExit, None)):
        log_capture._uncaught_in_thread(threading.ExceptHookArgs((kind, value, None, None)))
    assert [line.severity for line in kept.lines] == ["CRITICAL", "ERROR", "ERROR"]
    assert [line.fields["error_type"] for line in kept.lines] == ["ValueError"] * 3


def test_nothing_is_reported_before_setup(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_capture, "_installed", None)
    log_capture._uncaught(ValueError, ValueError("x"), None)
    assert kept.lines == []


def test_a_handler_that_fails_is_counted(failures: list[str]) -> None:
    log_capture._handler_failed(logging.NullHandler(), record())
    assert failures == ["handler"]


def test_the_frames_of_an_error_tell_its_places_and_none_of_its_words() -> None:
    def deep(depth: int) -> None:
        if depth == 0:
            raise ValueError("jane@example.com")
        deep(depth - 1)

    with pytest.raises(ValueError, match="jane") as caught:
        deep(20)
    frames = frames_of(caught.value)
    assert len(frames) == 12
    assert frames[-1].startswith("common/telemetry/test_log_capture.py:")
    assert frames[-1].endswith(":deep")
    assert frames_of(ValueError()) == []


def test_streams_and_files_of_others_are_written_and_only_those_that_print_are_not(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    text = io.StringIO()
    logger = logging.getLogger("with.streams")
    logger.propagate = False
    file = logging.FileHandler(tmp_path / "log")
    written: list[logging.Handler] = [logging.StreamHandler(text), file]
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr, sys.__stderr__, wsgi_errors_stream, logging_stream)
    printing: list[logging.Handler] = [logging.StreamHandler(stream) for stream in streams]
    for handler in (*written, *printing):
        logger.addHandler(handler)
    try:
        assert list(log_capture._others(logger)) == written
        write_event(pipeline, logger, logging.ERROR, "some.event", {}, None)
    finally:
        logger.handlers.clear()
        file.close()
    assert text.getvalue() == (tmp_path / "log").read_text() == "some.event\n"
