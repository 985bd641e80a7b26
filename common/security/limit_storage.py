"""Where limits are counted: by the `limits` library, in this instance's memory or in a Redis that instances share.

Its sliding window keeps two numbers a key, this window's and the last one's, which counts by the share of it that is
not over yet. So a limit holds over any minute to within a request or two, and neither memory nor Redis grows with the
number of requests. Its moving window would be exact, but keeps every request, and in memory every key for good.
"""

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from common.settings import InvalidSettings

REDIS_SECONDS = 0.5  # for connecting, and for one answer
CONNECTIONS = 200  # more than an instance answers requests at a time


def in_memory() -> SlidingWindowCounterRateLimiter:
    """Counts for this process alone."""
    return SlidingWindowCounterRateLimiter(MemoryStorage())


def in_redis(url: str) -> SlidingWindowCounterRateLimiter:
    """Counts in the Redis at `url`, which need not be there yet; `StorageError` comes where it does not answer.

    Raises:
        InvalidSettings: `url` names no Redis.
    """
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
    return SlidingWindowCounterRateLimiter(RedisStorage("redis://", connection_pool=pool, wrap_exceptions=True))


def limit_of(text: str, setting: str | None = None) -> RateLimitItem:
    """A limit as the library writes it: "60/minute", "5 per 10 seconds".

    Raises:
        ValueError: there is no such limit; InvalidSettings where `setting` names where it stands.
    """
    try:
        return parse(text)
    except ValueError:
        if setting is None:
            raise
        raise InvalidSettings(f"{setting}: is no limit such as 60/minute, and not none") from None
