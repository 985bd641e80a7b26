"""Checks run side by side, and a report waits for none of them longer than its deadline."""

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from common.health import (
    Check,
    ComponentHealth,
    Fault,
    Finding,
    HealthChecker,
    HealthReport,
    _reset_in_child,
    init_health_checker,
    is_draining,
    last_checker,
)
from common.health_runs import CheckedComponent
from common.metrics import REGISTRY
from tests.databases import database_in
from tests.log_lines import log_lines

SHORT = 0.02  # seconds that a report waits here


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Hanging:
    """A check that answers only when it is let go; it counts how often it was started."""

    def __init__(self, *, fault: str | None = None) -> None:
        self.started = 0
        self._fault = fault
        self._may_end = threading.Event()
        self._has_ended = threading.Event()

    def __call__(self) -> None:
        self.started += 1
        try:
            self._may_end.wait(30)
            if self._fault is not None:
                raise Fault(self._fault)
        finally:
            self._has_ended.set()

    def let_go(self) -> None:
        """Returns when no thread waits any more."""
        self._may_end.set()
        if self.started:
            assert self._has_ended.wait(5)
            for thread in threading.enumerate():
                if thread.name.startswith("health-"):
                    thread.join(5)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    check = Hanging()
    yield check
    check.let_go()


@pytest.fixture
def failing_late() -> Iterator[Hanging]:
    check = Hanging(fault="not reachable")
    yield check
    check.let_go()


def failing() -> None:
    raise Fault("not there")


def checker_of(clock: Clock, *, cache_seconds: float = 0.0, timeout_seconds: float = SHORT) -> HealthChecker:
    return HealthChecker(timeout_seconds=timeout_seconds, cache_seconds=cache_seconds, clock=clock)


def report_later(checker: HealthChecker, clock: Clock, *, seconds: float = 1.0) -> HealthReport:
    clock.now += seconds
    return checker.report()


def test_a_component_that_works_is_healthy_and_so_is_the_whole() -> None:
    checker = HealthChecker()
    checker.add("database", lambda: None, needed=True)
    report = checker.report()
    assert (report.status, report.components["database"].status) == ("healthy", "healthy")


@pytest.mark.parametrize(("needed", "status"), [(True, "unhealthy"), (False, "degraded")])
def test_only_a_needed_component_makes_the_whole_unhealthy(needed: bool, status: str) -> None:
    checker = HealthChecker()
    checker.add("other", lambda: None, needed=True)
    checker.add("broken", failing, needed=needed)
    report = checker.report()
    assert report.status == status
    assert (report.components["broken"].status, report.components["broken"].detail) == ("unhealthy", "not there")


def test_a_needed_component_that_is_degraded_degrades_the_whole() -> None:
    def locked() -> None:
        raise Fault("locked", status="degraded")

    checker = HealthChecker()
    checker.add("database", locked, needed=True)
    assert checker.report().status == "degraded"


def test_what_is_needed_can_be_asked_for_alone() -> None:
    checker = HealthChecker()
    checker.add("database", lambda: None, needed=True)
    checker.add("disk", failing, needed=False)
    needed = checker.report().of_needed()
    assert (needed.status, list(needed.components)) == ("healthy", ["database"])


def test_what_is_only_noted_is_healthy_and_was_not_timed() -> None:
    checker = HealthChecker()
    checker.note("gemini", "not configured", kind="embedded")
    report = checker.report()
    gemini = report.components["gemini"]
    assert (report.status, gemini.detail, gemini.facts) == ("healthy", "not configured", {"kind": "embedded"})
    assert (gemini.seconds, gemini.duration_ms) == (None, None)


@pytest.mark.parametrize(
    ("check", "detail", "facts"),
    [
        (lambda: None, None, {"kind": "sqlite"}),
        (lambda: "empty", "empty", {"kind": "sqlite"}),
        (lambda: Finding(detail="full", facts={"documents": 3}), "full", {"kind": "sqlite", "documents": 3}),
    ],
)
def test_what_a_check_finds_is_told_beside_what_was_known(check: object, detail: str, facts: object) -> None:
    checker = HealthChecker()
    checker.add("database", check, needed=True, facts={"kind": "sqlite"})  # type: ignore[arg-type]  # of lambdas
    component = checker.report().components["database"]
    assert (component.status, component.detail, component.facts) == ("healthy", detail, facts)


def test_facts_about_what_is_broken_are_told_too() -> None:
    def full() -> None:
        raise Fault("almost full", facts={"free_mb": 3})

    checker = HealthChecker()
    checker.add("disk", full, needed=False, facts={"kind": "local"})
    assert checker.report().components["disk"].facts == {"kind": "local", "free_mb": 3}


