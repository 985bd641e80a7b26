"""Counts of lines and failures reach the metrics, also those from before the metrics were there."""

import os
from collections import Counter

import pytest

from common.telemetry import log_counts


@pytest.fixture(autouse=True)
def nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_counts, "_on_line", None)
    monkeypatch.setattr(log_counts, "_on_failure", None)
    monkeypatch.setattr(log_counts, "_lines", Counter())
    monkeypatch.setattr(log_counts, "_failures", Counter())


def test_what_was_counted_before_is_handed_on() -> None:
    log_counts.written("INFO")
    log_counts.written("INFO")
    log_counts.failed("stdout")
    assert log_counts.waiting() == ({"INFO": 2}, {"stdout": 1})
    lines: list[str] = []
    failures: list[str] = []
    log_counts.count_with(line=lines.append, failure=failures.append)
    log_counts.written("ERROR")
    log_counts.failed("api")
    assert (lines, failures) == (["INFO", "INFO", "ERROR"], ["stdout", "api"])
    assert log_counts.waiting() == ({}, {})


def test_a_counter_that_fails_harms_nobody() -> None:
    def broken(name: str) -> None:
        raise RuntimeError

    log_counts.written("INFO")
    log_counts.count_with(line=broken, failure=broken)
    log_counts.written("INFO")
    log_counts.failed("api")


def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    with log_counts._lock:
        child = os.fork()
        if child == 0:
            log_counts.failed("child")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
