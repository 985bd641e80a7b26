"""What is let in and what is refused: by principal, by address, by refused keys, by requests in flight."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import pytest

from common.metrics import exposition
from common.problems import QuotaExceeded
from common.security.limits import AWAY_SECONDS, Limits, LimitsUnavailable, limits
from common.settings import InvalidSettings, load_settings
from tests import servers
from tests.log_lines import log_lines

ROUTE = "POST /api/query"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(clock: Clock) -> Callable[..., Limits]:
    return lambda **overrides: Limits(load_settings(**overrides), clock=clock)


def counted(limit: str, outcome: str) -> float:
    """The series of `assistant_limits_total` now."""
    name = f'assistant_limits_total{{limit="{limit}",outcome="{outcome}"}} '
    lines = exposition(None)[0].decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


def passes(limits: Limits, times: int, *, limit: str = "5/hour", who: str = "key", address: str = "a") -> int:
    """How many of `times` requests pass."""
    passed = 0
    for _ in range(times):
        try:
            limits.check(ROUTE, limit, who, address)
        except QuotaExceeded:
            continue
        passed += 1
    return passed


def told(state: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Name, what remains and the seconds until there is more, of each limit in `RateLimit`."""
    found = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', state["RateLimit"])
    return [(name, int(remaining), int(seconds)) for name, remaining, seconds in found]


def test_an_answer_tells_both_limits_and_what_is_left_of_them(made: Callable[..., Limits]) -> None:
    limits = made(address_limit="600/hour")
    states = [limits.check(ROUTE, "60/hour", "key", "192.0.2.0").headers for _ in range(2)]
    assert states[0]["RateLimit-Policy"] == '"principal";q=60;w=3600,"address";q=600;w=3600'
    assert [[one[:2] for one in told(state)] for state in states] == [
        [("principal", 59), ("address", 599)],
        [("principal", 58), ("address", 598)],
    ]
    assert all(0 < seconds <= 3600 for state in states for _, _, seconds in told(state))


@pytest.mark.parametrize(("factor", "amount"), [(2, 10), (0.5, 2), (0.001, 1)])
def test_what_routes_let_through_may_be_multiplied(made: Callable[..., Limits], factor: float, amount: int) -> None:
    limits = made(limit_factor=factor)
    assert passes(limits, 20) == amount
    policy = limits.check(ROUTE, "5/hour", "other", "a").headers["RateLimit-Policy"]
    assert policy.startswith(f'"principal";q={amount};w=3600')


def test_a_refusal_says_when_to_come_again_and_which_limit_it_was(made: Callable[..., Limits]) -> None:
    limits = made()
    assert passes(limits, 2, limit="2/hour") == 2
    with pytest.raises(QuotaExceeded) as refused:
        limits.check(ROUTE, "2/hour", "key", "a")
    assert refused.value.detail == "This key or account may ask this 2 times in 3600 seconds."
    headers = refused.value.headers
    (principal, address) = told(headers)
    assert (principal[:2], address[:2]) == (("principal", 0), ("address", 598))
    assert headers["Retry-After"] == str(principal[2])
    assert headers["RateLimit-Policy"] == '"principal";q=2;w=3600,"address";q=600;w=60'


def test_when_its_time_has_come_a_request_passes_again(made: Callable[..., Limits]) -> None:
    limits = made()
    servers.wait_for(lambda: passes(limits, 1, limit="1/second") == 0, "the limit is used up")
    servers.wait_for(lambda: passes(limits, 1, limit="1/second") == 1, "it is not any more")


def test_of_two_at_the_last_place_one_is_refused(made: Callable[..., Limits], monkeypatch: pytest.MonkeyPatch) -> None:
    limits = made()
    monkeypatch.setattr(limits._alone, "hit", lambda *_: False)  # another one has taken it meanwhile
    with pytest.raises(QuotaExceeded):
        limits.check(ROUTE, "5/hour", "key", "a")


def test_a_limit_is_of_one_principal_and_one_route(made: Callable[..., Limits]) -> None:
    limits = made()
    assert (passes(limits, 9), passes(limits, 9), passes(limits, 9, who="other")) == (5, 0, 5)
    limits.check("GET /api/documents/{id}", "5/hour", "key", "a")


