"""A rotation seals everything anew while all goes on, can be cut short, and deletes only keys that nothing needs."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from common.database.engine import read, write
from common.database.tables import api_keys, data_keys, idempotent_answers, metadata, sessions, turns
from common.security import encryption, keyring, rotation
from common.security.encryption import API_KEY_LABEL, IDEMPOTENT_BODY, TURN_CONTENT, Sealer, prefix_of, row_of
from common.security.key_encryption import key_encryption_keys
from common.security.keyring import PURPOSES, KeyRing
from common.security.rotation import BATCH_ROWS, KEPT, RESUMED_WITHIN, SEALED, Rotated, rotate_data_keys
from common.settings import settings
from tests.kms_server import KmsServer
from tests.log_lines import log_lines

ROOT = Path(__file__).parents[4]
NOW = datetime.now(UTC)
MANY = 2 * BATCH_ROWS + 7
TABLES = metadata.tables.keys()


@pytest.fixture(autouse=True)
def key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    path.chmod(0o600)
    monkeypatch.setenv("KEY_FILE", str(path))
    settings.cache_clear()
    yield path
    settings.cache_clear()


def ring_over(engine: Engine) -> KeyRing:
    return KeyRing.over(engine, key_encryption_keys(settings()))


@pytest.fixture
def sealing(database: Engine) -> Sealer:
    ring = ring_over(database)
    ring.complete()
    return Sealer(ring)


def row(uid: str) -> str:
    return row_of("acme", uid)


def content(uid: str) -> bytes:
    return f"what {uid} said".encode()


def add_turns(engine: Engine, sealing: Sealer, uids: Sequence[str]) -> None:
    rows = [
        {
            "uid": uid, "tenant": "acme", "session_id": "s1", "request_id": uid, "trace_id": "t", "answered": True,
            "content": sealing.seal(content(uid), TURN_CONTENT, row(uid)), "agent": "lending", "confidence": 1.0,
            "critique_rounds": 1, "degraded": [], "signals": [], "created_at": NOW,
        }
        for uid in uids
    ]  # fmt: skip
    with write(engine) as connection:
        if connection.execute(select(sessions.c.id)).first() is None:
            owner = {"tenant": "acme", "principal": "key"}
            connection.execute(insert(sessions).values(id="s1", created_at=NOW, updated_at=NOW, **owner))
        connection.execute(insert(turns), rows)


def add_the_others(engine: Engine, sealing: Sealer) -> None:
    """An API key with its label, an answer that is kept for its Idempotency-Key, and one that is in flight."""
    label = sealing.seal(b"Jane's laptop", API_KEY_LABEL, row("k1"))
    answer: dict[str, Any] = {"tenant": "acme", "fingerprint": "f", "owner": "r1", "expires_at": NOW}
    with write(engine) as connection:
        connection.execute(
            insert(api_keys).values(
                id="k1",
                tenant="acme",
                label=label,
                role="viewer",
                scopes=[],
                secret_hash="h",
                created_at=NOW,
                rights="r",
            )
        )
        body = sealing.seal(b"an answer", IDEMPOTENT_BODY, row("i1"))
        connection.execute(insert(idempotent_answers).values(id="i1", body=body, **answer))
        connection.execute(insert(idempotent_answers).values(id="i2", body=None, **answer))


def opened(engine: Engine) -> dict[str, bytes]:
    """What all turns say, by an instance that has just started."""
    sealing = Sealer(ring_over(engine))
    with read(engine) as connection:
        rows = connection.execute(select(turns.c.uid, turns.c.content)).all()
    return {uid: sealing.open(sealed, TURN_CONTENT, row(uid)) for uid, sealed in rows}


def prefixes(engine: Engine) -> set[bytes]:
    """The keys that seal anything, as values begin with them."""
    with read(engine) as connection:
        return {
            bytes(value)[:5]
            for sealed in SEALED
            for value in connection.scalars(select(sealed.column).where(sealed.column.is_not(None)))
        }


def seal_keys(engine: Engine) -> set[int]:
    with read(engine) as connection:
        return set(connection.scalars(select(data_keys.c.id).where(data_keys.c.purpose == "seal")))


def age(engine: Engine, key_id: int, by: timedelta) -> None:
    """As if the key had been made, and where it is retired retired, that much earlier."""
    with write(engine) as connection:
        [row] = connection.execute(select(data_keys).where(data_keys.c.id == key_id)).all()
        retired_at = None if row.retired_at is None else row.retired_at - by
        changed = {"created_at": row.created_at - by, "retired_at": retired_at}
        connection.execute(update(data_keys).where(data_keys.c.id == key_id).values(changed))


def test_everything_that_is_sealed_is_sealed_by_the_new_key(database: Engine, sealing: Sealer) -> None:
    uids = [f"u{number}" for number in range(MANY)]
    add_turns(database, sealing, uids)
    add_the_others(database, sealing)
    done = rotate_data_keys(database)
    assert done == Rotated(
        key_id=done.key_id,
        is_resumed=False,
        rewrapped=len(PURPOSES),
        resealed=MANY + 2,
        unreadable=0,
        forgotten=0,
        kept=1,
    )
    assert prefixes(database) == {prefix_of(done.key_id)}
    assert opened(database) == {uid: content(uid) for uid in uids}
    again = Sealer(ring_over(database))
    with read(database) as connection:
        label = connection.execute(select(api_keys.c.label)).scalar_one()
        rows = connection.execute(select(idempotent_answers.c.id, idempotent_answers.c.body)).all()
        bodies = {row.id: row.body for row in rows}
    assert again.open(label, API_KEY_LABEL, row("k1")) == b"Jane's laptop"
    assert again.open(bodies["i1"], IDEMPOTENT_BODY, row("i1")) == b"an answer"
    assert bodies["i2"] is None


def test_every_sealed_column_is_in_the_list() -> None:
    names = {
        value for value in vars(encryption).values() if isinstance(value, str) and value.partition(".")[0] in TABLES
    }
    assert {sealed.name for sealed in SEALED} == names == {TURN_CONTENT, API_KEY_LABEL, IDEMPOTENT_BODY}
    assert all(str(sealed.column) == sealed.name for sealed in SEALED)


def test_progress_tells_how_many_rows_were_looked_at(database: Engine, sealing: Sealer) -> None:
    add_turns(database, sealing, [f"u{number}" for number in range(MANY)])
    told: list[tuple[str, int]] = []
    rotate_data_keys(database, lambda column, rows: told.append((column, rows)))
    assert told == [(TURN_CONTENT, BATCH_ROWS), (TURN_CONTENT, 2 * BATCH_ROWS), (TURN_CONTENT, MANY)]


def test_an_empty_database_gets_a_new_key_too(database: Engine) -> None:
    before = ring_over(database).sealing().id
    done = rotate_data_keys(database)
    assert done.key_id != before
    assert (done.resealed, done.is_resumed) == (0, False)


def test_what_another_instance_seals_with_the_old_key_stays_readable_and_is_had_by_the_next_run(
    database: Engine, sealing: Sealer
) -> None:
    add_turns(database, sealing, ["before"])
    first = rotate_data_keys(database)
    add_turns(database, sealing, ["after"])  # by the key that this instance still takes for the active one
    assert opened(database) == {"before": content("before"), "after": content("after")}
    second = rotate_data_keys(database)
    assert (second.is_resumed, second.key_id, second.resealed) == (True, first.key_id, 1)
    assert prefixes(database) == {prefix_of(first.key_id)}


def test_a_run_a_day_later_makes_a_new_key_whatever_was_left(database: Engine, sealing: Sealer) -> None:
    add_turns(database, sealing, ["before"])
    first = rotate_data_keys(database)
    add_turns(database, sealing, ["after"])
    age(database, first.key_id, RESUMED_WITHIN)
    second = rotate_data_keys(database)
    assert second.key_id != first.key_id
    assert (second.is_resumed, second.resealed) == (False, 2)


def test_an_old_key_is_deleted_when_nobody_can_seal_with_it_any_more(database: Engine, sealing: Sealer) -> None:
    add_turns(database, sealing, ["one"])
    [old] = seal_keys(database)
    assert (rotate_data_keys(database).forgotten, seal_keys(database) > {old}) == (0, True)
    age(database, old, KEPT - timedelta(minutes=1))
    assert rotate_data_keys(database).forgotten == 0
    age(database, old, timedelta(minutes=2))
    done = rotate_data_keys(database)
    assert (done.forgotten, done.kept, old in seal_keys(database)) == (1, 2, False)
    assert opened(database) == {"one": content("one")}


def test_a_key_that_something_still_needs_is_kept_however_old(database: Engine, sealing: Sealer) -> None:
    add_turns(database, sealing, ["one", "bad"])
    [old] = seal_keys(database)
    with write(database) as connection:  # moved here from another row
        moved = select(turns.c.content).where(turns.c.uid == "one").scalar_subquery()
        connection.execute(update(turns).where(turns.c.uid == "bad").values(content=moved))
    rotate_data_keys(database)
    age(database, old, KEPT * 2)
    with log_lines() as lines:
        done = rotate_data_keys(database)
    assert (done.unreadable, done.forgotten, old in seal_keys(database)) == (1, 0, True)
    assert [line["count"] for line in lines if line["event"] == "rotation.unreadable"] == [1]


def test_a_rotation_gives_no_row_to_the_tenant_that_it_was_moved_to(database: Engine, sealing: Sealer) -> None:
    add_turns(database, sealing, ["stays", "moved"])
    with write(database) as connection:
        connection.execute(update(turns).where(turns.c.uid == "moved").values(tenant="bank"))
    done = rotate_data_keys(database)
    assert (done.resealed, done.unreadable) == (1, 1)
    with write(database) as connection:  # back again, and nothing is lost
        connection.execute(update(turns).where(turns.c.uid == "moved").values(tenant="acme"))
    assert opened(database) == {"stays": content("stays"), "moved": content("moved")}


def test_a_row_that_is_changed_or_deleted_meanwhile_is_neither_lost_nor_brought_back(
    database: Engine, sealing: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_turns(database, sealing, ["stays", "changes", "goes"])
    changed = sealing.seal(b"new words", TURN_CONTENT, row("changes"))
    seal = rotation._sealed_anew

    def sealed_while_others_write(*arguments: Any) -> Any:
        new = seal(*arguments)
        with write(database) as connection:
            connection.execute(update(turns).where(turns.c.uid == "changes").values(content=changed))
            connection.execute(delete(turns).where(turns.c.uid == "goes"))
        return new

    monkeypatch.setattr(rotation, "_sealed_anew", sealed_while_others_write)
    assert rotate_data_keys(database).resealed == 1
    assert opened(database) == {"stays": content("stays"), "changes": b"new words"}


def test_traffic_and_two_rotations_at_once_lose_nothing(
    database: Engine, sealing: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "REFRESH_SECONDS", 0.5)  # until then what is written is to be sealed anew
    kept = {f"u{number}" for number in range(MANY)}
    erased = {f"u{number}x" for number in range(0, MANY, 8)}  # between the others, in every batch
    add_turns(database, sealing, sorted(kept | erased))
    is_over = threading.Event()
    failures: list[str] = []

    def reads() -> int:
        rounds = 0
        sealer = Sealer(ring_over(database))
        while not is_over.is_set() or not rounds:
            with read(database) as connection:
                rows = connection.execute(select(turns.c.uid, turns.c.content)).all()
            said = {uid: sealer.open(sealed, TURN_CONTENT, row(uid)) for uid, sealed in rows}
            failures.extend(uid for uid, words in said.items() if words != content(uid))
            failures.extend(kept - said.keys())
            rounds += 1
        return rounds

    def writes(name: str) -> set[str]:
        written: set[str] = set()
        sealer = Sealer(ring_over(database))
        while not is_over.is_set() or not written:
            uid = f"{name}{len(written)}"
            add_turns(database, sealer, [uid])
            written.add(uid)
        return written

    def erases() -> None:
        for uid in sorted(erased):
            with write(database) as connection:
                connection.execute(delete(turns).where(turns.c.uid == uid))

    with ThreadPoolExecutor(6) as threads:
        reading = threads.submit(reads)
        writing = [threads.submit(writes, name) for name in ("a", "b")]
        rotations = [threads.submit(rotate_data_keys, database) for _ in range(2)]
        threads.submit(erases).result()
        done = [one.result() for one in rotations]
        is_over.set()
        written = {uid for one in writing for uid in one.result()}
        assert reading.result() > 0
    assert failures == []
    assert [one.unreadable for one in done] == [0, 0]
    assert opened(database) == {uid: content(uid) for uid in kept | written}
    rotate_data_keys(database)
    assert len(prefixes(database)) == 1


def test_a_rotation_that_was_killed_is_finished_by_the_next(database: Engine, sealing: Sealer, key_file: Path) -> None:
    uids = [f"u{number}" for number in range(MANY)]
    add_turns(database, sealing, uids)
    [old] = seal_keys(database)
    code = (
        "import os, sys; from common.database.engine import create_engine_for;"
        "from common.security.rotation import rotate_data_keys;"
        "rotate_data_keys(create_engine_for(os.environ['TEST_URL']),"
        " lambda *_: (print('one batch', flush=True), sys.stdin.readline()))"
    )
    environment = {**os.environ, "TEST_URL": database.url.render_as_string(hide_password=False)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"one batch\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    [new] = seal_keys(database) - {old}
    assert prefixes(database) == {prefix_of(old), prefix_of(new)}
    assert opened(database) == {uid: content(uid) for uid in uids}
    done = rotate_data_keys(database)
    assert (done.key_id, done.is_resumed, done.resealed) == (new, True, MANY - BATCH_ROWS)
    assert opened(database) == {uid: content(uid) for uid in uids}


def test_after_a_move_to_cloud_kms_neither_the_file_nor_its_old_versions_are_needed(
    database: Engine, sealing: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_turns(database, sealing, ["one"])
    with KmsServer() as kms:
        monkeypatch.setenv("KMS_KEY", kms.key)
        monkeypatch.setenv("KMS_ENDPOINT", kms.url)
        settings.cache_clear()
        assert rotate_data_keys(database).rewrapped == len(PURPOSES)
        kms.rotate()
        rotate_data_keys(database)
        kms.destroy_old_versions()
        monkeypatch.delenv("KEY_FILE")
        settings.cache_clear()
        assert opened(database) == {"one": content("one")}
