"""What is sealed opens again in its own row and column, as it was sealed, and nowhere and no how else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select

from common.database import engine as database
from common.database.engine import read, write
from common.database.tables import data_keys
from common.problems import problem_document
from common.security import encryption
from common.security.encryption import API_KEY_LABEL, TURN_CONTENT, CannotOpen, Sealer, prefix_of, row_of, sealer
from common.security.key_encryption import FileKey, key_encryption_keys
from common.security.keyring import KeyRing
from common.settings import settings
from tests.instance import instance

CONTENT = b"Jane Roe asks: what is my LTV?"
ROW = "4f2a"
OVERHEAD_BYTES = 33


@pytest.fixture
def ring(sqlite_database: Engine) -> KeyRing:
    return KeyRing.over(sqlite_database, [FileKey(bytes(32))])


@pytest.fixture
def sealing(ring: KeyRing) -> Sealer:
    return Sealer(ring)


@pytest.fixture(scope="module")
def shared(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealer]:
    """For examples by the hundred, which need no fresh database each."""
    path = tmp_path_factory.mktemp("shared") / "keys.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    engine = database.create_engine_for(f"sqlite:///{path}")
    yield Sealer(KeyRing.over(engine, [FileKey(bytes(32))]))
    engine.dispose()


@pytest.fixture
def own_instance(tmp_path: Path) -> Iterator[None]:
    with instance(tmp_path):
        yield


@given(content=st.binary(max_size=2_000), column=st.text(max_size=40), row=st.text(max_size=40))
def test_what_is_sealed_opens_again(shared: Sealer, content: bytes, column: str, row: str) -> None:
    sealed = shared.seal(content, column, row)
    assert shared.open(sealed, column, row) == content
    assert len(sealed) == len(content) + OVERHEAD_BYTES


def test_a_sealed_value_names_its_form_and_its_key_and_shows_nothing_else(ring: KeyRing) -> None:
    sealed = Sealer(ring).seal(CONTENT, TURN_CONTENT, ROW)
    assert sealed[:5] == prefix_of(ring.sealing().id) == b"\x01" + ring.sealing().id.to_bytes(4)
    assert b"Jane" not in sealed


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
@example("a", "b:c", "a:b", "c")
@example("", "1:a:b", "1", "a:b")
def test_no_two_rows_of_tenants_have_one_name(tenant: str, uid: str, other_tenant: str, other: str) -> None:
    is_same = (tenant, uid) == (other_tenant, other)
    assert (row_of(tenant, uid) == row_of(other_tenant, other)) is is_same


def test_what_is_sealed_for_one_tenant_does_not_open_for_another(sealing: Sealer) -> None:
    sealed = sealing.seal(CONTENT, TURN_CONTENT, row_of("acme", ROW))
    with pytest.raises(CannotOpen):
        sealing.open(sealed, TURN_CONTENT, row_of("bank", ROW))


def test_no_nonce_comes_twice_whoever_seals(shared: Sealer) -> None:
    others = [Sealer(shared._ring) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        sealed = threads.map(lambda number: others[number % 4].seal(CONTENT, TURN_CONTENT, ROW), range(20_000))
        assert len({value[5:17] for value in sealed}) == 20_000


@pytest.mark.parametrize(
    ("column", "row"),
    [(TURN_CONTENT, "4f2b"), (API_KEY_LABEL, ROW), ("turns.content4", "f2a"), ("turns.conten", "t4f2a"), ("", "")],
)
def test_a_value_that_was_moved_cannot_be_opened(sealing: Sealer, column: str, row: str) -> None:
    sealed = sealing.seal(CONTENT, TURN_CONTENT, ROW)
    with pytest.raises(CannotOpen):
        sealing.open(sealed, column, row)


@given(
    one=st.tuples(st.text(max_size=5), st.text(max_size=5)), other=st.tuples(st.text(max_size=5), st.text(max_size=5))
)
def test_no_two_places_are_the_same(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (encryption._bound_to(b"", *one) == encryption._bound_to(b"", *other)) is (one == other)


def test_a_value_with_any_bit_flipped_cannot_be_opened(sealing: Sealer) -> None:
    sealed = sealing.seal(CONTENT, TURN_CONTENT, ROW)
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CannotOpen):
            sealing.open(bytes(changed), TURN_CONTENT, ROW)


def test_a_value_that_was_cut_or_added_to_cannot_be_opened(sealing: Sealer) -> None:
    sealed = sealing.seal(CONTENT, TURN_CONTENT, ROW)
    for changed in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\0"):
        with pytest.raises(CannotOpen):
            sealing.open(changed, TURN_CONTENT, ROW)


def test_a_value_of_an_older_key_opens_by_that_key_alone(ring: KeyRing) -> None:
    sealed = Sealer(ring).seal(CONTENT, TURN_CONTENT, ROW)
    new = ring.renew()
    assert Sealer(ring).open(sealed, TURN_CONTENT, ROW) == CONTENT
    with pytest.raises(CannotOpen):
        Sealer(ring).open(prefix_of(new) + sealed[5:], TURN_CONTENT, ROW)


def test_a_key_of_another_purpose_opens_nothing(ring: KeyRing) -> None:
    sealed = Sealer(ring).seal(CONTENT, TURN_CONTENT, ROW)
    mark_key = next(key.id for key in ring.stored() if key.purpose == "mark")
    with pytest.raises(CannotOpen):
        Sealer(ring).open(prefix_of(mark_key) + sealed[5:], TURN_CONTENT, ROW)


def test_an_error_tells_neither_the_content_nor_the_key(sealing: Sealer) -> None:
    sealed = sealing.seal(CONTENT, TURN_CONTENT, ROW)
    with pytest.raises(CannotOpen) as refused:
        sealing.open(sealed, TURN_CONTENT, "other")
    assert refused.value.__suppress_context__
    assert problem_document(refused.value, request_id="r1") == (
        500,
        {
            "type": "/problems/cannot-open",
            "title": "What is stored cannot be opened",
            "status": 500,
            "instance": "/requests/r1",
            "request_id": "r1",
        },
    )


def test_keys_made_in_a_transaction_go_with_it(database: Engine) -> None:
    def on(connection: Connection) -> Sealer:
        return Sealer(KeyRing.on(connection, [FileKey(bytes(32))]))

    with write(database) as connection:
        lost = on(connection).seal(CONTENT, TURN_CONTENT, ROW)
        connection.rollback()
    with read(database) as connection:
        assert connection.scalar(select(func.count()).select_from(data_keys)) == 0
    with write(database) as connection:
        sealed = on(connection).seal(CONTENT, TURN_CONTENT, ROW)
    with write(database) as connection:
        assert on(connection).open(sealed, TURN_CONTENT, ROW) == CONTENT
        with pytest.raises(CannotOpen):
            on(connection).open(lost, TURN_CONTENT, ROW)


def test_an_instance_has_one_sealer_over_its_own_database(own_instance: None) -> None:
    sealed = sealer().seal(CONTENT, TURN_CONTENT, ROW)
    assert sealer() is sealer()
    another = Sealer(KeyRing.over(database.engine(), key_encryption_keys(settings())))
    assert another.open(sealed, TURN_CONTENT, ROW) == CONTENT