def test_an_address_has_a_limit_of_its_own_over_all_who_come_from_it(made: Callable[..., Limits]) -> None:
    limits = made(address_limit="4/hour")
    assert [passes(limits, 3, who=who) for who in ("one", "two")] == [3, 1]
    assert passes(limits, 3, who="two", address="b") == 3


def test_what_the_principals_limit_refuses_uses_up_nothing_of_the_address(made: Callable[..., Limits]) -> None:
    limits = made(address_limit="10/hour")
    assert passes(limits, 50, who="greedy") == 5
    assert passes(limits, 50, who="other") == 5


def test_what_the_addresss_limit_refuses_uses_up_nothing_of_the_principal(made: Callable[..., Limits]) -> None:
    limits = made(address_limit="3/hour")
    assert passes(limits, 50) == 3
    assert passes(limits, 50, address="b") == 2


def test_without_an_address_limit_the_principal_alone_is_counted(made: Callable[..., Limits]) -> None:
    state = made(address_limit="none").check(ROUTE, "60/hour", "key", "a")
    assert state.headers["RateLimit-Policy"] == '"principal";q=60;w=3600'
    assert [one[:2] for one in told(state.headers)] == [("principal", 59)]


def test_a_route_without_a_limit_is_never_refused_and_needs_no_redis(
    made: Callable[..., Limits], free_port: int
) -> None:
    limits = made(address_limit="1/hour", redis_url=f"redis://127.0.0.1:{free_port}")
    assert passes(limits, 20, limit="none") == 20
    assert limits.check(ROUTE, "none", "key", "a").headers == {}


def test_a_limit_that_is_none_is_refused(made: Callable[..., Limits]) -> None:
    with pytest.raises(ValueError, match="couldn't parse"):
        made().check(ROUTE, "plenty", "key", "a")
    with pytest.raises(InvalidSettings, match=r"^FAILED_KEYS_LIMIT: is no limit"):
        made(failed_keys_limit="plenty")


def test_of_ten_thousand_wrong_keys_from_one_address_twenty_are_looked_at(made: Callable[..., Limits]) -> None:
    limits, waits, before = made(failed_keys_limit="20/hour"), [], counted("credentials", "refused")
    for _ in range(10_000):
        try:
            limits.before_credentials("guesser")
        except QuotaExceeded as error:
            waits.append(error.headers["Retry-After"])
            continue
        limits.credentials_refused("guesser")
    assert len(waits) == 9_980
    assert all(0 < int(seconds) <= 3_600 for seconds in waits)
    assert counted("credentials", "refused") - before == 9_980
    limits.before_credentials("somebody else")


def test_valid_keys_are_not_counted_as_guesses(made: Callable[..., Limits]) -> None:
    limits = made(failed_keys_limit="1/hour")
    for _ in range(5):
        limits.before_credentials("a")


def test_guesses_may_be_left_uncounted(made: Callable[..., Limits]) -> None:
    limits = made(failed_keys_limit="none")
    for _ in range(50):
        limits.before_credentials("a")
        limits.credentials_refused("a")


def test_a_principal_has_so_many_requests_in_flight_and_no_more(made: Callable[..., Limits]) -> None:
    limits, before = made(max_concurrent_requests=2), counted("concurrency", "refused")
    with limits.running("key"), limits.running("other"):
        with limits.running("key"), pytest.raises(QuotaExceeded) as refused, limits.running("key"):
            pass
        with limits.running("key"):
            pass
    assert refused.value.headers == {"Retry-After": "1"}
    assert refused.value.detail == "At most 2 requests of one key or account are answered at a time."
    assert counted("concurrency", "refused") - before == 1
    assert limits._in_flight._counts == {}


def test_requests_in_flight_are_counted_exactly_under_threads(made: Callable[..., Limits]) -> None:
    limits, barrier, inside = made(max_concurrent_requests=5), threading.Barrier(16), []

    def ask() -> None:
        for _ in range(50):
            barrier.wait()
            with ExitStack() as stack:
                try:
                    stack.enter_context(limits.running("key"))
                    inside.append(1)
                except QuotaExceeded:
                    inside.append(0)
                barrier.wait()  # nobody leaves before everybody has come

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(inside), sum(inside), limits._in_flight._counts) == (800, 250, {})


