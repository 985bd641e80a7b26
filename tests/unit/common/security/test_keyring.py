"""Data keys: one active key a purpose, whoever comes first; bound to its purpose; read once, followed when rotated."""

import hmac
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, func, select, update

from common.database import engine as engine_module
from common.database.engine import read, write
from common.database.tables import data_keys
from common.security import keyring
from common.security.key_encryption import CannotOpen, FileKey
from common.security.keyring import PURPOSES, REFRESH_SECONDS, KeyRing, StoredKey, key_ring
from common.settings import InvalidSettings
from tests.instance import instance

ROOT = Path(__file__).parents[4]
WRAPPING = FileKey(bytes(32))
OTHER = FileKey(bytes(31) + b"\1")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(sqlite_database: Engine, clock: Clock) -> Callable[[], KeyRing]:
    """Opens the one database's ring, each call as another instance would."""
    return lambda: ring_over(sqlite_database, clock=clock)


def ring_over(
    engine: Engine,
    *,
    clock: Callable[[], float] = time.monotonic,
    new_id: Callable[[], int] = lambda: int.from_bytes(os.urandom(3)),
) -> KeyRing:
    return KeyRing(lambda: read(engine), lambda: write(engine), [WRAPPING], clock=clock, new_id=new_id)


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def stored(engine: Engine) -> list[StoredKey]:
    columns = [data_keys.c[name] for name in StoredKey._fields]
    with read(engine) as connection:
        return [StoredKey(*row) for row in connection.execute(select(*columns))]


def change(engine: Engine, purpose: str, /, **values: object) -> None:
    with write(engine) as connection:
        connection.execute(update(data_keys).where(data_keys.c.purpose == purpose).values(values))


def test_a_mac_is_64_digits_that_differ_by_purpose_and_message(make: Callable[[], KeyRing]) -> None:
    ring = make()
    macs = {ring.mac(purpose, message) for purpose in ("mark", "api-key", "audit", "shield") for message in (b"a", b"")}
    assert len(macs) == 8
    assert all(len(mac) == 64 and set(mac) <= set("0123456789abcdef") for mac in macs)


def test_every_instance_makes_the_same_mac(make: Callable[[], KeyRing]) -> None:
    assert make().mac("mark", b"jane") == make().mac("mark", b"jane")


def test_a_mac_is_the_standard_one_under_the_key_in_the_database(database: Engine) -> None:
    mac = KeyRing.over(database, [WRAPPING]).mac("audit", b"event")
    [key] = [key for key in stored(database) if key.purpose == "audit"]
    secret = WRAPPING.unwrap(key.wrapped, b"LoanCollateralCheck data key %d audit" % key.id)
    assert mac == hmac.digest(secret, b"event", "sha256").hex()


def test_the_database_holds_no_key_in_the_clear(database: Engine) -> None:
    ring = KeyRing.over(database, [WRAPPING])
    ring.complete()
    secrets = [ring._secret(key) for key in ring.stored()]
    assert len(set(secrets)) == len(PURPOSES)
    for key in stored(database):
        assert all(secret not in key.wrapped for secret in secrets)


def test_a_key_does_not_show_itself(make: Callable[[], KeyRing]) -> None:
    assert "aead" not in repr(make().sealing())


def test_the_database_is_asked_before_the_first_use_and_not_again(sqlite_database: Engine) -> None:
    ring = ring_over(sqlite_database)
    ring.complete()
    with statements(sqlite_database) as seen:
        for _ in range(100):
            ring.mac("mark", b"jane")
            ring.opening(ring.sealing().id)
    assert seen == []


def test_a_rotation_is_followed_within_a_minute(make: Callable[[], KeyRing], clock: Clock) -> None:
    ring, other = make(), make()
    before = ring.sealing().id
    after = other.renew()
    clock.now += REFRESH_SECONDS
    assert ring.sealing().id == before
    clock.now += 1
    assert ring.sealing().id == after
    assert ring.opening(before).id == before


def test_a_key_that_another_instance_made_is_found_by_one_look(
    sqlite_database: Engine, make: Callable[[], KeyRing]
) -> None:
    ring = make()
    ring.sealing()
    new = make().renew()
    with statements(sqlite_database) as seen:
        assert ring.opening(new).id == new
        assert ring.opening(new).id == new
    assert len([statement for statement in seen if "SELECT" in statement]) == 1


