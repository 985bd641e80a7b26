import math
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from common.llm.deadline import seconds_left, within


def test_without_a_limit_there_is_no_end_of_time() -> None:
    assert seconds_left() == math.inf
    with within(None):
        assert seconds_left() == math.inf


def test_a_limit_holds_inside_its_block_alone() -> None:
    with within(60):
        assert 59 < seconds_left() <= 60
    assert seconds_left() == math.inf


def test_an_inner_block_can_only_shorten_it() -> None:
    with within(60):
        with within(3600):
            assert seconds_left() <= 60
        with within(None):
            assert seconds_left() <= 60
        with within(1):
            assert seconds_left() <= 1
        assert seconds_left() > 59


def test_past_its_end_nothing_is_left() -> None:
    with within(-1):
        assert seconds_left() == 0


def test_a_thread_keeps_to_it_in_a_copy_of_the_context() -> None:
    with within(60), ThreadPoolExecutor(1) as threads:
        assert threads.submit(seconds_left).result() == math.inf
        assert threads.submit(copy_context().run, seconds_left).result() <= 60
