"""infra/docker/schedule.py: when something is due, and the calls themselves."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread

import pytest

from infra.docker import schedule
from infra.docker.schedule import BadCron, Scheduled, call, due, scheduled
from tests.compositions import FOLDER, ROOT

MONDAY = datetime(2026, 3, 2, 6, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def awake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "awake"
    monkeypatch.setattr(schedule, "AWAKE", path)
    return path


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "@daily", "a * * * *"]
)
def test_a_schedule_that_cannot_be_read_is_refused_by_its_function(cron: str) -> None:
    one = {"name": "retention", "timeout_seconds": 5, "schedule": {"cron": cron, "path": "/events/retention"}}
    with pytest.raises(BadCron, match=r"functions\.json: retention: schedule\.cron"):
        scheduled(json.dumps({"functions": [one]}))


def test_every_schedule_of_the_list_is_kept() -> None:
    text = (ROOT / "functions" / "functions.json").read_text()
    listed = {one["name"]: one["schedule"]["path"] for one in json.loads(text)["functions"] if "schedule" in one}
    assert {one.function: one.path for one in scheduled(text)} == listed
    assert listed


class _Clock:
    def __init__(self) -> None:
        self.moment = MONDAY + timedelta(seconds=20)
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.moment += timedelta(seconds=seconds)


def scheduled_at(cron: str, function: str = "cost_report") -> Scheduled:
    return Scheduled(function=function, path="/run", cron=cron, timeout_seconds=5)


def test_each_is_called_when_it_is_due_and_none_is_left_out_when_a_call_takes_longer(awake: Path) -> None:
    clock, seen = _Clock(), []
    listed = [scheduled_at("31-34 6 * * 1-5"), scheduled_at("32 6 * * *", "retention")]
    for moment, one in islice(due(listed, clock.now, clock.sleep), 6):
        seen.append((moment.day, moment.minute, one.function, clock.moment.minute))
        if moment.minute == 31:
            clock.sleep(130)
    assert seen == [
        (2, 31, "cost_report", 31), (2, 32, "cost_report", 33), (2, 32, "retention", 33),
        (2, 33, "cost_report", 33), (2, 34, "cost_report", 34), (3, 31, "cost_report", 31),
    ]  # fmt: skip
    assert awake.exists()


def test_while_nothing_is_due_it_shows_each_minute_that_it_is_awake(awake: Path) -> None:
    clock = _Clock()
    next(due([scheduled_at("0 7 * * *")], clock.now, clock.sleep))
    assert (len(clock.waits), max(clock.waits)) == (30, 60)


@pytest.fixture
def server() -> Iterator[tuple[str, list[int], list[tuple[str | None, str | None]]]]:
    """Its URL, the statuses that it answers with in turn, and key and path of each call."""
    statuses: list[int] = []
    calls: list[tuple[str | None, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append((self.headers["X-API-Key"], self.path))
            self.send_response(statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/{{service}}", statuses, calls
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answers", "is_taken", "waits"),
    [
        ([200], True, []),
        ([503, 429, 204], True, [5.0, 30.0]),
        ([500, 500, 500, 500], False, [5.0, 30.0, 120.0]),
        ([403], False, []),
        ([302], False, []),
        ([409, 204], True, [5.0]),
    ],
)
def test_a_call_is_tried_again_where_that_may_help(
    answers: list[int],
    is_taken: bool,
    waits: list[float],
    server: tuple[str, list[int], list[tuple[str | None, str | None]]],
) -> None:
    url, statuses, calls = server
    statuses += answers
    one = scheduled_at("* * * * *")
    waited: list[float] = []
    assert call(one, url, "the key", waited.append) is is_taken
    assert waited == waits
    assert calls == [("the key", "/cost-report/run")] * len(answers)


def test_nobody_there_is_a_call_that_was_not_taken() -> None:
    one = scheduled_at("* * * * *", "retention")
    waited: list[float] = []
    assert call(one, "http://127.0.0.1:9", "key", waited.append) is False
    assert waited == [5.0, 30.0, 120.0]


def test_without_a_key_it_says_so_and_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "schedule.py")]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("API_KEY: ")


def test_it_ends_at_once_when_it_is_told_to() -> None:
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "API_KEY": "lcc_some_key"}
    command = [sys.executable, "-u", str(FOLDER / "schedule.py")]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "schedule.started" in process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=10) == 0