def test_an_instance_that_has_sealed_nothing_yet_can_open(make: Callable[[], KeyRing]) -> None:
    sealed_by = make().sealing().id
    assert make().opening(sealed_by).id == sealed_by


def test_a_key_that_nobody_made_opens_nothing(make: Callable[[], KeyRing]) -> None:
    with pytest.raises(CannotOpen):
        make().opening(2**31)


def test_while_one_thread_looks_for_a_rotation_the_others_go_on(sqlite_database: Engine, clock: Clock) -> None:
    is_looking, may_go_on = threading.Event(), threading.Event()

    @contextmanager
    def reading() -> Iterator[Connection]:
        if clock.now > 1_000:
            is_looking.set()
            assert may_go_on.wait(10)
        with read(sqlite_database) as connection:
            yield connection

    ring = KeyRing(reading, lambda: write(sqlite_database), [WRAPPING], clock=clock)
    before = ring.sealing().id
    after = ring_over(sqlite_database).renew()
    clock.now += REFRESH_SECONDS + 1
    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(ring.sealing)
        assert is_looking.wait(10)
        assert ring.sealing().id == before
        may_go_on.set()
        assert looking.result().id == after


def test_of_several_processes_that_start_at_once_one_makes_each_key(database: Engine, tmp_path: Path) -> None:
    code = (
        "from common.database.engine import create_engine_for; from common.security.keyring import KeyRing;"
        "from common.security.key_encryption import FileKey; import os, sys;"
        "ring = KeyRing.over(create_engine_for(os.environ['TEST_URL']), [FileKey(bytes(32))]);"
        "print('ready', flush=True); sys.stdin.readline();"
        "print(ring.sealing().id, *(ring.mac(one, b'') for one in ('mark', 'api-key', 'audit', 'shield')))"
    )
    environment = {**os.environ, "TEST_URL": database.url.render_as_string(hide_password=False)}
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdin=pipe, stdout=pipe) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(said) == 1
    assert sorted(key.purpose for key in stored(database)) == sorted(PURPOSES)


def test_of_several_threads_that_start_at_once_all_get_the_same_keys(database: Engine) -> None:
    rings = [KeyRing.over(database, [WRAPPING]) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda number: rings[number % 4].sealing().id, range(16)))
    assert len(found) == 1


def test_a_number_that_is_taken_is_not_taken_again(database: Engine) -> None:
    numbers = itertools.chain([7] * 8, itertools.count(100))
    ring = ring_over(database, new_id=lambda: next(numbers))
    assert len({ring.mac("mark", b""), ring.mac("audit", b"")}) == 2
    assert len({key.id for key in stored(database)}) == len(stored(database)) == len(PURPOSES)


def test_a_new_key_seals_and_the_one_before_is_retired(database: Engine) -> None:
    ring = KeyRing.over(database, [WRAPPING])
    before = ring.sealing().id
    after = ring.renew()
    assert ring.sealing().id == after != before
    assert {key.id: key.retired_at is None for key in stored(database) if key.purpose == "seal"} == {
        before: False,
        after: True,
    }


def test_of_two_that_rotate_at_once_one_makes_the_key(database: Engine) -> None:
    rings = [KeyRing.over(database, [WRAPPING]) for _ in range(4)]
    for ring in rings:
        ring.sealing()
    with ThreadPoolExecutor(4) as threads:
        made = set(threads.map(lambda ring: ring.renew(), rings))
    assert len(made) == 1
    assert len([key for key in stored(database) if key.purpose == "seal"]) == 2


def test_a_rotation_whose_number_is_taken_makes_a_key_all_the_same(database: Engine) -> None:
    numbers = itertools.chain([1, 2, 3, 4, 5, 3], itertools.count(100))
    ring = ring_over(database, new_id=lambda: next(numbers))
    assert ring.sealing().id == 1
    assert ring.renew() == ring.sealing().id == 100


@pytest.mark.parametrize("purpose", ["mark", "seal"])
def test_a_key_that_was_put_in_anothers_place_is_refused(
    sqlite_database: Engine, make: Callable[[], KeyRing], purpose: str
) -> None:
    make().complete()
    wrapped = {key.purpose: key.wrapped for key in stored(sqlite_database)}
    change(sqlite_database, purpose, wrapped=wrapped["audit"])
    with pytest.raises(CannotOpen):
        make().sealing() if purpose == "seal" else make().mac("mark", b"")