def test_a_check_that_raises_anything_else_says_nothing_of_it_and_its_log_line_names_the_type() -> None:
    def broken() -> None:
        raise RuntimeError("password=s3cret")

    checker = HealthChecker()
    checker.add("database", broken, needed=True)
    with log_lines() as lines:
        component = checker.report().components["database"]
    assert (component.status, component.detail) == ("unhealthy", "the check failed")
    line = next(line for line in lines if line["event"] == "health.check_failed")
    assert (line["step"], line["error_type"]) == ("database", "RuntimeError")
    assert "s3cret" not in str(lines)


def test_all_checks_run_at_the_same_time() -> None:
    meeting = threading.Barrier(4, timeout=5)
    checker = HealthChecker(timeout_seconds=5)
    for number in range(4):
        checker.add(f"part-{number}", lambda: str(meeting.wait()), needed=True)
    details = {one.detail for one in checker.report().components.values()}
    assert details == {"0", "1", "2", "3"}


def test_a_check_that_hangs_is_degraded_timed_out_and_the_others_are_told(clock: Clock, hanging: Hanging) -> None:
    checker = checker_of(clock)
    checker.add("vectors", hanging, needed=False, facts={"kind": "server"})
    checker.add("database", lambda: None, needed=True)
    report = checker.report()
    vectors = report.components["vectors"]
    assert (report.status, vectors.status, vectors.detail) == ("degraded", "degraded", "timed out")
    assert vectors.facts == {"kind": "server"}
    assert report.components["database"].status == "healthy"


def test_a_needed_component_that_hangs_degrades_too(clock: Clock, hanging: Hanging) -> None:
    checker = checker_of(clock)
    checker.add("database", hanging, needed=True)
    assert checker.report().status == "degraded"


def test_a_check_that_hangs_is_not_started_again(clock: Clock, hanging: Hanging) -> None:
    checker = checker_of(clock)
    checker.add("vectors", hanging, needed=False)
    checker.report()
    before = threading.active_count()
    for _ in range(5):
        assert report_later(checker, clock).components["vectors"].detail == "timed out"
    assert (hanging.started, threading.active_count()) == (1, before)


def test_what_is_overdue_already_is_waited_for_only_a_moment(clock: Clock, hanging: Hanging) -> None:
    component = CheckedComponent("vectors", hanging, 0.0, {}, clock)
    component.begin()
    clock.now += 9.0
    assert component.health(clock(), timeout_seconds=8.0).detail == "timed out"  # else the test takes 8 seconds


def test_what_hangs_for_long_is_as_good_as_gone(clock: Clock, hanging: Hanging) -> None:
    checker = checker_of(clock)
    checker.add("database", hanging, needed=True)
    assert checker.report().status == "degraded"
    later = report_later(checker, clock, seconds=10.5)
    assert (later.status, later.components["database"].detail) == ("unhealthy", "timed out")


def test_what_a_check_says_late_is_in_the_next_report(clock: Clock, hanging: Hanging) -> None:
    checker = checker_of(clock)
    checker.add("gemini", hanging, needed=False, keep_seconds=60.0)
    assert checker.report().components["gemini"].detail == "timed out"
    hanging.let_go()
    assert report_later(checker, clock).components["gemini"].status == "healthy"
    assert hanging.started == 1


def test_what_failed_last_and_does_not_answer_now_is_told_as_failed(
    clock: Clock, failing_late: Hanging, hanging: Hanging
) -> None:
    turns = iter([failing_late, hanging])
    checker = checker_of(clock)
    checker.add("database", lambda: next(turns)(), needed=True)
    assert checker.report().components["database"].detail == "timed out"
    failing_late.let_go()
    late = report_later(checker, clock)
    assert (late.status, late.components["database"].detail) == ("unhealthy", "not reachable")
    still = report_later(checker, clock)
    assert (still.status, still.components["database"].detail) == ("unhealthy", "not reachable")


def test_a_report_is_given_again_until_it_is_too_old(clock: Clock) -> None:
    runs = itertools.count(1)
    checker = checker_of(clock, cache_seconds=5.0)
    checker.add("database", lambda: str(next(runs)), needed=True)
    first = checker.report()
    assert report_later(checker, clock, seconds=5.0) is first
    assert report_later(checker, clock, seconds=0.1).components["database"].detail == "2"


def test_many_who_ask_at_once_share_one_report(hanging: Hanging) -> None:
    checker = HealthChecker(timeout_seconds=0.2, cache_seconds=0.0)
    checker.add("database", hanging, needed=True)
    reports: list[HealthReport] = []
    threads = [threading.Thread(target=lambda: reports.append(checker.report())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(report) for report in reports}) <= 2  # those who came while it was made, and the maker
    assert hanging.started == 1


def test_an_outcome_that_costs_something_is_kept(clock: Clock) -> None:
    runs = itertools.count(1)
    checker = checker_of(clock)
    checker.add("gemini", lambda: str(next(runs)), needed=False, keep_seconds=60.0)
    first = checker.report().components["gemini"]
    assert report_later(checker, clock, seconds=29.0).components["gemini"] is first


