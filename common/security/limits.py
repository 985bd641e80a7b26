"""How much anybody may ask for: requests by principal and by address, refused keys by address, requests in flight.

Requests are counted in sliding windows: no burst of twice the limit around the turn of a minute. What is used up is
refused with 429 and says when to come again; every answer tells what is left.

Source of the header fields: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple

from common.logging import component_logger
from common.metrics import metrics_collector
from common.once import once
from common.problems import QuotaExceeded, Unavailable
from common.settings import Settings, settings

if TYPE_CHECKING:  # limits and redis are imported by the first request that is counted
    from limits import RateLimitItem
    from limits.errors import StorageError
    from limits.strategies import RateLimiter

NONE = "none"
AWAY_SECONDS = 3.0  # how long a Redis that did not answer is left alone

Name = Literal["principal", "address", "credentials"]

log = component_logger("security")

_WHOSE: Mapping[Name, str] = {
    "principal": "This key or account may ask this {amount} times in {seconds} seconds.",
    "address": "One address may ask this {amount} times in {seconds} seconds.",
    "credentials": "One address may come with {amount} keys or tokens that are not valid in {seconds} seconds.",
}


class LimitsUnavailable(Unavailable):
    """Requests cannot be counted, and the settings say that uncounted ones are not let in."""

    type = "/problems/limits-unavailable"
    title = "Limits cannot be checked at the moment"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitState:
    """What an answer tells about the limits it was counted by; empty where there are none."""

    headers: Mapping[str, str] = field(default_factory=dict)


UNLIMITED = LimitState()


class Limits:
    """Counts in memory, or in Redis where `Settings.redis_url` names one. Safe to share between threads.

    While Redis is away, `Settings.when_redis_is_away` decides: refuse (closed), or count in this instance alone
    (open). It is asked again every `AWAY_SECONDS`, by one request.

    Raises:
        InvalidSettings: from the constructor: a limit or the URL cannot be used.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        from common.security.limit_storage import in_memory, in_redis

        self._factor = settings.limit_factor
        self._address = _setting_limit(settings.address_limit, "ADDRESS_LIMIT")
        self._failed_keys = _setting_limit(settings.failed_keys_limit, "FAILED_KEYS_LIMIT")
        self._when_away = settings.when_redis_is_away
        self._alone: RateLimiter = in_memory()
        url = settings.redis_url
        self._shared: RateLimiter | None = in_redis(url.get_secret_value()) if url is not None else None
        self._outage = _Outage(clock, settings.when_redis_is_away)
        self._in_flight = _InFlight(settings.max_concurrent_requests)

    def check(self, route_key: str, limit: str, principal_id: str, address_group: str) -> LimitState:
        """Count one request to the route `route_key`, whose limit for each principal is `limit` ("60/minute"), times
        `Settings.limit_factor`.

        "none" counts nothing, not by address either: a probe must neither be used up nor need Redis.

        Raises:
            QuotaExceeded: a limit is used up. Nothing was counted, not by the other limit either.
            LimitsUnavailable: Redis is away, and the settings say closed.
            ValueError: there is no such limit.
        """
        if limit == NONE:
            return UNLIMITED
        policies = [_Policy("principal", _parsed(limit, self._factor), (route_key, principal_id))]
        if self._address is not None:
            policies.append(_Policy("address", self._address, (route_key, address_group)))
        found = self._count(policies, take=True)
        headers = _headers(policies, found)
        _refuse_what_is_used_up(policies, found, headers)
        return LimitState(headers=headers)

    def before_credentials(self, address_group: str) -> None:
        """To be asked before a key or token is looked at.

        Raises:
            QuotaExceeded: too many were refused that came from this address; whether this one is valid is not looked
                at, for a guess must not be told from a key.
            LimitsUnavailable: as `check`.
        """
        if self._failed_keys is not None:
            policies = [_Policy("credentials", self._failed_keys, (address_group,))]
            _refuse_what_is_used_up(policies, self._count(policies, take=False), {})

    def credentials_refused(self, address_group: str) -> None:
        """A key or token from this address was not valid.

        Raises:
            LimitsUnavailable: as `check`; an uncounted guess gets no other answer than that.
        """
        if self._failed_keys is not None:
            policies = [_Policy("credentials", self._failed_keys, (address_group,))]
            self._count(policies, take=True)

    def running(self, principal_id: str) -> "Running":
        """A context manager: the request counts as in flight inside it, in this instance.

        Raises:
            QuotaExceeded: when it is entered; the principal has `Settings.max_concurrent_requests` in flight.
        """
        return Running(self._in_flight, principal_id)

    def _count(self, policies: "Sequence[_Policy]", *, take: bool) -> "Sequence[_Left]":
        if self._shared is None:
            return _counted(self._alone, policies, take=take)
        from limits.errors import StorageError

        if self._outage.may_ask():
            try:
                found = _counted(self._shared, policies, take=take)
            except StorageError as error:
                self._outage.goes_on(error)
            else:
                self._outage.is_over()
                return found
        is_closed = self._when_away == "closed"
        for policy in policies:
            metrics_collector.record_limit(policy.name, "unavailable" if is_closed else "alone")
        if is_closed:  # the one place where it is decided
            raise LimitsUnavailable(headers={"Retry-After": str(math.ceil(AWAY_SECONDS))})
        return _counted(self._alone, policies, take=take)


