"""Traces that are not sampled wait for their end: one error keeps them whole. Nothing of it grows without a bound."""

from collections.abc import Iterable

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan

from common.telemetry import trace_holding
from common.telemetry.trace_holding import Holding

REMOTE = otel.SpanContext(1, 99, is_remote=True)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A holding, and what it said was dropped."""

    def __init__(self) -> None:
        self.dropped = 0
        self.clock = Clock()
        self.holding = Holding(self._drop, self.clock)

    def _drop(self, count: int) -> None:
        self.dropped += count

    def open(self, span_id: int, parent: int | otel.SpanContext | None = None) -> None:
        context = context_of(parent) if isinstance(parent, int) else parent
        self.holding.opened(context_of(span_id), context)

    def end(self, span_id: int, *, fails: bool = False) -> list[int]:
        status = otel.Status(otel.StatusCode.ERROR if fails else otel.StatusCode.UNSET)
        return ids(self.holding.ended(ReadableSpan("work", context=context_of(span_id), status=status)))


def context_of(span_id: int) -> otel.SpanContext:
    return otel.SpanContext(1, span_id, is_remote=False)


def ids(spans: Iterable[ReadableSpan]) -> list[int]:
    return [span.context.span_id for span in spans if span.context]


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("parent", [None, REMOTE])
def test_a_trace_without_an_error_is_let_go_at_its_end(world: World, parent: otel.SpanContext | None) -> None:
    world.open(1, parent)
    world.open(2, 1)
    assert (world.end(2), world.end(1), world.dropped) == ([], [], 0)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_an_error_anywhere_keeps_the_whole_trace(world: World, failing: int) -> None:
    world.open(1, REMOTE)
    world.open(2, 1)
    world.open(3, 2)
    assert world.end(3, fails=failing == 3) == []
    assert world.end(2, fails=failing == 2) == []
    assert world.end(1, fails=failing == 1) == [3, 2, 1]


def test_two_requests_of_one_callers_trace_are_decided_apart(world: World) -> None:
    world.open(1, REMOTE)
    world.open(2, REMOTE)
    assert world.end(1) == []
    assert world.end(2, fails=True) == [2]


def test_work_that_ends_after_its_request_follows_it(world: World) -> None:
    for root, fails in ((1, True), (10, False)):
        world.open(root)
        world.open(root + 1, root)
        assert world.end(root, fails=fails) == ([root] if fails else [])
    assert world.end(2) == [2]
    assert world.end(11) == []


def test_work_that_fails_after_its_request_is_kept(world: World) -> None:
    world.open(1)
    world.open(2, 1)
    assert world.end(1) == []
    assert world.end(2, fails=True) == [2]


def test_spans_that_never_end_are_let_go_and_those_they_held_are_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_holding, "MAX_OPEN", 3)
    for number in (1, 2, 3):
        world.open(number)
    world.open(11, 1)  # one too many: 1 goes
    world.end(11)
    assert len(world.holding._open) == 2
    world.open(21, 2)
    world.end(21)
    world.open(22, 2)
    world.open(5)  # 2 goes, with 21
    assert world.dropped == 1
    assert world.end(2, fails=True) == [2]
    assert world.end(1) == []


def test_what_is_too_old_is_let_go(world: World) -> None:
    world.open(1)
    world.open(2, 1)
    world.end(2, fails=True)
    world.clock.now += trace_holding.MAX_AGE_SECONDS + 1
    world.open(3)
    assert (world.dropped, list(world.holding._open)) == (1, [3])


def test_parts_of_a_request_that_is_too_old_are_not_held_but_those_that_fail_are_kept(world: World) -> None:
    world.open(1)
    world.clock.now += trace_holding.MAX_AGE_SECONDS + 1
    world.open(2, 1)
    assert world.holding._open == {}
    world.open(3, 1)
    assert (world.end(2), world.end(3, fails=True), world.end(1)) == ([], [3], [])


@pytest.mark.parametrize("bound", ["MAX_ENDED", "MAX_ENDED_IN_ONE"])
def test_ended_spans_are_bounded_and_an_error_among_those_left_out_still_counts(
    world: World, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_holding, bound, 2)
    world.open(1)
    for number in (2, 3, 4):
        world.open(number, 1)
        world.end(number, fails=number == 4)
    assert world.dropped == 1
    assert world.end(1) == [2, 3, 1]
    world.open(5)
    assert world.end(5, fails=True) == [5]
    assert world.holding._count == 0


def test_a_child_starts_with_nothing(world: World) -> None:
    world.open(1)
    world.holding._lock.acquire()  # by another thread of the parent
    world.holding.clear()
    assert world.end(1) == []
    assert world.holding._open == {}
