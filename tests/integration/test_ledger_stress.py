"""Many threads and processes bill at once, and one is killed: the ledger is what the model server has billed."""

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from common.costs.days import LOST, added_up, kept_days
from common.costs.governor import lapse
from common.costs.prices import cost_usd
from common.database.engine import read
from common.database.tables import budget_periods, ledger_entries, notices, open_calls
from common.llm.chat import TokenUsage
from tests.budget_files import budget, budget_file
from tests.emulators import ROOT, environment
from tests.gemini_server import GeminiServer
from tests.instance import instance
from tests.servers import wait_for

PROCESSES, THREADS, CALLS = 4, 4, 8
MODEL = "gemini-3.8-flash"


def worker(folder: Path, settings: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.billing_worker", str(THREADS), str(CALLS)],
        cwd=ROOT, env=environment(folder, **settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_the_ledger_is_what_the_model_server_billed_to_the_last_token(database: Engine, tmp_path: Path) -> None:
    url = database.url.render_as_string(hide_password=False)
    settings = {"DATABASE_URL": url, "BUDGET_FILE": str(budget_file(tmp_path, budget(amount_usd="100")))}
    with GeminiServer() as gemini, ExitStack() as ending:
        settings |= {"GEMINI_API_KEY": gemini.api_key, "GEMINI_BASE_URL": gemini.url, "LOG_LEVEL": "ERROR"}
        with instance(tmp_path, **settings):
            from common.security.keyring import key_ring

            key_ring()  # made once, before all
        workers = [ending.enter_context(worker(tmp_path, settings)) for _ in range(PROCESSES)]
        wait_for(lambda: len(gemini.billed) >= PROCESSES * THREADS, "the workers to be at it")
        os.kill(workers[0].pid, signal.SIGKILL)
        said = [one.communicate(timeout=100)[0] for one in workers]
        assert [one.returncode for one in workers] == [-signal.SIGKILL, 0, 0, 0], said
        billed = Counter(gemini.billed)
    with instance(tmp_path, **settings):
        lost = lapse(database, datetime.now(UTC) + timedelta(hours=1))
        check(database, billed, lost)


def check(database: Engine, billed: Counter[tuple[int, int]], lost: int) -> None:
    entry = ledger_entries.c
    with read(database) as connection:
        rows = connection.execute(select(ledger_entries)).all()
        turns = connection.scalar(select(func.count()).select_from(notices).where(notices.c.kind == "turn"))
        left = connection.scalar(select(func.count()).select_from(open_calls))
        counted = connection.scalar(select(func.sum(entry.input_tokens)))
        spent = connection.execute(select(budget_periods.c.spent_usd)).scalar_one()
        kept = kept_days(connection)
        again = added_up(connection)
    told = [row for row in rows if row.outcome == "ok"]
    gone = [row for row in rows if row.outcome == LOST]
    # What was recorded was billed, to the last token; what was billed and not recorded is one of the lost calls each.
    unrecorded = billed - Counter((row.input_tokens, row.output_tokens) for row in told)
    assert Counter((row.input_tokens, row.output_tokens) for row in told) <= billed
    assert unrecorded.total() <= lost == len(gone) <= THREADS
    assert counted == sum(tokens * times for (tokens, _), times in (billed - unrecorded).items())
    assert (turns, left) == (len(told), 0)  # what was paid for, and nothing without its price
    bounds = sum((row.bound_usd for row in gone), Decimal(0))
    usages = [TokenUsage(input_tokens=one, output_tokens=two) for one, two in unrecorded.elements()]
    costs = [cost_usd(usage, provider="gcp.gemini", model=MODEL, at=datetime.now(UTC)) for usage in usages]
    assert sum((cost for cost in costs if cost is not None), Decimal(0)) <= bounds
    assert spent == sum((row.cost_usd for row in told), bounds)
    assert kept == again
