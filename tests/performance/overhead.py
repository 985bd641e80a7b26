"""What all telemetry together costs a request: the same function with it and without, and without twice for the noise.

Each of three processes is the Functions Framework with one function that waits 5, 20 or 100 ms. One has everything on:
spans to an OTLP receiver, measures pushed to a gateway, JSON lines to a file. Requests go to the three in turn.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from common.exchange import Exchange
from common.logging import get_logger, setup_logging
from tests import servers
from tests.emulators import environment
from tests.performance.tracing import best
from tests.trace_servers import OtlpHttp

WAITS_MS = (5, 20, 100)
ROUNDS = {5: 400, 20: 250, 100: 60}
FUNCTION = Path(__file__).with_name("waiting_function.py")
PARTS = ("off", "on", "off again")


@contextmanager
def function(folder: Path, **settings: str) -> Iterator[httpx.Client]:
    """A kept-alive connection to a process with the waiting function."""
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "functions_framework", "--target", "waiting", "--source", str(FUNCTION)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    folder.mkdir()
    with (
        servers.running(
            command,
            is_ready=lambda: servers.answers(f"{url}/1"),
            log=folder / "log",
            env=dict(environment(folder, **settings)),
        ),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


def measure() -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        receiver = stack.enter_context(OtlpHttp())
        gateway = stack.enter_context(servers.pushgateway())
        everything = {
            "MONITORED": "1",
            "JSON_LOGS": "true",
            "TRACE_EXPORTER": "otlp",
            "OTLP_ENDPOINT": receiver.url,
            "PUSHGATEWAY_URL": gateway,
        }
        clients = {
            part: stack.enter_context(function(folder / part.replace(" ", "-"), **(everything if part == "on" else {})))
            for part in PARTS
        }
        rows = [row for wait in WAITS_MS for row in compare(clients, wait)]
        spans = len(receiver.spans)
    return [*rows, ("spans that arrived meanwhile", f"{spans}"), ("CPU of a request's telemetry, hot", _hot())]


def compare(clients: dict[str, httpx.Client], wait: int) -> list[tuple[str, str]]:
    times: dict[str, list[float]] = {part: [] for part in PARTS}
    for _ in range(20):
        for client in clients.values():
            timed(client, wait)
    for number in range(ROUNDS[wait]):
        turn = [*PARTS[number % 3 :], *PARTS[: number % 3]]  # nobody is always the first
        for part in turn:
            times[part].append(timed(clients[part], wait))
    middle = {part: statistics.median(values) for part, values in times.items()}
    quiet = (middle["off"] + middle["off again"]) / 2
    more, noise = middle["on"] - quiet, abs(middle["off"] - middle["off again"])
    target = "<= 0.3 ms" if wait < 20 else "<= 2 %"
    return [
        (
            f"handler of {wait} ms: {quiet:.2f} ms without",
            f"{more:+.3f} ms, {100 * more / quiet:+.2f} % with everything on ({target}; noise {noise:.3f} ms)",
        )
    ]


def timed(client: httpx.Client, wait: int) -> float:
    """Milliseconds until the answer is there."""
    begun = time.perf_counter()
    client.get(f"/{wait}").raise_for_status()
    return (time.perf_counter() - begun) * 1000


def _hot() -> str:
    """Microseconds of CPU for one exchange in a row of many, with lines going nowhere."""
    setup_logging(log_level="INFO", json_logs=True)
    out = sys.stdout
    with open("/dev/null", "w") as nowhere:  # noqa: PTH123  # no file of ours
        sys.stdout = nowhere
        try:
            whole = best(one_exchange, 2_000)
            line = best(one_line, 2_000)
        finally:
            sys.stdout = out
    return f"{whole:.0f} us without an exporter, of which the line {line:.0f} us"


def one_exchange() -> None:
    Exchange("bench", method="GET", headers={}, route="/bench", bytes_in=0).finish(200, 20)


_log = get_logger("function")


def one_line() -> None:
    _log.info("request.finished", method="GET", route="/bench", status=200, bytes_in=0, bytes_out=20, duration_ms=1.0)


if __name__ == "__main__":
    for name, value in measure():
        print(f"{name:<60} {value}")
