"""The library's counters as we make them: in memory and in a real Redis, which may be silent, away or started anew."""

import secrets
import threading
import time

import pytest
from limits import parse
from limits.errors import StorageError
from limits.strategies import RateLimiter

from common.security.limit_storage import in_memory, in_redis, limit_of
from common.settings import InvalidSettings
from tests import servers

LIMIT = parse("5/hour")


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.servers)])
def limiter(request: pytest.FixtureRequest) -> RateLimiter:
    return in_memory() if request.param == "memory" else in_redis(request.getfixturevalue("redis_server"))


@pytest.fixture
def who() -> str:
    """Somebody whom no other test counts."""
    return secrets.token_hex(8)


def test_a_limit_takes_its_amount(limiter: RateLimiter, who: str) -> None:
    assert [limiter.hit(LIMIT, who) for _ in range(7)] == [True] * 5 + [False] * 2
    assert limiter.get_window_stats(LIMIT, who).remaining == 0


def test_of_many_threads_exactly_as_many_pass_as_the_limit_takes(limiter: RateLimiter, who: str) -> None:
    limit, passed = parse("50/hour"), list[bool]()
    threads = [
        threading.Thread(target=lambda: passed.extend(limiter.hit(limit, who) for _ in range(25))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(passed), sum(passed)) == (200, 50)


def test_memory_forgets_who_has_not_asked_for_a_while() -> None:
    limiter = in_memory()
    second = parse("5/second")
    for number in range(500):
        limiter.hit(second, str(number))
    storage = limiter.storage
    servers.wait_for(lambda: limiter.hit(second, "x") is None or len(storage.storage) < 10, "windows end")  # type: ignore[attr-defined]


def test_a_redis_that_is_not_there_is_an_error_of_the_storage(free_port: int) -> None:
    with pytest.raises(StorageError):
        in_redis(f"redis://127.0.0.1:{free_port}/0").hit(LIMIT, "a")


def test_a_redis_that_never_answers_is_waited_for_half_a_second() -> None:
    with servers.silence() as url:
        limiter = in_redis(url.replace("http", "redis"))
        begun = time.monotonic()
        with pytest.raises(StorageError):
            limiter.hit(LIMIT, "a")
        assert time.monotonic() - begun < 2


@pytest.mark.servers
def test_a_restart_of_redis_is_not_noticed() -> None:
    server = servers.Redis(port=servers.free_port())
    limiter = in_redis(server.url)
    with server.running():
        assert limiter.hit(LIMIT, "a")
    with server.running():
        assert limiter.hit(LIMIT, "a")


def test_a_url_of_something_else_is_refused_without_telling_it() -> None:
    with pytest.raises(InvalidSettings, match=r"^REDIS_URL: must begin with redis://") as refused:
        in_redis("http://user:secret@cache")
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
