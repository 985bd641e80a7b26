"""Outputs that fail, and what becomes of the line then."""

import io
import json
import logging
import os
import stat
import sys
from pathlib import Path

import pytest

from common.telemetry import log_counts
from common.telemetry.log_lines import JsonLines, Line
from common.telemetry.log_outputs import FileOutput, LineHandler, Output, StreamOutput, print_line


class Counts:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failures: list[str] = []


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    found = Counts()
    monkeypatch.setattr(log_counts, "failed", found.failures.append)
    monkeypatch.setattr(log_counts, "written", found.lines.append)
    return found


def line(message: str = "some.event") -> Line:
    return Line(logging.INFO, message, 0.0, "query", {}, None, None, None)


def messages(path: Path) -> list[str]:
    return [json.loads(text)["message"] for text in path.read_text().splitlines() if text]


class Broken:
    name = "broken"
    closed = 0
    called = 0
    ended = 0

    def write(self, line: Line) -> None:
        raise OSError

    def after_call(self) -> None:
        self.called += 1

    def close(self) -> None:
        self.closed += 1

    def end(self) -> None:
        self.ended += 1


def stdout() -> StreamOutput:
    return StreamOutput("stdout", JsonLines(None))


def test_a_line_goes_to_every_output(counts: Counts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = LineHandler([stdout(), FileOutput(tmp_path / "log", JsonLines(None))], [])
    handler.write(line())
    handler.after_call()
    handler.close()
    assert capsys.readouterr().out == (tmp_path / "log").read_text()
    assert (counts.lines, counts.failures) == (["INFO"], [])


def test_one_output_that_works_is_enough(counts: Counts, capsys: pytest.CaptureFixture[str]) -> None:
    LineHandler([Broken(), stdout()], [Broken()]).write(line())
    assert "some.event" in capsys.readouterr().out
    assert (counts.lines, counts.failures) == (["INFO"], ["broken"])


def test_fallbacks_are_tried_in_their_order(counts: Counts, capsys: pytest.CaptureFixture[str]) -> None:
    LineHandler([Broken()], [Broken(), stdout(), Broken()]).write(line())
    assert "some.event" in capsys.readouterr().out
    assert counts.failures == ["broken", "broken"]


def test_a_line_that_nobody_took_is_counted_as_lost(counts: Counts) -> None:
    LineHandler([Broken()], []).write(line())
    assert (counts.lines, counts.failures) == ([], ["broken", "lost"])


def test_outputs_learn_of_the_end_of_a_call_and_of_the_process() -> None:
    output = Broken()
    handler = LineHandler([output], [])
    handler.after_call()
    handler.close()
    assert (output.called, output.closed) == (1, 1)


def test_a_stream_that_logs_what_is_written_to_it_ends_at_once(counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = LineHandler([stdout()], [])

    class Logging(io.StringIO):
        def write(self, text: str) -> int:
            handler.write(line(text))
            return super().write(text)

    stream = Logging()
    monkeypatch.setattr(sys, "stdout", stream)
    handler.write(line())
    handler.write(line())
    assert len(stream.getvalue().splitlines()) == 2
    assert counts.failures == ["nested", "nested"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_stream_that_is_not_utf_8_gets_what_it_can_hold(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    stdout().write(line("é → Ω"))
    assert json.loads(raw.getvalue().decode(encoding))["message"].endswith("Ω" if encoding == "utf-8" else "?")


def test_without_a_stream_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ValueError, match="no such stream"):
        print_line("x")


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    output = FileOutput(tmp_path / "deep" / "log", JsonLines(None))
    output.write(line())
    assert stat.S_IMODE((tmp_path / "deep" / "log").stat().st_mode) == 0o600
    output.close()
    output.close()


@pytest.mark.parametrize("gone", ["moved", "deleted", "replaced"])
def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path, gone: str) -> None:
    path = tmp_path / "log"
    output = FileOutput(path, JsonLines(None))
    output.write(line("one"))
    if gone == "deleted":
        path.unlink()
    else:
        path.rename(tmp_path / "log.1")
    if gone == "replaced":
        path.touch()
    output.write(line("two"))
    output.write(line("three"))
    output.close()
    output.write(line("after the close"))
    output.close()
    assert messages(path) == ["two", "three", "after the close"]


def test_several_processes_append_to_one_file(tmp_path: Path) -> None:
    one, other = (FileOutput(tmp_path / "log", JsonLines(None)) for _ in range(2))
    for output in (one, other, one, other):
        output.write(line())
    one.close()
    other.close()
    assert len(messages(tmp_path / "log")) == 4


def test_a_full_disk_loses_the_line_in_the_file_alone(counts: Counts, capsys: pytest.CaptureFixture[str]) -> None:
    handler = LineHandler([stdout(), FileOutput(Path("/dev/full"), JsonLines(None))], [])
    handler.write(line())
    handler.close()
    assert "some.event" in capsys.readouterr().out
    assert (counts.lines, counts.failures) == (["INFO"], ["file"])


def test_after_half_a_line_the_next_one_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output: Output = FileOutput(tmp_path / "log", JsonLines(None))
    output.write(line("one"))
    write = os.write
    pieces = iter([10, None])

    def half(descriptor: int, data: bytes) -> int:
        size = next(pieces)
        if size is None:
            raise OSError("disk full")
        return write(descriptor, data[:size])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="disk full"):
            output.write(line("two"))
    output.write(line("three"))
    output.close()
    first, second, third = (tmp_path / "log").read_text().splitlines()
    assert len(second) == 10
    assert [json.loads(text)["message"] for text in (first, third)] == ["one", "three"]


def test_a_handler_that_another_replaces_ends_and_closes_its_outputs() -> None:
    output = Broken()
    LineHandler([output], []).end()
    assert (output.ended, output.closed) == (1, 1)
