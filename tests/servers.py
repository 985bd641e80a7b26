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
from typing import TypeVar

import httpx
import psycopg
import pytest

LOOPBACK = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 10
POLL_SECONDS = 0.02

Found = TypeVar("Found")
Outcome = TypeVar("Outcome")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """A Redis of the test's own, which it may stop and start again; what it holds is gone by then."""

    port: int

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """It answers inside the block."""
        command = [installed("redis-server", package="redis-server"), "--port", str(self.port), "--bind", LOOPBACK]
        command += ["--save", "", "--appendonly", "no"]
        with tempfile.TemporaryDirectory(prefix="redis-") as name:
            folder = Path(name)
            with running([*command, "--dir", name], is_ready=self.is_ready, log=folder / "log"):
                yield

    def is_ready(self) -> bool:
        """Whether it answers a PING."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis that forgets everything at the end of the block."""
    server = Redis(port=free_port())
    with server.running():
        yield server.url


@contextlib.contextmanager
def pushgateway() -> Iterator[str]:
    """The URL of a Prometheus Pushgateway that forgets everything at the end of the block."""
    command = [installed("prometheus-pushgateway", "pushgateway", package="prometheus-pushgateway")]
    command += ["--persistence.file="]  # Debian's keeps what was pushed in /var/lib/prometheus, over its restart
    with tempfile.TemporaryDirectory(prefix="pushgateway-") as name, _answering(command, Path(name)) as url:
        yield url


@contextlib.contextmanager
def prometheus(config: str, folder: Path) -> Iterator[str]:
    """The URL of a Prometheus with the configuration `config` (YAML), which keeps its state in `folder`.

    Files that `config` names are looked for in `folder`. It keeps exemplars.
    """
    file = folder / "prometheus.yml"
    file.write_text(config)
    command = [installed("prometheus", package="prometheus"), f"--config.file={file}"]
    command += [f"--storage.tsdb.path={folder / 'prometheus'}", "--enable-feature=exemplar-storage"]
    with _answering(command, folder) as url:
        yield url


@contextlib.contextmanager
def alertmanager(config: str, folder: Path) -> Iterator[str]:
    """The URL of an Alertmanager with the configuration `config` (YAML), which keeps its state in `folder`."""
    file = folder / "alertmanager.yml"
    file.write_text(config)
    command = [installed("prometheus-alertmanager", "alertmanager", package="prometheus-alertmanager")]
    command += [f"--config.file={file}", f"--storage.path={folder / 'alertmanager'}"]
    command += ["--cluster.listen-address="]  # no peers, and no second port
    with _answering(command, folder) as url:
        yield url


@contextlib.contextmanager
def nginx(config: Path, port: int) -> Iterator[Path]:
    """The folder with the state of an nginx that listens on `port`, as the configuration file `config` says."""
    state = Path(tempfile.mkdtemp(prefix="nginx-"))  # not pytest's folder: where root starts it, workers are `nobody`
    state.chmod(0o755)
    command = [nginx_binary(), "-p", f"{state}/", "-c", str(config), "-g", "daemon off;"]
    try:
        with running(command, is_ready=lambda: listens(port), log=state / "log"):
            yield state
    finally:
        shutil.rmtree(state)


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """The URL of somebody who takes every connection and never says a word."""
    with socket.create_server((LOOPBACK, 0), backlog=128) as listening:
        yield f"http://{LOOPBACK}:{listening.getsockname()[1]}"


def nginx_binary() -> str:
    """The path of nginx, which Debian keeps off the PATH of all but root."""
    return installed("nginx", "/usr/sbin/nginx", package="nginx")


def promtool() -> str:
    """The path of Prometheus's tool that checks and tests configuration and rules."""
    return installed("promtool", package="prometheus")


def amtool() -> str:
    """The path of Alertmanager's tool that checks configuration."""
    return installed("amtool", package="prometheus-alertmanager")


def query_prometheus(url: str, expression: str) -> list[tuple[dict[str, str], float]]:
    """What the Prometheus at `url` says to `expression` now: labels and value of each series."""
    found = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=5).raise_for_status().json()
    return [(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]


def wait_for(is_so: Callable[[], Outcome], what: str) -> Outcome:
    """What `is_so` says as soon as it is not empty; the test fails when that takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not (outcome := is_so()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {START_SECONDS} s")
        time.sleep(POLL_SECONDS)
    return outcome


@contextlib.contextmanager
def _answering(command: list[str], folder: Path) -> Iterator[str]:
    """Run a server of the Prometheus family on a free port; it says by itself when it is ready."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    log = folder / f"{Path(command[0]).name}.log"
    with running(
        [*command, f"--web.listen-address={LOOPBACK}:{port}"], is_ready=lambda: answers(f"{url}/-/ready"), log=log
    ):
        yield url


def installed(*names: str, package: str) -> str:
    """The path of a command by the first of its `names` that is there, from Debian's package or its maker's archive.

    Where none is, the package is installed if that is possible.
    """
    found = _or_install(lambda: next(filter(None, map(shutil.which, names)), None), package)
    if found is None:
        missing(f"{names[0]} (Debian and Ubuntu: apt-get install {package})")
    assert found is not None
    return found


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


def listens(port: int) -> bool:
    """Whether somebody takes connections on loopback's `port`."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=2):
        return True
    return False


def _postgresql_binaries() -> Path:
    found = _or_install(_find_postgresql, "postgresql")
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


def _or_install(find: Callable[[], Found | None], package: str) -> Found | None:
    """What `find` finds, if need be after installing `package`; None where even that does not help."""
    found = find()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with (Path(tempfile.gettempdir()) / "loan-collateral-apt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes take turns
            if find() is None:
                _apt_install(package)
        found = find()
    return found


def _apt_install(package: str) -> None:
    """Install a Debian package. A failure shows as the server still missing."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=env, check=False)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=env, check=False)


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