def test_while_redis_is_away_and_the_setting_says_closed_nothing_counted_is_let_in(
    made: Callable[..., Limits], free_port: int
) -> None:
    limits, before = made(redis_url=f"redis://127.0.0.1:{free_port}"), counted("principal", "unavailable")
    for ask in (
        lambda: limits.check(ROUTE, "5/hour", "key", "a"),
        lambda: limits.before_credentials("a"),
        lambda: limits.credentials_refused("a"),
    ):
        with pytest.raises(LimitsUnavailable) as refused:
            ask()
        assert (refused.value.status, refused.value.type) == (503, "/problems/limits-unavailable")
        assert refused.value.headers == {"Retry-After": "3"}
    assert counted("principal", "unavailable") - before == 1
    assert counted("credentials", "unavailable") >= 2


def test_while_redis_is_away_and_the_setting_says_open_this_instance_counts_alone(
    made: Callable[..., Limits], free_port: int
) -> None:
    before = counted("principal", "alone")
    limits = made(redis_url=f"redis://127.0.0.1:{free_port}", when_redis_is_away="open")
    with log_lines() as lines:
        assert passes(limits, 20) == 5
    assert counted("principal", "alone") - before == 20
    assert [(line["event"], line["outcome"]) for line in lines] == [("limits.redis_away", "open")]


def test_a_redis_that_never_answers_costs_one_request_its_time_out(made: Callable[..., Limits], clock: Clock) -> None:
    with servers.silence() as url:
        limits = made(redis_url=url.replace("http", "redis"), when_redis_is_away="open")
        asked = _count_asks(limits)
        assert passes(limits, 100) == 5
        assert len(asked) == 1
        clock.now += AWAY_SECONDS
        assert passes(limits, 100) == 0
        assert len(asked) == 2


@pytest.mark.servers
def test_redis_is_used_again_when_it_is_back(made: Callable[..., Limits], clock: Clock) -> None:
    server = servers.Redis(port=servers.free_port())
    limits = made(redis_url=server.url, when_redis_is_away="closed")
    with log_lines() as lines:
        with server.running():
            assert passes(limits, 20) == 5
        with pytest.raises(LimitsUnavailable):
            limits.check(ROUTE, "5/hour", "key", "a")
        with server.running():
            with pytest.raises(LimitsUnavailable):  # it is left alone for a while
                limits.check(ROUTE, "5/hour", "key", "a")
            clock.now += AWAY_SECONDS
            assert passes(limits, 20) == 5  # it came back empty
    ours = [line["event"] for line in lines if line["event"].startswith("limits.")]
    assert ours == ["limits.redis_away", "limits.redis_back"]


@pytest.mark.servers
def test_two_processes_share_one_limit(redis_server: str) -> None:
    command = [sys.executable, "-c", _SHARED, redis_server]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    passed = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(passed) == 100  # of 2 processes x 4 threads x 50
    assert all(process.returncode == 0 for process in processes)


_SHARED = """
import json, sys, threading
from common.problems import QuotaExceeded
from common.security.limits import Limits
from common.settings import load_settings

limits, passed = Limits(load_settings(redis_url=sys.argv[1], address_limit="1000/hour")), []

def ask():
    for _ in range(50):
        try:
            limits.check("POST /shared", "100/hour", "key", "a")
        except QuotaExceeded:
            continue
        passed.append(1)

threads = [threading.Thread(target=ask) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(len(passed)))
"""


def test_an_instance_has_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.security.limits.settings", load_settings)
    limits.cache_clear()
    assert limits() is limits()
    limits.cache_clear()


def _count_asks(limits: Limits) -> list[object]:
    """Each time that Redis is asked adds to the list."""
    asked: list[object] = []
    shared = limits._shared
    assert shared is not None
    look = shared.get_window_stats

    def counting(*whose):  # type: ignore[no-untyped-def]  # as the library's
        asked.append(whose)
        return look(*whose)

    shared.get_window_stats = counting  # type: ignore[method-assign]
    return asked
