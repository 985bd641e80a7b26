"""What an audited deed costs on SQLite, each in a transaction of its own that is on the disk when it ends."""

import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import Engine

from common.database.engine import create_engine_for, migrate, read, write
from common.security.audit import Event, record
from common.security.audit_chain import verify
from common.security.keyring import KeyRing
from tests.key_rings import ring_over

APPEND_MS = 2
EVENT = Event(
    tenant="acme",
    actor="key:5f0c2b91",
    action="document.stored",
    target="guides/appraisal-of-collateral",
    outcome="done",
    request_id="0b1f2e3d4c5b6a79",
    facts={"documents": 1, "chunks": 12, "unchanged": 0},
)


def milliseconds(engine: Engine, ring: KeyRing, rounds: int) -> list[float]:
    """Of each of `rounds` transactions with one event."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        with write(engine) as connection:
            record(connection, EVENT, ring=ring)
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def measure(*, rounds: int = 2_000, warm_up: int = 100) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine_for(f"sqlite:///{Path(folder)}/audit.db")
        migrate(engine)
        ring = ring_over(engine)
        milliseconds(engine, ring, warm_up)
        worked = time.process_time()
        taken = milliseconds(engine, ring, rounds)
        worked = time.process_time() - worked
        with read(engine) as connection:
            begun = time.perf_counter()
            found = verify(connection, ring.mac)
            seconds = time.perf_counter() - begun
        engine.dispose()
    assert found.holds
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
    missed = "" if p50 < APPEND_MS else ", MISSED"
    return [
        ("append an event, synchronous=FULL", f"p50 {p50:.2f} ms, p99 {p99:.2f} ms (below {APPEND_MS}{missed})"),
        ("of these the process itself works", f"{worked / rounds * 1000:.2f} ms"),
        ("verify the chain, per event", f"{seconds / (warm_up + rounds) * 1e6:.0f} us"),
    ]


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name:<60} {figure}")
