"""The emulator as `make run` starts it: a process of its own, asked over HTTP, ended by a signal."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import servers

_KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")  # settings of the machine's own stay out
STOP_SECONDS = 60  # on a machine that does much else beside
ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "local.loancheck", "run"]
_ELSEWHERE = {"DATABASE_URL", "CHROMA_URL"}  # settings of state that is not below DATA_DIR


@dataclass(frozen=True)
class Emulator:
    """A running emulator: where it listens, and what it had said by then."""

    process: "subprocess.Popen[str]"
    url: str
    said: str
    data: Path
    cwd: Path
    _reader: "Future[str]"

    def last_words(self) -> str:
        """What it said after `said`, once it has ended."""
        self.process.wait(timeout=STOP_SECONDS)
        return self._reader.result(timeout=STOP_SECONDS)


def environment(data: Path, **settings: str) -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in os.environ if name in _KEPT}
    unlimited = {"LIMIT_FACTOR": "10000", "ADDRESS_LIMIT": "none"}  # but in tests of limits, which set them
    return kept | {"PYTHONPATH": str(ROOT), "DATA_DIR": str(data), "PORT": "0"} | unlimited | settings


def emulator(folder: Path, **settings: str) -> AbstractContextManager[Emulator]:
    """As `first_emulator`, but a new folder gets what a first start leaves behind, which takes seconds of embedding."""
    if not ((folder / "data").exists() or _ELSEWHERE & settings.keys()):
        shutil.copytree(_after_a_first_start(), folder / "data")
    return first_emulator(folder, **settings)


@contextmanager
def first_emulator(folder: Path, **settings: str) -> Iterator[Emulator]:
    """An emulator with its state in `folder`/data, started in an empty folder."""
    cwd = folder / "cwd"
    cwd.mkdir(exist_ok=True)
    with subprocess.Popen(
        COMMAND, cwd=cwd, env=environment(folder / "data", **settings), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process, ThreadPoolExecutor(1) as threads:  # fmt: skip
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if "curl" in line:
                    break
            listening = re.search(r"listens on (http://\S+)", said)
            assert listening, said
            reader = threads.submit(process.stdout.read)  # a full pipe would stop the process
            yield Emulator(
                process=process, url=listening[1], said=said, data=folder / "data", cwd=cwd, _reader=reader
            )  # fmt: skip
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=STOP_SECONDS)
        finally:
            process.kill()


@functools.cache
def _after_a_first_start() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="loancheck-state-"))
    atexit.register(shutil.rmtree, folder)
    with first_emulator(folder) as running:
        servers.wait_for(lambda: list(running.data.glob("router/*.npz")), "it is warm, its router fitted")
    return folder / "data"
