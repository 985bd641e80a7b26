import os

import pytest

from common.processors import MOST, usable_processors


@pytest.mark.parametrize(("allowed", "expected"), [(1, 1), (2, 2), (MOST, MOST), (64, MOST)])
def test_the_processors_that_the_process_may_use_count_and_not_the_machines(
    monkeypatch: pytest.MonkeyPatch, allowed: int, expected: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(allowed)), raising=False)
    assert usable_processors() == expected


@pytest.mark.parametrize(("counted", "expected"), [(None, 1), (2, 2), (96, MOST)])
def test_where_the_system_does_not_tell_the_machines_count(
    monkeypatch: pytest.MonkeyPatch, counted: int | None, expected: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert usable_processors() == expected