class Running:
    """One request's place among those of its principal that are in flight, from entering to leaving."""

    __slots__ = ("_in_flight", "_principal_id")

    def __init__(self, in_flight: "_InFlight", principal_id: str) -> None:
        self._in_flight = in_flight
        self._principal_id = principal_id

    def __enter__(self) -> None:
        self._in_flight.enter(self._principal_id)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._in_flight.leave(self._principal_id)


class _InFlight:
    """Requests in flight by principal; only of those who have any."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def enter(self, principal_id: str) -> None:
        with self._lock:
            count = self._counts.get(principal_id, 0)
            if count < self._most:
                self._counts[principal_id] = count + 1
                return
        metrics_collector.record_limit("concurrency", "refused")
        raise QuotaExceeded(
            f"At most {self._most} requests of one key or account are answered at a time.", retry_after_seconds=1
        )

    def leave(self, principal_id: str) -> None:
        with self._lock:
            count = self._counts.pop(principal_id) - 1
            if count:
                self._counts[principal_id] = count


class _Outage:
    """Whether Redis is away, so that not every request waits for it to find out.

    pybreaker would hold its lock while Redis is asked, and put all requests in a row.
    """

    def __init__(self, clock: Callable[[], float], decision: str) -> None:
        self._clock = clock
        self._decision = decision
        self._lock = threading.Lock()
        self._is_away = False
        self._again_at = 0.0

    def may_ask(self) -> bool:
        """Always where it is there; else for one request every `AWAY_SECONDS`."""
        if not self._is_away:
            return True
        with self._lock:
            now = self._clock()
            if now < self._again_at:
                return False
            self._again_at = now + AWAY_SECONDS
            return True

    def goes_on(self, error: "StorageError") -> None:
        with self._lock:
            was_away, self._is_away = self._is_away, True
            self._again_at = self._clock() + AWAY_SECONDS
        if not was_away:
            log.error("limits.redis_away", error_type=type(error.__cause__).__name__, outcome=self._decision)

    def is_over(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("limits.redis_back")


@dataclass(frozen=True, slots=True)
class _Policy:
    """A limit, and whose requests (to what) it counts."""

    name: Name
    item: "RateLimitItem"
    whose: tuple[str, ...]

    @property
    def seconds(self) -> int:
        return self.item.get_expiry()


class _Left(NamedTuple):
    """What is left of a limit; `reset_seconds` until there is more."""

    is_used_up: bool
    remaining: int
    reset_seconds: float


def _counted(limiter: "RateLimiter", policies: Sequence[_Policy], *, take: bool) -> Sequence[_Left]:
    """What is left by each of `policies`, after one request where `take` says so and none of them is used up.

    Two requests at the same moment may find the last place both: then the second is refused when it takes it, and has
    used up one of the limits before that.
    """
    now = time.time()  # the library's clock
    found = []
    for policy in policies:
        stats = limiter.get_window_stats(policy.item, policy.name, *policy.whose)
        is_fresh = stats.remaining == policy.item.amount  # nothing to reset yet: it will be a window from now
        reset = float(policy.seconds) if is_fresh else max(0.0, stats.reset_time - now)
        found.append(_Left(stats.remaining < 1, stats.remaining, reset))
    if not take or any(left.is_used_up for left in found):
        return found
    is_taken = [limiter.hit(policy.item, policy.name, *policy.whose) for policy in policies]
    return [
        _Left(not taken, left.remaining - 1, left.reset_seconds) for left, taken in zip(found, is_taken, strict=True)
    ]


def _headers(policies: Sequence[_Policy], found: Sequence[_Left]) -> dict[str, str]:
    quotas = [f'"{one.name}";q={one.item.amount};w={one.seconds}' for one in policies]
    rests = [
        f'"{one.name}";r={left.remaining};t={math.ceil(left.reset_seconds)}'
        for one, left in zip(policies, found, strict=True)
    ]
    return {"RateLimit-Policy": ",".join(quotas), "RateLimit": ",".join(rests)}


def _refuse_what_is_used_up(policies: Sequence[_Policy], found: Sequence[_Left], headers: Mapping[str, str]) -> None:
    used_up = [(policy, left) for policy, left in zip(policies, found, strict=True) if left.is_used_up]
    if not used_up:
        return
    for policy, _ in used_up:
        metrics_collector.record_limit(policy.name, "refused")
    detail = " ".join(
        _WHOSE[policy.name].format(amount=policy.item.amount, seconds=policy.seconds) for policy, _ in used_up
    )
    wait = max(left.reset_seconds for _, left in used_up)
    raise QuotaExceeded(detail, retry_after_seconds=wait, headers=headers)


@lru_cache(maxsize=256)
def _parsed(limit: str, factor: float) -> "RateLimitItem":
    from common.security.limit_storage import limit_of

    item = limit_of(limit)
    return type(item)(max(1, round(item.amount * factor)), item.multiples)


def _setting_limit(limit: str, setting: str) -> "RateLimitItem | None":
    from common.security.limit_storage import limit_of

    return None if limit == NONE else limit_of(limit, setting)


@once
def limits() -> Limits:
    """This instance's limits, by the settings."""
    return Limits(settings())