def test_a_kept_outcome_is_renewed_without_waiting_before_it_is_too_old(clock: Clock) -> None:
    second = Hanging()
    turns = itertools.count()

    def check() -> None:
        if next(turns) > 0:
            second()

    checker = checker_of(clock, timeout_seconds=30)
    checker.add("gemini", check, needed=False, keep_seconds=60.0)
    first = checker.report().components["gemini"]
    assert report_later(checker, clock, seconds=31.0).components["gemini"] is first
    second.let_go()
    renewed = report_later(checker, clock, seconds=31.0).components["gemini"]
    assert renewed is not first
    assert (renewed.status, next(turns)) == ("healthy", 2)


def test_each_check_is_told_to_the_observer_and_what_was_kept_only_once(clock: Clock) -> None:
    told: list[tuple[str, bool]] = []
    checker = HealthChecker(
        cache_seconds=0.0, clock=clock, observe=lambda name, is_well, seconds: told.append((name, is_well))
    )
    checker.add("database", failing, needed=True)
    checker.add("gemini", lambda: None, needed=False, keep_seconds=60.0)
    checker.note("cache", "in memory")
    checker.report()
    report_later(checker, clock)
    assert told == [("database", False), ("gemini", True), ("database", False)]


def test_a_change_is_logged_once_and_so_is_its_end(clock: Clock) -> None:
    answers: Iterator[Check] = iter([failing, failing, lambda: None, lambda: None])
    checker = checker_of(clock)
    checker.add("database", lambda: next(answers)(), needed=True)
    with log_lines() as lines:
        for _ in range(4):
            report_later(checker, clock)
    assert [(line["log_level"], line["step"], line["status"], line.get("reason")) for line in lines] == [
        ("warning", "database", "unhealthy", "not there"),
        ("info", "database", "healthy", None),
    ]


def test_no_thread_to_be_had_says_nothing_about_the_component(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    checker = HealthChecker()
    checker.add("database", lambda: None, needed=True)
    report = checker.report()
    assert (report.status, report.components["database"].detail) == ("degraded", "the check failed")


def test_a_worker_that_was_told_to_end_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    class Worker:
        alive = True

        def handle_exit(self) -> None:
            """As gunicorn's worker: the method is the signal's handler."""

    worker = Worker()
    monkeypatch.setattr(signal, "getsignal", lambda number: worker.handle_exit)
    assert not is_draining()
    worker.alive = False
    assert is_draining()


def test_uvicorns_server_that_was_told_to_end_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    server = uvicorn.Server(uvicorn.Config("nowhere:app"))
    monkeypatch.setattr(signal, "getsignal", lambda number: server.handle_exit)
    assert not is_draining()
    server.handle_exit(signal.SIGTERM, None)
    assert is_draining()


def test_a_forked_child_neither_waits_for_its_parents_threads_nor_takes_their_checks_for_its_own(
    hanging: Hanging,
) -> None:
    parent = os.getpid()
    checker = HealthChecker(timeout_seconds=SHORT, cache_seconds=0.0)
    checker.add("vectors", lambda: hanging() if os.getpid() == parent else None, needed=True)
    checker.note("cache", "in memory")
    assert checker.report().components["vectors"].detail == "timed out"
    with checker._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            checker._timeout_seconds = 5.0
            os._exit(0 if checker.report().status == "healthy" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert checker.report().components["vectors"].detail == "timed out"


def test_a_reset_forgets_what_runs(hanging: Hanging) -> None:
    checker = HealthChecker(timeout_seconds=SHORT, cache_seconds=0.0)
    checker.add("vectors", hanging, needed=True)
    checker.note("cache", "in memory")
    checker.report()
    _reset_in_child()
    checker.report()
    assert hanging.started == 2


def test_a_process_without_such_a_worker_does_not_drain() -> None:
    assert not is_draining()


def test_paths_given_are_checked_and_told_to_the_metrics(tmp_path: Path) -> None:
    checker = init_health_checker(db_path=database_in(tmp_path), chromadb_path=str(tmp_path))
    components = checker.report().components
    assert (components["database"].status, components["vector_index"].detail) == ("healthy", "not there")
    up = {name: REGISTRY.get_sample_value("assistant_component_up", {"component": name}) for name in components}
    assert (up["database"], up["vector_index"]) == (1.0, 0.0)


def test_the_last_checker_is_the_one_that_was_made_last(tmp_path: Path) -> None:
    init_health_checker(db_path=database_in(tmp_path))
    made = init_health_checker(db_path=database_in(tmp_path))
    assert last_checker() is made


def test_a_duration_is_told_in_milliseconds(clock: Clock) -> None:
    def slow() -> None:
        clock.now += 0.01234

    checker = checker_of(clock)
    checker.add("database", slow, needed=True)
    component: ComponentHealth = checker.report().components["database"]
    assert component.duration_ms == 12.3
