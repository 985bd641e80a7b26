"""Whether Redis answers, which the limits' counters are in."""

from common.health_runs import Check, Fault
from common.settings import InvalidSettings

_SECONDS = 2.0  # for connecting, and for the answer; what comes after a check's deadline still serves the next report


def redis_check(url: str) -> Check:
    """A PING over a connection of its own, so that a pool without a free one is no fault of Redis's.

    Raises:
        InvalidSettings: `url` names no Redis.
    """
    # Here, and not in the check: what it takes to import would be more than a check's deadline.
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthenticationError, RedisError
    from redis.exceptions import ConnectionError as NotConnected
    from redis.exceptions import TimeoutError as TimedOut
    from redis.retry import Retry

    never = Retry(NoBackoff(), 0)
    try:
        client = Redis.from_url(url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS, retry=never)
    except ValueError:
        raise InvalidSettings("REDIS_URL: must begin with redis://, rediss:// or unix://") from None

    def check() -> None:
        try:
            client.ping()
        except AuthenticationError:  # is a ConnectionError too
            raise Fault("does not accept the password") from None
        except (NotConnected, TimedOut):
            raise Fault("not reachable") from None
        except RedisError:
            raise Fault("answers with an error") from None
        finally:
            client.connection_pool.disconnect()

    return check
