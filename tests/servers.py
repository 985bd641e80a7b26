"""Real servers for tests: each on a free loopback port, waited for until it answers, stopped with all its children.

A server that is not installed is installed where that is possible (root, with apt). Otherwise tests that need it are
skipped and name it; with CI=true they fail instead.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

LOOPBACK = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 10
POLL_SECONDS = 0.02


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    is_ready: Callable[[], bool],
    log: Path,
    user: str | None = None,
    env: dict[str, str] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` in a process group of its own, from when `is_ready` says so to the end of the block.

    `user` runs it as that user, which takes root. Its output goes to `log`, which a failure to start quotes.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
    try:
        _wait_until(is_ready, process, log)
        yield process
    finally:
        _stop_group(process, stop_signal)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgreSQL:
    """A running server with the superuser `postgres`, who needs no password."""

    port: int

    def url(self, name: str) -> str:
        """The SQLAlchemy URL of the database `name`."""
        return f"postgresql+psycopg://postgres@{LOOPBACK}:{self.port}/{name}"

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, as CREATE DATABASE asks for."""
        with psycopg.connect(self._connection_string(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def is_ready(self) -> bool:
        """Whether it answers a query."""
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _connection_string(self) -> str:
        return f"host={LOOPBACK} port={self.port} user=postgres dbname=postgres connect_timeout=2"


@contextlib.contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL that forgets everything at the end of the block. It trades durability for speed."""
    binaries = _postgresql_binaries()
    owner = "postgres" if os.geteuid() == 0 else None  # initdb and postgres refuse to run as root
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # not pytest's folder: nobody but its owner may enter that
    if owner:
        shutil.chown(folder, owner, owner)
    server = PostgreSQL(port=free_port())
    options = {
        "port": server.port,
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": folder,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    try:
        _initialise(binaries, folder / "data", owner)
        command = [str(binaries / "postgres"), "-D", str(folder / "data")]
        command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        # SIGQUIT: at once, without waiting for clients; nothing here is worth a clean shutdown.
        with running(command, is_ready=server.is_ready, log=folder / "log", user=owner, stop_signal=signal.SIGQUIT):
            yield server
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def chroma() -> Iterator[str]:
    """The URL of a Chroma server that forgets everything at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="chroma-") as name:
        folder = Path(name)
        port = free_port()
        url = f"http://{LOOPBACK}:{port}"
        command = [str(Path(sys.executable).parent / "chroma"), "run", "--path", str(folder / "data")]
        command += ["--host", LOOPBACK, "--port", str(port)]
        with running(
            command,
            is_ready=lambda: answers(f"{url}/api/v2/heartbeat"),
            log=folder / "log",
            env={"ANONYMIZED_TELEMETRY": "False"},
        ):
            yield url


def missing(what: str) -> None:
    """Skip the test because `what` is missing, or fail it on CI, where it must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False


def _postgresql_binaries() -> Path:
    found = _find_postgresql()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _apt_install("postgresql")
        found = _find_postgresql()
    if found is None:
        missing("PostgreSQL's server (Debian and Ubuntu: apt-get install postgresql)")
    assert found is not None
    return found


def _find_postgresql() -> Path | None:
    """The folder with `initdb` and `postgres`; Debian keeps it off the PATH, newest version last."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: [int(digits) for digits in re.findall(r"\d+", path.parent.name)],
    )
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    usable = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    return usable[-1] if usable else None


def _apt_install(package: str) -> None:
    """Install a Debian package; several test processes take turns. A failure shows as the server still missing."""
    with (Path(tempfile.gettempdir()) / "loan-collateral-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _find_postgresql() is None:
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "update", "-qq"], env=env, check=False)
            subprocess.run(
                ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=env, check=False
            )


def _initialise(binaries: Path, data: Path, owner: str | None) -> None:
    command = [str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync"]
    command += ["-E", "UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=data.parent,
        check=False,
        user=owner,
        group=owner,
        extra_groups=[] if owner else None,
    )
    if done.returncode:
        pytest.fail(f"initdb failed: {done.stderr}")


def _wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
        if process.returncode is not None or time.monotonic() > deadline:
            pytest.fail(f"{process.args!r} did not start: {log.read_text(errors='replace')[-2000:]}")


def _stop_group(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """End the whole process group, for a server may leave children; what does not end is killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, stop_signal)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
