"""API keys for processes that run by themselves, made as an operator makes them."""

import subprocess
import sys
from pathlib import Path

from tests.databases import database_in
from tests.emulators import environment


def new_key(data: Path, *, role: str = "service") -> str:
    """A key of `role` in the database below `data`, which is made where it is not there."""
    data.mkdir(parents=True, exist_ok=True)
    database_in(data)
    command = [sys.executable, "-m", "local.loancheck", "keys", "create", "--role", role]
    done = subprocess.run(command, cwd=data, env=environment(data), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def bearer(key: str) -> dict[str, str]:
    """The header that Prometheus sends `key` in."""
    return {"Authorization": f"Bearer {key}"}
