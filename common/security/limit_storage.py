"""Where limits are counted: moving windows in this instance's memory, or in a Redis that instances share.

Both take one request out of several windows or out of none, in one step: asked for one after the other, a refusal by
the second window would have used up the first. Redis is reached by the `limits` library's storage, which gets one
script more for that. Memory is not: the library's storage there keeps every key for good, so that callers with many
addresses fill it up.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import RedisStorage

from common.settings import InvalidSettings

REDIS_SECONDS = 0.5  # for connecting, and for one answer
CONNECTIONS = 200  # more than an instance answers requests at a time
MOST_KEYS = 50_000  # some 20 MB at a few hits each; then those go that were not asked for longest
_FORGET_AT_ONCE = 4

# KEYS are lists of hits, newest first. ARGV: 1 to take or 0 to look, then amount and seconds of each window. The time
# is Redis's own, for the clocks of instances differ.
_TAKE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local taking = ARGV[1] == '1'
local refused = {}
for number, key in ipairs(KEYS) do
  local oldest = redis.call('LINDEX', key, -1)
  while oldest and tonumber(oldest) <= now - tonumber(ARGV[2 * number + 1]) do
    redis.call('RPOP', key)
    oldest = redis.call('LINDEX', key, -1)
  end
  refused[number] = redis.call('LLEN', key) >= tonumber(ARGV[2 * number])
  taking = taking and not refused[number]
end
local found = {}
for number, key in ipairs(KEYS) do
  local seconds = tonumber(ARGV[2 * number + 1])
  if taking then
    redis.call('LPUSH', key, string.format('%.6f', now))
    redis.call('EXPIRE', key, seconds + 1)
  end
  local oldest = redis.call('LINDEX', key, -1)
  local reset = oldest and tonumber(oldest) + seconds - now or 0
  found[number] = {refused[number] and 1 or 0, redis.call('LLEN', key), string.format('%.6f', reset)}
end
return found
"""


class Window(NamedTuple):
    """At most `amount` hits of `key` within any `seconds`."""

    key: str
    amount: int
    seconds: int


class Left(NamedTuple):
    """What is left of a window after a hit or a look; `reset_seconds` until its oldest hit leaves, 0 without one."""

    is_used_up: bool  # before the hit: nothing was taken, of any window asked for with it
    remaining: int
    reset_seconds: float


class Counters(Protocol):
    """Counts hits; safe to share between threads."""

    def take(self, windows: Sequence[Window]) -> Sequence[Left]:
        """One hit out of each of `windows`, or none at all where one of them is used up."""
        ...

    def look(self, windows: Sequence[Window]) -> Sequence[Left]:
        """As `take`, without a hit."""
        ...


class MemoryCounters:
    """Windows of this process. `clock` is in seconds; at most `most_keys` keys are kept."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most_keys: int = MOST_KEYS) -> None:
        self._clock = clock
        self._most_keys = most_keys
        self._lock = threading.Lock()
        self._hits: OrderedDict[str, _Hits] = OrderedDict()  # longest not asked for first

    def take(self, windows: Sequence[Window]) -> Sequence[Left]:
        return self._count(windows, taking=True)

    def look(self, windows: Sequence[Window]) -> Sequence[Left]:
        return self._count(windows, taking=False)

    def __len__(self) -> int:
        return len(self._hits)

    def _count(self, windows: Sequence[Window], *, taking: bool) -> Sequence[Left]:
        with self._lock:
            now = self._clock()
            found = [self._current(window, now) for window in windows]
            used_up = [len(hits.times) >= window.amount for hits, window in zip(found, windows, strict=True)]
            if taking and not any(used_up):
                for hits, window in zip(found, windows, strict=True):
                    hits.times.append(now)
                    hits.until = now + window.seconds
            self._forget(now)
            return [
                Left(is_used_up, window.amount - len(hits.times), hits.reset_seconds(window.seconds, now))
                for hits, window, is_used_up in zip(found, windows, used_up, strict=True)
            ]

    def _current(self, window: Window, now: float) -> "_Hits":
        hits = self._hits.get(window.key)
        if hits is None:
            hits = self._hits[window.key] = _Hits()
        else:
            self._hits.move_to_end(window.key)
        while hits.times and hits.times[0] <= now - window.seconds:
            hits.times.popleft()
        return hits

    def _forget(self, now: float) -> None:
        """A few of the oldest keys whose windows are over; each call adds at most two, so this keeps up."""
        for _ in range(_FORGET_AT_ONCE):
            if not self._hits:
                return
            oldest = next(iter(self._hits.values()))
            if oldest.until > now and len(self._hits) <= self._most_keys:
                return
            self._hits.popitem(last=False)


class _Hits:
    __slots__ = ("times", "until")

    def __init__(self) -> None:
        self.times: deque[float] = deque()  # oldest first
        self.until = 0.0  # when the newest leaves its window

    def reset_seconds(self, window_seconds: int, now: float) -> float:
        return self.times[0] + window_seconds - now if self.times else 0.0


class RedisCounters(RedisStorage):
    """Windows in the Redis at `url`, the same for all that use it.

    Raises:
        InvalidSettings: from the constructor: `url` names no Redis. Redis need not be there yet.
        StorageError: from `take` and `look`: Redis does not answer in `REDIS_SECONDS`, or says no.
    """

    def __init__(self, url: str) -> None:
        from redis import ConnectionPool
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as Disconnected
        from redis.retry import Retry

        try:
            pool = ConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                socket_connect_timeout=REDIS_SECONDS,
                socket_timeout=REDIS_SECONDS,
                # Once more at once, for a connection that a restart of Redis has closed; never after a time-out.
                retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),
            )
        except ValueError:
            raise InvalidSettings("REDIS_URL: must begin with redis://, rediss:// or unix://") from None
        super().__init__("redis://", connection_pool=pool, wrap_exceptions=True)

    def initialize_storage(self, _uri: str) -> None:
        super().initialize_storage(_uri)
        self._take = self.get_connection().register_script(_TAKE.encode())

    def take(self, windows: Sequence[Window]) -> Sequence[Left]:
        return self._run("1", windows)

    def look(self, windows: Sequence[Window]) -> Sequence[Left]:
        return self._run("0", windows)

    def _run(self, taking: str, windows: Sequence[Window]) -> Sequence[Left]:
        arguments = [number for window in windows for number in (window.amount, window.seconds)]
        try:
            found = self._take([self.prefixed_key(window.key) for window in windows], [taking, *arguments])
        except self.base_exceptions as error:
            raise StorageError(error) from error
        return [
            Left(bool(used_up), window.amount - hits, float(reset))
            for window, (used_up, hits, reset) in zip(windows, found, strict=True)
        ]


def limit_of(text: str, setting: str | None = None) -> RateLimitItem:
    """A limit as the `limits` library writes it: "60/minute", "5 per 10 seconds".

    Raises:
        ValueError: there is no such limit; InvalidSettings where `setting` names where it stands.
    """
    try:
        return parse(text)
    except ValueError:
        if setting is None:
            raise
        raise InvalidSettings(f"{setting}: is no limit such as 60/minute, and not none") from None
