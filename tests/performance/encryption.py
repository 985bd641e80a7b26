"""What encryption costs: a field sealed and opened, a mark, a key ring's start, a rotation."""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, insert

from common.database.engine import create_engine_for, migrate, write
from common.database.tables import sessions, turns
from common.security.cloud_kms import CloudKmsKey
from common.security.encryption import TURN_CONTENT, Sealer, row_of
from common.security.key_encryption import KeyEncryptionKey, key_encryption_keys
from common.security.keyring import KeyRing
from common.security.marks import Marks
from common.security.rotation import rotate_data_keys
from common.settings import settings
from tests.instance import instance
from tests.kms_server import KmsServer
from tests.performance.metrics import microseconds

ROW = "0123456789abcdef0123456789abcdef"
TURN = b"What is the highest loan-to-value ratio for raw land? " * 40  # 2 KB
LONG = b"x" * 100_000
TEXT = "Raw land may be financed up to 65 %. Write to jane.roe@example.com or call (415) 555-0123. " * 4
ROTATED_TURNS = 2_000


def measure() -> list[tuple[str, str]]:
    """Rows of name and figure."""
    with tempfile.TemporaryDirectory(prefix="encryption-") as name, instance(Path(name)):
        engine = create_engine_for(settings().database_location())
        migrate(engine)
        ring = KeyRing.over(engine, key_encryption_keys(settings()))
        sealer, marks = Sealer(ring), Marks(ring)
        rows = [
            ("a turn of 2 KB sealed and opened", f"{microseconds(lambda: _both(sealer, TURN)):.1f} us"),
            ("100 KB sealed and opened", f"{microseconds(lambda: _both(sealer, LONG), times=2_000):.0f} us"),
            ("the marks of a text with two identifiers", f"{microseconds(lambda: marks.of(TEXT), times=2_000):.0f} us"),
            ("a key ring read and unwrapped, file", _start(engine, *key_encryption_keys(settings()))),
            *_rotation(engine, sealer),
        ]
        engine.dispose()
    return [*rows, _cloud_kms()]


def _both(sealer: Sealer, content: bytes) -> None:
    sealer.open(sealer.seal(content, TURN_CONTENT, ROW), TURN_CONTENT, ROW)


def _start(engine: Engine, *wrapping: KeyEncryptionKey) -> str:
    def start() -> None:
        ring = KeyRing.over(engine, wrapping)
        ring.sealing()
        ring.mac("mark", b"")

    return f"{microseconds(start, times=50) / 1e3:.1f} ms"


def _rotation(engine: Engine, sealer: Sealer) -> list[tuple[str, str]]:
    now = datetime.now(UTC)
    row = {
        "tenant": "default", "session_id": "s", "request_id": "r", "trace_id": "t", "answered": True, "agent": "a",
        "confidence": 1.0, "critique_rounds": 1, "degraded": [], "signals": [], "created_at": now,
    }  # fmt: skip
    uids = [f"{number:032x}" for number in range(ROTATED_TURNS)]
    rows = [{**row, "uid": uid, "content": sealer.seal(TURN, TURN_CONTENT, row_of("default", uid))} for uid in uids]
    with write(engine) as connection:
        whose = {"tenant": "default", "principal": "p"}
        connection.execute(insert(sessions).values(id="s", created_at=now, updated_at=now, **whose))
        connection.execute(insert(turns), rows)
    start = time.perf_counter()
    rotate_data_keys(engine)
    seconds = time.perf_counter() - start
    return [("a rotation beside nothing, turns of 2 KB on SQLite", f"{ROTATED_TURNS / seconds:,.0f} turns/s")]


def _cloud_kms() -> tuple[str, str]:
    with tempfile.TemporaryDirectory(prefix="encryption-") as name, KmsServer() as server:
        engine = create_engine_for(f"sqlite:///{Path(name) / 'keys.db'}")
        migrate(engine)
        key = CloudKmsKey(server.key, server.url)
        KeyRing.over(engine, [key]).complete()
        figure = _start(engine, key)
        engine.dispose()
    return "the same through Cloud KMS's client, over loopback", figure


if __name__ == "__main__":
    for row in measure():
        print(*row, sep="\t")
