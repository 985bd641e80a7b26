"""`loancheck` run within the test's own process: exit code, lines of stdout, stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.logging import setup_logging
from local import loancheck
from tests.instance import instance

Run = Callable[..., tuple[int, list[str], str]]


@contextmanager
def command_line(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Iterator[Run]:
    """Runs `loancheck WORDS ARGUMENTS` on an instance with its state in `folder`."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["loancheck", *words, *arguments])
            with pytest.raises(SystemExit) as ended:
                loancheck.main()
        assert isinstance(ended.value.code, int)
        said = capsys.readouterr()
        return ended.value.code, said.out.splitlines(), said.err

    with instance(folder):
        yield run
    setup_logging()  # a command that prints tables or JSON keeps the log quiet, for good
