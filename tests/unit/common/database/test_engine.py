"""Engines from URLs, and what is special about SQLite. What holds for both databases is in tests/integration."""

import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, LargeBinary, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from common.database import engine as module
from common.database.engine import DatabaseUnavailable, create_engine_for, read, write
from common.database.schema import is_current
from common.database.tables import chunks, knowledge_state, revisions
from common.settings import InvalidSettings, settings
from tests import servers


@pytest.fixture
def fresh_caches() -> Iterator[None]:
    settings.cache_clear()
    module.engine.cache_clear()
    yield
    settings.cache_clear()
    module.engine.cache_clear()


@pytest.mark.parametrize(
    "url", ["mysql://jane:secret@127.0.0.1/loans", "postgresql+asyncpg://jane:secret@127.0.0.1/loans", "secret", ""]
)
def test_a_url_of_another_database_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^DATABASE_URL: ") as refused:
        create_engine_for(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused_for_each_connection_would_have_its_own(url: str) -> None:
    with pytest.raises(InvalidSettings, match="sqlite:///FILE"):
        create_engine_for(url)


def test_a_postgresql_url_without_a_driver_gets_ours() -> None:
    assert create_engine_for("postgresql://jane@127.0.0.1/loans").dialect.driver == "psycopg"


@pytest.mark.servers
def test_a_postgresql_database_that_cannot_hold_every_text_is_a_bad_setting(
    postgresql_server: servers.PostgreSQL,
) -> None:
    encoded = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    postgresql_server.execute(f"CREATE DATABASE of_ascii {encoded}")
    made = create_engine_for(postgresql_server.url("of_ascii"))
    with pytest.raises(InvalidSettings, match=r"^DATABASE_URL: the database must be of encoding UTF8"), read(made):
        pass
    made.dispose()
    postgresql_server.execute("DROP DATABASE of_ascii")


def test_a_new_sqlite_file_and_its_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "database" / "loans.db"
    create_engine_for(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_sqlite_file_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "loans.db"
    path.touch(mode=0o640)
    create_engine_for(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_folder_that_cannot_hold_the_sqlite_file_is_a_bad_setting_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSettings, match=r"^DATA_DIR: .*\(Not a directory\)$"):
        create_engine_for(f"sqlite:///{tmp_path}/file/database/loans.db")


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 15_000), ("secure_delete", 1)],
)
def test_sqlite_is_set_up_to_keep_what_was_accepted_and_nothing_that_was_erased(
    sqlite_database: Engine, pragma: str, value: str | int
) -> None:
    with sqlite_database.connect() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_sqlite_writers_that_read_first_take_turns_instead_of_failing(sqlite_database: Engine) -> None:
    def count_one(_number: int) -> None:
        with write(sqlite_database) as connection:
            found = connection.execute(select(knowledge_state.c.generation)).scalar_one()
            connection.execute(update(knowledge_state).values(generation=found + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_one, range(40)))
    with sqlite_database.connect() as connection:
        assert connection.execute(select(knowledge_state.c.generation)).scalar_one() == 40


def test_whoever_waits_to_write_to_sqlite_holds_no_connection_that_others_could_read_with(
    sqlite_database: Engine,
) -> None:
    def wait_and_write(_number: int) -> None:
        waiting.release()
        with write(sqlite_database) as connection:
            connection.execute(update(knowledge_state).values(generation=knowledge_state.c.generation + 1))

    writers = 40  # twice as many as there are connections
    waiting = threading.Semaphore(0)
    with ThreadPoolExecutor(writers) as pool:
        with write(sqlite_database):
            done = [pool.submit(wait_and_write, number) for number in range(writers)]
            for _ in range(writers):
                assert waiting.acquire(timeout=60)
            with read(sqlite_database) as connection:
                assert connection.execute(select(knowledge_state.c.generation)).scalar_one() == 0
        for one in done:
            one.result(timeout=60)
    with read(sqlite_database) as connection:
        assert connection.execute(select(knowledge_state.c.generation)).scalar_one() == writers


def test_whoever_never_gets_a_turn_to_write_to_sqlite_is_told_that_the_database_is_not_available(
    sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SQLITE_BUSY_SECONDS", 0.01)
    with write(sqlite_database), pytest.raises(DatabaseUnavailable) as refused, write(sqlite_database):
        pass
    assert "others of this process have written for 0.01 s" in str(refused.value.__cause__)


def test_sqlite_refuses_a_chunk_without_its_document(sqlite_database: Engine) -> None:
    orphan: dict[str, object] = dict.fromkeys((column.name for column in chunks.columns), 1)
    orphan |= {column.name: b"" for column in chunks.columns if isinstance(column.type, LargeBinary)}
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), write(sqlite_database) as connection:
        connection.execute(insert(chunks).values(**orphan))


def test_an_error_of_the_database_does_not_say_what_was_to_be_stored(sqlite_database: Engine) -> None:
    with pytest.raises(IntegrityError) as failed, write(sqlite_database) as connection:
        connection.execute(insert(revisions).values(revision="1", document_id="Jane Roe"))
    assert "Jane" not in str(failed.value)


@pytest.mark.usefixtures("fresh_caches")
def test_this_instances_engine_is_the_one_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "state"))
    assert module.engine().url.database == str(tmp_path / "state" / "database" / "loan_collateral.db")
    assert module.engine() is module.engine()
    with read(module.engine()) as connection:
        assert is_current(connection)


def test_text_that_is_no_utf8_is_a_fault_of_the_data_and_not_of_the_database(sqlite_database: Engine) -> None:
    with pytest.raises(OperationalError, match="decode"), read(sqlite_database) as connection:
        connection.execute(text("SELECT CAST(x'ff' AS TEXT)")).all()
