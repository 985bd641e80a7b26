import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.once import once


def test_concurrent_first_calls_make_one_object_and_all_get_it() -> None:
    callers = 8
    all_called, made = threading.Barrier(callers), []

    @once
    def factory() -> object:
        made.append(object())
        return made[-1]

    def call() -> object:
        all_called.wait()
        return factory()

    with ThreadPoolExecutor(callers) as pool:
        given = [one.result() for one in [pool.submit(call) for _ in range(callers)]]
    assert len(made) == 1
    assert {id(one) for one in given} == {id(made[0])}


def test_a_second_caller_waits_for_the_first_instead_of_making_its_own() -> None:
    begun, may_end = threading.Event(), threading.Event()
    made = []

    @once
    def factory() -> int:
        made.append(1)
        begun.set()
        assert may_end.wait(10)
        return len(made)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(factory)
        assert begun.wait(10)
        second = pool.submit(factory)
        may_end.set()
        assert (first.result(), second.result()) == (1, 1)


def test_an_exception_is_not_remembered() -> None:
    outcomes = iter([OSError("away"), None])

    @once
    def factory() -> str:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome
        return "made"

    with pytest.raises(OSError, match="away"):
        factory()
    assert factory() == "made"
    assert factory() == "made"


def test_none_is_remembered_like_anything_else() -> None:
    calls = []

    @once
    def factory() -> None:
        calls.append(1)

    factory()
    factory()
    assert calls == [1]


def test_what_was_forgotten_is_made_anew() -> None:
    numbers = iter(range(10))

    @once
    def factory() -> int:
        return next(numbers)

    assert (factory(), factory()) == (0, 0)
    factory.cache_clear()
    assert factory() == 1


def test_a_factory_may_call_another_one() -> None:
    @once
    def engine() -> str:
        return "engine"

    @once
    def store() -> str:
        return f"store on {engine()}"

    assert store() == "store on engine"


def test_a_factory_keeps_its_name_and_its_words() -> None:
    @once
    def factory() -> int:
        """The one."""
        return 1

    assert (factory.__name__, factory.__doc__) == ("factory", "The one.")  # type: ignore[attr-defined]  # as of a function


def test_one_can_ask_whether_it_is_made_without_making_it() -> None:
    factory = once(object)
    asked = [factory.is_made]
    factory()
    asked.append(factory.is_made)
    factory.cache_clear()
    asked.append(factory.is_made)
    assert asked == [False, True, False]
