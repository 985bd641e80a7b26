"""Cold starts: from the start of a process to its first answer, against a bare hello-world function.

All start alternately in one run, with compiled bytecode, as the framework starts them in the cloud. Times differ from
machine to machine and from minute to minute; so each start is compared with the hello-world of its own round, and what
counts is the median of these ratios.
"""

import compileall
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.api_keys import new_key
from tests.emulators import environment, first_emulator
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
HELLO = "import functions_framework\n\n\n@functions_framework.http\ndef hello(request):\n    return 'Hello'\n"
QUESTION = {"message": "What is the supervisory loan-to-value limit for raw land?"}
ANSWER = "65%"
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is started, what is asked of it, and at most how many times as long as hello-world it may take."""

    name: str
    source: Path
    target: str
    path: str
    question: Mapping[str, str] | None = None
    expected: str = ""
    most: float | None = None


def starts(hello: Path) -> tuple[Start, ...]:
    health, query = ROOT / "functions/health/main.py", ROOT / "functions/query/main.py"
    return (
        Start(name="hello-world", source=hello, target="hello", path="/"),
        Start(name="health, /health/live", source=health, target="health", path="/health/live", most=1.3),
        Start(name="health, /health", source=health, target="health", path="/health", expected="healthy", most=1.3),
        Start(name="query, /live", source=query, target="query", path="/live", most=1.5),
        Start(
            name="query, first answer", source=query, target="query", path="/api/query",
            question=QUESTION, expected=ANSWER, most=5.5,
        ),
    )  # fmt: skip


def seconds_to_answer(start: Start, data: Path, key: str) -> float:
    """From the start of the process until the whole answer is there; a question goes with `key`.

    Raises:
        RuntimeError: another answer than expected, or none.
    """
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "functions-framework"),
        "--source", str(start.source), "--target", start.target, "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    settings = environment(data, LOG_LEVEL="WARNING")
    env = {name: value for name, value in settings.items() if name not in {"PORT", "PYTHONPATH"}}
    begun = time.perf_counter()
    with _process(command, env):
        _wait_for_port(port, begun)
        answer = _ask(port, start, key)
        taken = time.perf_counter() - begun
    if start.expected not in answer:
        raise RuntimeError(f"{start.name}: not the answer that was expected")
    return taken


def measure(*, rounds: int = 11) -> list[tuple[str, str]]:
    """Name and figure of each kind of start. The first of each is not counted: it may still write bytecode."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hello = folder / "hello" / "main.py"
        hello.parent.mkdir()
        hello.write_text(HELLO)
        for package in ("common", "functions"):
            compileall.compile_dir(ROOT / package, quiet=1)
        with first_emulator(folder, LOG_LEVEL="WARNING"):
            pass  # it has filled the knowledge base in folder/data
        key = new_key(folder / "data", role="analyst")
        taken: dict[str, list[float]] = {start.name: [] for start in starts(hello)}
        for number in range(rounds + 1):
            for start in starts(hello):
                seconds = seconds_to_answer(start, folder / "data", key)
                if number > 0:
                    taken[start.name].append(seconds)
    bare = taken["hello-world"]
    return [(f"cold start: {start.name}", _figure(start, taken[start.name], bare)) for start in starts(hello)]


def _figure(start: Start, taken: Sequence[float], bare: Sequence[float]) -> str:
    """`taken` and `bare` are seconds, of the same rounds in the same order."""
    figure = f"{statistics.median(taken):.2f} s"
    if start.most is None:
        return figure
    ratio = statistics.median(ours / theirs for ours, theirs in zip(taken, bare, strict=True))
    verdict = "" if ratio <= start.most else ", MISSED"
    return f"{figure}, {ratio:.2f} x hello-world (at most {start.most}{verdict})"


@contextmanager
def _process(command: list[str], env: Mapping[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # nothing here is worth a clean end, which takes seconds
        process.wait()


def _wait_for_port(port: int, begun: float) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            if time.perf_counter() - begun > PATIENCE_SECONDS:
                raise RuntimeError("nobody listens") from None
            time.sleep(POLL_SECONDS)
        else:
            return


def _ask(port: int, start: Start, key: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        if start.question is None:
            connection.request("GET", start.path)
        else:
            body = json.dumps(start.question)
            connection.request("POST", start.path, body, {"Content-Type": "application/json", "X-API-Key": key})
        response = connection.getresponse()
        answer = response.read().decode()
        if response.status != http.client.OK:
            raise RuntimeError(f"{start.name}: status {response.status}")
        return answer
    finally:
        connection.close()


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name:<40} {figure}")
