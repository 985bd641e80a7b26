"""How fast `/health` answers, in a process of its own as in the cloud: warm, and while a component hangs."""

import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from common.database.engine import create_engine_for, migrate
from tests import servers
from tests.emulators import environment

ROOT = Path(__file__).resolve().parents[2]
WARM_MS = 20
HANGING_MS = 100


@contextmanager
def health_function(folder: Path, **settings: str) -> Iterator[httpx.Client]:
    """A client of the function, on the state in `folder`."""
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(Path(sys.executable).parent / "functions-framework"),
        "--source", str(ROOT / "functions" / "health" / "main.py"), "--target", "health",
        "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    kept = environment(folder, LOG_LEVEL="ERROR", **settings)
    env = {name: value for name, value in kept.items() if name not in {"PORT", "PYTHONPATH"}}
    with (
        servers.running(command, is_ready=lambda: servers.answers(f"{url}/live"), log=folder / "log", env=env),
        httpx.Client(base_url=url, timeout=10) as client,
    ):
        yield client


def milliseconds(client: httpx.Client, rounds: int) -> list[float]:
    """Of each of `rounds` answers, one after the other."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        client.get("/health").json()
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def measure(*, rounds: int = 1_000, hanging_rounds: int = 100) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as silent:
        folder = Path(name)
        engine = create_engine_for(f"sqlite:///{folder}/database/loan_collateral.db")
        migrate(engine)
        engine.dispose()
        with health_function(folder) as client:
            warm = milliseconds(client, rounds)
        with health_function(folder, HEALTH_CACHE_SECONDS="0") as client:
            checking = milliseconds(client, rounds)
        hanging_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with health_function(folder, HEALTH_CACHE_SECONDS="0", CHROMA_URL=hanging_url) as client:
            hanging = milliseconds(client, hanging_rounds)
    return [
        ("GET /health, warm", _figure(warm, WARM_MS)),
        ("GET /health, each answer checked anew", _figure(checking, WARM_MS)),
        ("GET /health, a component hangs, each checked anew", _figure(hanging, HANGING_MS)),
    ]


def _figure(taken: list[float], most: float) -> str:
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
    missed = "" if p99 < most else ", MISSED"
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms (below {most}{missed})"


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name:<55} {figure}")
