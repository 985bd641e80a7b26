"""The cost report over a million ledger entries, from the start of a process to the JSON, and the page's size."""

import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from common.costs.days import KEY, SUMS
from common.costs.ledger import COLUMNS
from common.database.engine import create_engine_for, migrate
from tests.emulators import environment

ENTRIES = 1_000_000
CALLS_AN_ANSWER = 4
DAYS = 120
TENANTS, KEYS_A_TENANT = 3, 8
QUESTIONS = 40_000  # that are not the same; some are asked much more often than others
RUNS = 3
NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)

_STEPS = (("draft", "gemini-3.8-flash"), ("critique", "gemini-3.8-flash"), ("draft", "gemini-3.5-flash-lite"))
_EMBED = ("embed", "gemini-embedding-001")
_AGENTS = ("knowledge", "collateral", "help")
_PRICE = {"gemini-3.8-flash": Decimal("0.0000015"), "gemini-3.5-flash-lite": Decimal("0.0000003")}
_BULK = 20_000
SECONDS = 2
PAGE_KILOBYTES = 300
_COLD = """
import sys, time
begun = time.perf_counter()
from datetime import datetime
from functions.cost_report.answering import report_of
from functions.cost_report.models import SCHEMA_VERSION
from functions.cost_report.periods import period_of
from functions.cost_report.report import Wanted
now = datetime.fromisoformat(sys.argv[1])
found = report_of(Wanted(period=period_of(sys.argv[2], now), tenant=None), now)
text = found.model_dump_json()
taken, worked = time.perf_counter() - begun, time.process_time()
from functions.cost_report.page import render
import json
print(json.dumps({
    "seconds": taken, "cpu_seconds": worked, "calls": found.totals.calls, "cost_usd": str(found.totals.cost_usd),
    "json_bytes": len(text),
    "method": found.forecast.method, "page_bytes": len(render(found, nonce="n")),
}))
"""


def measure() -> Sequence[tuple[str, str]]:
    """Rows of name and value for `make bench`."""
    with tempfile.TemporaryDirectory() as folder:
        days, cost = fill(Path(folder))
        found = [cold(Path(folder)) for _ in range(RUNS)]
    assert all((one.calls, Decimal(one.cost_usd)) == (ENTRIES, cost) for one in found)
    seconds = statistics.median(one.seconds for one in found)
    kilobytes = found[0].page_bytes / 1_000
    return [
        (f"a report over {ENTRIES:,} entries, cold, to its JSON", f"{seconds:.2f} s ({_below(SECONDS, seconds)})"),
        ("of these its process works", f"{statistics.median(one.cpu_seconds for one in found):.2f} s"),
        ("sums of days that it reads", f"{days:,}"),
        ("its JSON", f"{found[0].json_bytes / 1_000:.0f} kB"),
        ("its page", f"{kilobytes:.0f} kB ({_below(PAGE_KILOBYTES, kilobytes)})"),
        ("its forecast", found[0].method),
    ]