def test_a_wrapped_key_that_was_cut_is_refused(sqlite_database: Engine, make: Callable[[], KeyRing]) -> None:
    make().complete()
    change(sqlite_database, "mark", wrapped=b"")
    with pytest.raises(CannotOpen):
        make().mac("mark", b"")


class Kms(FileKey):
    """A key-encryption key with Cloud KMS's kind of name."""

    @property
    def name(self) -> str:
        return "kms:projects/acme"


@pytest.mark.parametrize(("other", "setting"), [(OTHER, "KEY_FILE"), (Kms(bytes(32)), "KMS_KEY")])
def test_another_key_encryption_key_than_the_databases_is_named_in_the_error(
    sqlite_database: Engine, other: FileKey, setting: str
) -> None:
    KeyRing.over(sqlite_database, [WRAPPING]).complete()
    reason = f"^{setting}: is not the key that the database's keys were wrapped with$"
    with pytest.raises(InvalidSettings, match=reason):
        KeyRing.over(sqlite_database, [other]).sealing()


def test_keys_are_wrapped_anew_when_the_key_encryption_key_changes(database: Engine) -> None:
    mac = KeyRing.over(database, [WRAPPING]).mac("mark", b"jane")
    moving = KeyRing.over(database, [OTHER, WRAPPING])
    assert moving.mac("mark", b"jane") == mac
    assert moving.rewrap() == len(PURPOSES)
    assert KeyRing.over(database, [OTHER]).mac("mark", b"jane") == mac
    with pytest.raises(InvalidSettings, match="KEY_FILE"):
        KeyRing.over(database, [WRAPPING]).mac("mark", b"jane")


def test_two_may_wrap_anew_at_once(database: Engine) -> None:
    mac = KeyRing.over(database, [WRAPPING]).mac("mark", b"jane")
    movings = [KeyRing.over(database, [OTHER, WRAPPING]) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(lambda ring: ring.rewrap(), movings)) >= len(PURPOSES)
    assert KeyRing.over(database, [OTHER]).mac("mark", b"jane") == mac


def test_only_a_retired_key_can_be_forgotten(database: Engine) -> None:
    ring = KeyRing.over(database, [WRAPPING])
    before, after = ring.sealing().id, ring.renew()
    ring.forget([before, after])
    assert [key.id for key in stored(database) if key.purpose == "seal"] == [after]


def test_keys_are_made_in_the_transaction_that_the_ring_is_on(database: Engine) -> None:
    with write(database) as connection:
        mac = KeyRing.on(connection, [WRAPPING]).mac("mark", b"jane")
        assert connection.scalar(select(func.count()).select_from(data_keys)) == len(PURPOSES)
    assert KeyRing.over(database, [WRAPPING]).mac("mark", b"jane") == mac


def test_an_instance_has_one_ring_complete_from_the_start(tmp_path: Path) -> None:
    with instance(tmp_path):
        ring = key_ring()
        assert key_ring() is ring
        engine = engine_module.engine()
        with write(engine), statements(engine) as seen:  # within a transaction that writes nothing waits
            ring.mac("audit", b"")
        assert seen == []
        assert (tmp_path / "keys" / "key-encryption-key").stat().st_mode & 0o777 == 0o600


def test_a_key_file_that_was_lost_is_not_replaced_by_one_that_opens_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "key-encryption-key"
    with instance(tmp_path):
        key_ring()
    file.unlink()
    with instance(tmp_path), pytest.raises(InvalidSettings, match="KEY_FILE: there is no such file"):
        key_ring()
    assert not file.exists()


def test_keys_of_more_purposes_than_ours_are_left_alone(sqlite_database: Engine, make: Callable[[], KeyRing]) -> None:
    make().complete()
    [newest] = [key for key in stored(sqlite_database) if key.purpose == "shield"]
    change(sqlite_database, "shield", purpose="later")
    make().complete()
    assert newest.id in {key.id for key in stored(sqlite_database)}


def test_new_numbers_fit_the_column(sqlite_database: Engine) -> None:
    ring = KeyRing.over(sqlite_database, [WRAPPING])
    assert all(0 <= ring._new_id() < keyring._MOST_IDS for _ in range(1_000))
