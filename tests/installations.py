"""The product as somebody has installed it: its command line and its functions as processes, over one state.

`tree` is the code that runs, which may be that of another commit.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests import servers
from tests.emulators import environment
from tests.proxies import function

ROOT = Path(__file__).resolve().parents[1]
ANSWER_SECONDS = 60  # on a machine that does much else beside


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    said: str
    complained: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """State below `data`, and where `settings` say; functions want a key."""

    data: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    tree: Path = ROOT

    def loancheck(self, *arguments: str) -> Ended:
        self.data.mkdir(parents=True, exist_ok=True)
        env = {**environment(self.data, **self.settings), "PYTHONPATH": str(self.tree)}
        done = subprocess.run(
            [sys.executable, "-m", "local.loancheck", *arguments],
            cwd=self.data, env=env, text=True, capture_output=True, check=False,
        )  # fmt: skip
        return Ended(code=done.returncode, said=done.stdout, complained=done.stderr)

    def new_key(self, role: str = "admin") -> str:
        made = self.loancheck("keys", "create", "--role", role)
        assert made.code == 0, made.complained
        return made.said.splitlines()[-1]

    @contextmanager
    def function(self, name: str, key: str) -> Iterator[httpx.Client]:
        """A client of the function, which runs inside the block; it sends `key`."""
        self.data.mkdir(parents=True, exist_ok=True)
        source = self.tree / "functions" / name / "main.py"
        with function(source, name, self.data, **self.settings) as port:
            url = f"http://{servers.LOOPBACK}:{port}"
            with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=ANSWER_SECONDS) as client:
                yield client