def _below(most: float, measured: float) -> str:
    return f"below {most}" + ("" if measured < most else ", MISSED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """One report in a new process: seconds from its first import of ours to the JSON, and what came of it."""

    seconds: float
    cpu_seconds: float
    calls: int
    cost_usd: str
    json_bytes: int
    page_bytes: int
    method: str


def cold(folder: Path) -> Cold:
    command = [sys.executable, "-c", _COLD, NOW.isoformat(), f"{DAYS}d"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, LOG_LEVEL="ERROR"), capture_output=True, text=True, check=True
    )
    return Cold(**json.loads(done.stdout))


def fill(folder: Path, entries: int = ENTRIES) -> tuple[int, Decimal]:
    """A database below `folder` with so many entries, and the sums of their days; how many sums, and the cost of all.

    Straight into SQLite, past `ledger.add`: that takes a transaction for each answer.
    """
    path = folder / "database" / "loan_collateral.db"
    path.parent.mkdir(parents=True)
    engine = create_engine_for(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    made = _Made(entries)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for batch in made.batches():
            _insert(connection, "ledger_entries", COLUMNS, batch)
        _insert(connection, "answer_facts", _FACT_COLUMNS, made.facts)
        _insert(
            connection, "answer_days", ("day", "tenant", "principal", "agent", "answers", "answered"), made.answers()
        )
        _insert(connection, "ledger_days", (*KEY, *SUMS), made.sums())
    connection.close()
    return len(made.days), made.cost


_FACT_COLUMNS = (
    "created_at", "request_id", "tenant", "principal", "session_id", "agent", "intent", "lane", "model", "answered",
    "accepted", "critique_score", "critique_rounds", "question_mark", "knowledge_generation", "evidence_tokens",
    "cited_tokens", "history_tokens", "is_follow_up", "degraded",
)  # fmt: skip


class _Made:
    """Entries as answers make them, spread over the days, more on weekdays."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.chance = random.Random(5)
        self.days: dict[tuple[str, ...], list[int | Decimal]] = {}
        self.asked: dict[tuple[str, ...], int] = defaultdict(int)
        self.facts: list[tuple[object, ...]] = []
        self.cost = Decimal(0)

    def batches(self) -> Iterator[list[tuple[object, ...]]]:
        weekdays = [day for day in range(DAYS) for _ in range(5 if _day(day).weekday() < 5 else 1)]
        batch: list[tuple[object, ...]] = []
        for number in range(self.entries // CALLS_AN_ANSWER):
            batch += self._answer(number, weekdays[number * len(weekdays) * CALLS_AN_ANSWER // self.entries])
            if len(batch) >= _BULK:
                yield batch
                batch = []
        yield batch

    def _answer(self, number: int, day: int) -> Iterator[tuple[object, ...]]:
        chance = self.chance
        at = f"{_day(day)} {chance.randrange(9):02}:{chance.randrange(60):02}:00.000000"
        tenant = f"tenant-{chance.randrange(TENANTS)}"
        principal = f"key:{tenant}-{chance.randrange(KEYS_A_TENANT)}"
        agent = chance.choice(_AGENTS)
        request, session = f"{number:032x}", f"{number:x}"
        question = f"{int(QUESTIONS * chance.random() ** 2):064x}"
        self.asked[str(_day(day)), tenant, principal, agent] += 1
        self.facts.append((
            at, request, tenant, principal, session, agent, agent, "default", _STEPS[0][1], 1, 1, 0.9, 1, question, 1,
            1200, 400, 0, 0, "[]",
        ))  # fmt: skip
        for step, model in (_EMBED, *_STEPS):
            tokens = 20 if step == "embed" else chance.randrange(800, 2_600)
            output = 0 if step == "embed" else chance.randrange(80, 320)
            cost = (tokens + 5 * output) * _PRICE.get(model, Decimal("0.00000015"))
            key = (str(_day(day)), tenant, principal, agent, step, "POST /api/query", "default", "gemini", model)
            self._count(key, (1, 0, 0, Decimal(0), tokens, 0, output, 0, 0, cost))
            row = {
                "created_at": at, "request_id": request, "trace_id": request, "tenant": tenant, "principal": principal,
                "step": step, "route": "POST /api/query", "provider": "gemini", "model_asked": model,
                "duration_ms": 700.0, "outcome": "ok", "lane": "default", "kind": "call", "model_answered": model,
                "session_id": session, "agent": agent, "input_tokens": tokens, "cached_input_tokens": 0,
                "output_tokens": output, "thinking_tokens": 0, "tool_tokens": 0, "cost_usd": f"{cost:f}",
                "bound_usd": None, "content_mark": None, "reverses": None,
            }  # fmt: skip
            yield tuple(row[name] for name in COLUMNS)

    def _count(self, key: tuple[str, ...], sums: tuple[int | Decimal, ...]) -> None:
        self.cost += sums[-1]
        before = self.days.get(key)
        if before is None:
            self.days[key] = list(sums)
        else:
            for place, amount in enumerate(sums):
                before[place] += amount

    def sums(self) -> Iterator[tuple[object, ...]]:
        for key, sums in self.days.items():
            yield (*key, *(f"{one:f}" if isinstance(one, Decimal) else one for one in sums))

    def answers(self) -> Iterator[tuple[object, ...]]:
        for key, count in self.asked.items():
            yield (*key, count, count)


def _day(number: int) -> date:
    return NOW.date() - timedelta(days=DAYS - 1 - number)


def _insert(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
