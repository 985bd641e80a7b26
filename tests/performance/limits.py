"""What limits cost: a check in memory and in Redis, a place in flight, a key's work begun, kept and given again."""

import tempfile
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from common.database.engine import create_engine_for, migrate
from common.security.idempotency import IdempotentAnswers, Ticket
from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing
from common.security.limits import Limits
from common.security.principal import ANONYMOUS
from common.settings import load_settings
from tests import servers
from tests.performance.metrics import microseconds

PLENTY = "100000000/minute"
ANSWER = b'{"answer":"' + b"Raw land: 65 %. " * 60 + b'"}'  # 1 KB


def measure() -> list[tuple[str, str]]:
    """Rows of name and figure."""
    alone = Limits(load_settings(address_limit=PLENTY))
    rows = [
        ("a check by principal and address, in memory", f"{microseconds(lambda: _check(alone)):.1f} us"),
        ("before a key is looked at, in memory", f"{microseconds(lambda: alone.before_credentials('a')):.1f} us"),
        ("a place in flight, taken and given back", f"{microseconds(lambda: _run(alone)):.1f} us"),
    ]
    with servers.redis() as url:
        shared = Limits(load_settings(address_limit=PLENTY, redis_url=url))
        rows.append(("the check in Redis, over loopback", f"{microseconds(lambda: _check(shared), times=200):.0f} us"))
    return rows + _idempotency()


def _check(limits: Limits) -> None:
    limits.check("POST /api/query", PLENTY, "key-1", "192.0.2.1")


def _run(limits: Limits) -> None:
    with limits.running("key-1"):
        pass


def _idempotency() -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="limits-") as name:
        engine = create_engine_for(f"sqlite:///{Path(name) / 'answers.db'}")
        migrate(engine)
        ring = KeyRing.over(engine, [FileKey(bytes(32))])
        ring.complete()
        answers = IdempotentAnswers(engine, ring, hours=1, clock=lambda: datetime.now(UTC))
        numbers = count()

        def ask(key: str) -> None:
            found = answers.begin(
                key, principal=ANONYMOUS, route="POST /", path="/", payload=b"{}", accept="*/*", lease_seconds=60
            )
            if isinstance(found, Ticket):
                found.finish(200, "application/json", ANSWER)

        first = microseconds(lambda: ask(f"{next(numbers)}"), times=20) / 1000
        again = microseconds(lambda: ask("0"), times=20) / 1000
        engine.dispose()
    return [
        ("an Idempotency-Key's work begun and its answer kept, SQLite", f"{first:.2f} ms"),
        ("the same key again", f"{again:.2f} ms"),
    ]
