"""What a log line costs, in a process of its own: `python -m tests.performance.logging`."""

import json
import logging
import os
import re
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES = 5_000
ROUNDS = 7


def measure() -> list[tuple[str, str]]:
    """What was measured, and the figure with its unit."""
    command = [sys.executable, "-m", "tests.performance.logging", "in-this-process"]
    environment = os.environ | {"GOOGLE_CLOUD_PROJECT": "p", "LOG_TO": "stdout"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    )
    costs = json.loads(done.stderr)
    figures = [(f"{name}, JSON", f"{microseconds:.1f} us") for name, microseconds in costs.items()]
    return [*figures, ("import common.logging", f"{_import_milliseconds():.0f} ms")]


def _import_milliseconds() -> float:
    """Median of five, beyond what the interpreter itself takes, as `-X importtime` counts it."""
    command = [sys.executable, "-X", "importtime", "-c", "import common.logging"]
    times = []
    for _ in range(5):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found = re.search(r"\|\s*(\d+) \| common\.logging$", done.stderr, re.MULTILINE)
        assert found is not None
        times.append(int(found[1]) / 1_000)
    return statistics.median(times)


def _costs() -> dict[str, float]:
    """Microseconds of one call, the best of several rounds."""
    from common.logging import bind_context, get_logger, log_context, setup_logging
    from common.tracing import span

    setup_logging(log_level="INFO", json_logs=True)
    log = get_logger("function")
    library = logging.getLogger("library")

    def finished() -> None:
        log.info(
            "request.finished", method="POST", route="/api/query", status=200, bytes_in=120, bytes_out=1_200,
            duration_ms=12.3, agent="knowledge", outcome="answered",
        )  # fmt: skip

    def in_context() -> None:
        with log_context(request_id="0123456789abcdef0123456789abcdef", function="query"):
            pass

    bind_context(request_id="0123456789abcdef0123456789abcdef", function="query")
    measured: dict[str, Callable[[], None]] = {
        "our line of a request, 8 fields": finished,
        "our line below the level": lambda: log.debug("retrieval.finished", passages=5),
        "our line with a text to scan": lambda: log.info("document.unreadable", reason="not a PDF", path="a/loans.pdf"),
        "a library's warning": lambda: library.warning("Retrying in %s seconds as the server is busy", 3),
        "a library's warning with an address": lambda: library.warning("No mailbox for %s", "jane.roe@example.com"),
        "a context of two fields": in_context,
    }
    with span("benchmark"):
        return {name: _microseconds(call) for name, call in measured.items()}


def _microseconds(call: Callable[[], None]) -> float:
    return min(timeit.repeat(call, number=LINES, repeat=ROUNDS)) / LINES * 1_000_000


def main() -> None:
    if sys.argv[1:] == ["in-this-process"]:
        print(json.dumps(_costs()), file=sys.stderr)
        return
    for name, value in measure():
        print(f"{name:<55} {value}")


if __name__ == "__main__":
    main()
