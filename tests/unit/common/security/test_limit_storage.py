"""Windows of hits, counted in memory and in a real Redis: several are taken or none, exactly, and nothing is kept."""

import secrets
import threading
import time
from collections.abc import Callable

import pytest
from limits.errors import StorageError

from common.security.limit_storage import Counters, MemoryCounters, RedisCounters, Window, limit_of
from common.settings import InvalidSettings
from tests import servers


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.servers)])
def counters(request: pytest.FixtureRequest) -> Counters:
    if request.param == "memory":
        return MemoryCounters()
    return RedisCounters(request.getfixturevalue("redis_server"))


@pytest.fixture
def window() -> Callable[..., Window]:
    """A window with a key that no other test has."""
    prefix = secrets.token_hex(8)
    return lambda name, amount=2, seconds=60: Window(f"{prefix}/{name}", amount, seconds)


def test_a_window_takes_its_amount_and_then_says_when_the_oldest_hit_leaves(
    counters: Counters, window: Callable[..., Window]
) -> None:
    one = window("a")
    hits = [counters.take([one])[0] for _ in range(3)]
    assert [(hit.is_used_up, hit.remaining) for hit in hits] == [(False, 1), (False, 0), (True, 0)]
    assert all(55 < hit.reset_seconds <= 60 for hit in hits)


def test_a_look_takes_nothing(counters: Counters, window: Callable[..., Window]) -> None:
    one = window("a", 1)
    assert [tuple(counters.look([one])[0]) for _ in range(3)] == [(False, 1, 0.0)] * 3
    counters.take([one])
    seen = counters.look([one])[0]
    assert (seen.is_used_up, seen.remaining) == (True, 0)


@pytest.mark.parametrize("used_up_first", [True, False])
def test_a_refusal_by_one_window_takes_nothing_out_of_the_other(
    counters: Counters, window: Callable[..., Window], used_up_first: bool
) -> None:
    used_up, free = window("used up", 1), window("free", 5)
    counters.take([used_up])
    both = [used_up, free] if used_up_first else [free, used_up]
    for _ in range(3):
        left = dict(zip(both, counters.take(both), strict=True))
        assert (left[used_up].is_used_up, left[free].is_used_up, left[free].remaining) == (True, False, 5)


def test_of_many_threads_exactly_as_many_pass_as_the_window_takes(
    counters: Counters, window: Callable[..., Window]
) -> None:
    both = [window("a", 50), window("b", 1_000)]
    passed: list[bool] = []

    def ask() -> None:
        passed.extend(not any(one.is_used_up for one in counters.take(both)) for _ in range(25))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(passed), sum(passed), counters.look(both)[1].remaining) == (200, 50, 950)


def test_a_hit_leaves_its_window_after_exactly_its_seconds() -> None:
    clock, one = Clock(), Window("a", 2, 60)
    counters = MemoryCounters(clock=clock)
    counters.take([one])
    clock.now += 30
    counters.take([one])
    clock.now += 29.9
    assert counters.take([one])[0].is_used_up
    clock.now += 0.1
    hit = counters.take([one])[0]
    assert (hit.is_used_up, hit.remaining) == (False, 0)
    assert hit.reset_seconds == pytest.approx(30)


@pytest.mark.servers
def test_in_redis_a_hit_leaves_its_window_too(redis_server: str, window: Callable[..., Window]) -> None:
    counters, one = RedisCounters(redis_server), window("a", 1, 1)
    counters.take([one])
    servers.wait_for(lambda: not counters.look([one])[0].is_used_up, "the hit leaves its window")
    assert counters.take([one])[0].remaining == 0


@pytest.mark.servers
def test_redis_forgets_a_key_when_its_window_is_over(redis_server: str, window: Callable[..., Window]) -> None:
    counters, one = RedisCounters(redis_server), window("a", 5, 60)
    counters.take([one])
    assert 55 < counters.get_expiry(one.key) - time.time() <= 61


def test_keys_whose_windows_are_over_are_forgotten() -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    for number in range(1_000):
        counters.take([Window(f"{number}", 5, 60), Window(f"other {number}", 5, 60)])
    clock.now += 61
    for number in range(1_000):
        counters.look([Window(f"late {number}", 5, 60)])
    assert len(counters) < 4


def test_of_too_many_keys_those_go_that_were_not_asked_for_longest() -> None:
    counters = MemoryCounters(clock=Clock(), most_keys=100)
    busy = Window("busy", 1, 60)
    counters.take([busy])
    for number in range(1_000):
        counters.take([Window(f"{number}", 5, 60)])
        counters.look([busy])
    assert len(counters) <= 100
    assert counters.look([busy])[0].is_used_up


def test_a_redis_that_is_not_there_is_an_error_of_the_storage(free_port: int) -> None:
    counters = RedisCounters(f"redis://127.0.0.1:{free_port}/0")
    with pytest.raises(StorageError):
        counters.take([Window("a", 1, 60)])


def test_a_redis_that_never_answers_is_waited_for_half_a_second() -> None:
    with servers.silence() as url:
        counters = RedisCounters(url.replace("http", "redis"))
        begun = time.monotonic()
        with pytest.raises(StorageError):
            counters.take([Window("a", 1, 60)])
        assert time.monotonic() - begun < 2


@pytest.mark.servers
def test_a_restart_of_redis_is_not_noticed() -> None:
    server, one = servers.Redis(port=servers.free_port()), Window("a", 5, 60)
    counters = RedisCounters(server.url)
    with server.running():
        counters.take([one])
    with server.running():
        assert counters.take([one])[0].remaining == 4


def test_a_url_of_something_else_is_refused_without_telling_it() -> None:
    with pytest.raises(InvalidSettings, match=r"^REDIS_URL: must begin with redis://") as refused:
        RedisCounters("http://user:secret@cache")
    assert "secret" not in str(refused.value)


def test_a_limit_is_read_as_the_library_writes_it() -> None:
    assert [(limit_of(text).amount, limit_of(text).get_expiry()) for text in ("60/minute", "5 per 10 seconds")] == [
        (60, 60),
        (5, 10),
    ]


def test_what_is_no_limit_is_named_by_its_setting() -> None:
    with pytest.raises(ValueError, match="couldn't parse"):
        limit_of("plenty")
    with pytest.raises(InvalidSettings, match=r"^ADDRESS_LIMIT: is no limit"):
        limit_of("plenty", "ADDRESS_LIMIT")
