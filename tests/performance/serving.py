"""How fast the emulator answers: one client, then eight at once, over HTTP with the embedded defaults."""

import re
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx

from tests.emulators import Emulator, emulator, first_emulator

QUESTIONS = (
    "What is the supervisory loan-to-value limit for raw land?",
    "How long is a UCC financing statement effective?",
    "Which receivables are not eligible for a borrowing base?",
    "When must an adverse action notice be sent?",
    "Up to what amount is no appraisal required for commercial real estate?",
    "house worth 400k, loan 350k, second lien 20k",
    "How is the debt service coverage ratio worked out?",
    "What is the haircut on gold?",
    "Who decides on an exception in the sample policy?",
    "Is $500,000 & 80% enough; or not?",
)


def quiet_emulator(folder: str) -> AbstractContextManager[Emulator]:
    """Its lines go to a pipe that nobody reads while it is measured, so there must be few."""
    return emulator(Path(folder), LOG_LEVEL="WARNING")


def ask(client: httpx.Client, question: str) -> float:
    """Milliseconds until the whole answer is there.

    Raises:
        RuntimeError: the answer is no answer.
    """
    started = time.perf_counter()
    response = client.post("/api/query", json={"message": question})
    if response.status_code != httpx.codes.OK or not response.json()["answer"]:
        raise RuntimeError(f"status {response.status_code}")
    return (time.perf_counter() - started) * 1000


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def measure(*, rounds: int = 20, clients: int = 8) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first start", "second start"):
            begun = time.perf_counter()
            with (
                first_emulator(Path(folder), LOG_LEVEL="WARNING") as started,
                httpx.Client(base_url=started.url, timeout=60) as client,
            ):
                client.get("/query/live")
                rows.append((f"{name}, until it listens", f"{time.perf_counter() - begun:.1f} s"))
                ask(client, QUESTIONS[0])
                rows.append((f"{name}, until the first answer", f"{time.perf_counter() - begun:.1f} s"))
        with (
            emulator(Path(folder), LOG_LEVEL="WARNING") as running,
            httpx.Client(base_url=running.url, timeout=60) as client,
        ):
            for question in QUESTIONS:
                ask(client, question)
            alone = [ask(client, question) for _ in range(rounds) for question in QUESTIONS]
            cuts = statistics.quantiles(alone, n=20)
            rows.append(
                (f"POST /api/query, one client, {len(alone)} answers", f"p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms")
            )
            rows.append((f"{clients} clients at once", _together(running.url, clients)))
            rows.append(("resident memory, sample knowledge", f"{resident_mb(running.process.pid):.0f} MB"))
    return rows


def _together(url: str, clients: int) -> str:
    questions = QUESTIONS * 4

    def one_client(_: int) -> list[float]:
        with httpx.Client(base_url=url, timeout=60) as client:
            return [ask(client, question) for question in questions]

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [ms for result in pool.map(one_client, range(clients)) for ms in result]
    rate = len(times) / (time.perf_counter() - started)
    p95 = statistics.quantiles(times, n=20)[18]
    return f"{len(times)} of {clients * len(questions)} answered, {rate:.0f}/s, p95 {p95:.0f} ms"


if __name__ == "__main__":
    for name, value in measure():
        print(f"{name:<55} {value}")
