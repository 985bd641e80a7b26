"""Where lines go. An output that fails is counted and never raises; the line then goes to the next best one."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TextIO

from common.telemetry import log_counts
from common.telemetry.log_lines import Line

Render = Callable[[Line], str]


class Output(Protocol):
    """Takes lines one at a time. Raises whatever went wrong."""

    @property
    def name(self) -> str:
        """The reason that a failure is counted under."""

    def write(self, line: Line) -> None: ...

    def after_call(self) -> None:
        """At the end of a request."""

    def close(self) -> None:
        """Anybody who configures logging has all handlers closed: a later line is taken all the same."""

    def end(self) -> None:
        """Another takes its place: send on what it still holds."""


class Immediate:
    """An output that holds nothing back."""

    def after_call(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""

    def end(self) -> None:
        """Nothing waits."""


class StreamOutput(Immediate):
    """stdout or stderr, looked up for each line: tests and the framework put others in their place."""

    def __init__(self, name: str, render: Render) -> None:
        self.name = name
        self._render = render

    def write(self, line: Line) -> None:
        _print(getattr(sys, self.name), self._render(line))


def print_line(text: str) -> None:
    """Write one line to stdout."""
    _print(sys.stdout, text)


def _print(stream: TextIO | None, text: str) -> None:
    if stream is None:
        raise ValueError("this process has no such stream")
    try:
        stream.write(f"{text}\n")
    except UnicodeEncodeError:  # a terminal that is not UTF-8
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()


class FileOutput(Immediate):
    """Appends to a file that only its owner may read; opened anew when it was moved away, as logrotate does.

    It never rotates by itself: several processes of a server append to the same file, each line with one write, and
    one that renamed it would leave the others writing into the old one.
    """

    name = "file"

    def __init__(self, path: Path, render: Render) -> None:
        self._path = path
        self._render = render
        self._descriptor: int | None = None
        self._identity = (0, 0)
        self._cut = False  # the last write ended in mid line

    def write(self, line: Line) -> None:
        data = f"{self._render(line)}\n".encode("utf-8", "backslashreplace")
        descriptor = self._opened()
        if self._cut:
            data = b"\n" + data
        self._cut = True
        while data:
            data = data[os.write(descriptor, data) :]
        self._cut = False

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is not None:
            try:
                status = os.stat(self._path)  # noqa: PTH116  # each line does this
            except FileNotFoundError:
                self.close()
            else:
                if (status.st_dev, status.st_ino) != self._identity:
                    self.close()
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            status = os.fstat(self._descriptor)
            self._identity = (status.st_dev, status.st_ino)
        return self._descriptor


class LineHandler(logging.Handler):
    """The handler of the standard library's root logger; all lines pass through its `write`.

    `outputs` all get each line. The ones in `fallbacks` are tried in their order when one of them failed.
    """

    def __init__(self, outputs: Sequence[Output], fallbacks: Sequence[Output]) -> None:
        super().__init__()
        self._outputs = outputs
        self._fallbacks = fallbacks
        self._writer = 0  # the thread that writes now

    def write(self, line: Line) -> None:
        """Never raises."""
        self.acquire()
        try:
            is_nested = self._writer == threading.get_ident()  # a stream that logs what is written to it
            went_out = not is_nested and self._written(line)
        finally:
            self.release()
        if went_out:
            log_counts.written(line.severity)
        else:
            log_counts.failed("nested" if is_nested else "lost")

    def _written(self, line: Line) -> bool:
        self._writer = threading.get_ident()
        try:
            went_out = False
            for output in self._outputs:
                went_out |= self._tried(output, line)
            return went_out or any(self._tried(output, line) for output in self._fallbacks)
        finally:
            self._writer = 0

    def _tried(self, output: Output, line: Line) -> bool:
        try:
            output.write(line)
        # A closed or full pipe, a full disk, a stream of somebody's own: the program goes on without the line.
        except Exception:  # noqa: BLE001
            log_counts.failed(output.name)
            return False
        return True

    def after_call(self) -> None:
        for output in self._outputs:
            output.after_call()

    def close(self) -> None:
        """The standard library's: `logging.shutdown` calls it, and so does `dictConfig`, after which lines go on."""
        for output in self._outputs:
            output.close()
        super().close()

    def end(self) -> None:
        """Send on what is held and close, for another takes its place."""
        for output in self._outputs:
            output.end()
        self.close()
