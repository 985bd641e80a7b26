"""Databases that can be used, and each way in which an SQLite file cannot. PostgreSQL: tests/integration."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from common.health_database import (
    _parameters,
    database_check,
    knowledge_check,
    sqlite_check,
    sqlite_file,
    sqlite_readable,
)
from common.health_runs import Fault, Finding
from common.settings import InvalidSettings

NOBODY = 65534


@pytest.fixture
def file(sqlite_database: Engine) -> Path:
    """A migrated database that nobody uses."""
    assert sqlite_database.url.database is not None
    return Path(sqlite_database.url.database)


@pytest.fixture
def nobodys(migrated_sqlite: Path) -> Iterator[Path]:
    """A migrated database in a folder that everybody may write to, seen without root's right to everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield Path(shutil.copy(migrated_sqlite, folder / "loans.db"))


@contextmanager
def without_root() -> Iterator[None]:
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    yield
    if is_root:
        os.seteuid(0)


def test_a_database_that_can_be_written_is_no_fault_and_stays_as_it_was(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 7")
    assert sqlite_check(file)() is None
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)


def schema_of(file: Path, version: str | None, oldest_program: str | None = None) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
        if version is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (version,))
        connection.execute("DELETE FROM schema_support")
        if oldest_program is not None:
            connection.execute("INSERT INTO schema_support VALUES (1, ?)", (oldest_program,))


@pytest.mark.parametrize("version", [None, "0001"])
def test_an_older_schema_is_a_fault_where_nobody_brings_it_up(file: Path, version: str | None) -> None:
    schema_of(file, version)
    url = f"sqlite:///{file}"
    assert database_check(url, migrates=True)() is None
    with pytest.raises(Fault, match="schema is behind") as caught:
        database_check(url, migrates=False)()
    assert caught.value.status == "unhealthy"


@pytest.mark.parametrize("migrates", [True, False])
def test_a_newer_schema_is_a_fault_unless_it_takes_this_program(file: Path, migrates: bool) -> None:
    check = database_check(f"sqlite:///{file}", migrates=migrates)
    assert check() is None
    schema_of(file, "9999", oldest_program="0004")
    assert check() is None
    schema_of(file, "9999", oldest_program="9998")
    with pytest.raises(Fault, match="schema is too new"):
        check()


def test_whose_schema_a_database_has_does_not_matter_where_it_was_given_by_path(file: Path) -> None:
    schema_of(file, "9999")
    assert database_check(f"sqlite:///{file}")() is None


def test_a_file_that_is_gone_is_not_there_and_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "loans.db"
    with pytest.raises(Fault, match="not there") as caught:
        sqlite_check(file)()
    assert caught.value.status == "unhealthy"
    assert not file.exists()


def test_a_file_whose_name_has_a_meaning_in_addresses_is_found(file: Path) -> None:
    odd = file.rename(file.with_name("loans 100%?#.db"))
    assert sqlite_check(odd)() is None


def test_what_is_no_database_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "loans.db"
    file.write_bytes(b"no database at all. " * 100)
    with pytest.raises(Fault, match="damaged"):
        sqlite_check(file)()


def test_a_folder_in_its_place_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be read"):
        sqlite_check(tmp_path)()


def test_a_writer_that_does_not_end_degrades_it(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(Fault, match="locked") as caught:
            sqlite_check(file)()
        assert caught.value.status == "degraded"
        writer.execute("ROLLBACK")
    assert sqlite_check(file)() is None


def test_a_file_that_even_readers_are_kept_from_is_locked(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as owner:
        owner.execute("PRAGMA locking_mode = EXCLUSIVE")
        owner.execute("BEGIN IMMEDIATE")
        owner.execute("PRAGMA user_version = 1")
        owner.execute("COMMIT")
        with pytest.raises(Fault, match="locked") as caught:
            sqlite_check(file)()
        assert caught.value.status == "unhealthy"


@pytest.mark.parametrize(("mode", "detail"), [(0o444, "cannot be written"), (0o000, "cannot be read")])
def test_a_file_without_the_right_to_it_is_told_so(nobodys: Path, mode: int, detail: str) -> None:
    nobodys.chmod(mode)
    with without_root(), pytest.raises(Fault, match=detail):
        sqlite_check(nobodys)()


def test_reading_alone_is_enough_for_the_vectors_catalogue(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        sqlite_readable(file)
        writer.execute("ROLLBACK")


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_an_address_with_a_file_is_sqlites(scheme: str) -> None:
    assert sqlite_file(f"{scheme}:////data/loans.db?cache=shared") == Path("/data/loans.db")


@pytest.mark.parametrize("url", ["postgresql://db/loans", "sqlite://", "sqlite:///"])
def test_any_other_address_has_no_file(url: str) -> None:
    assert sqlite_file(url) is None


@pytest.mark.parametrize("check", [database_check, knowledge_check])
def test_a_database_of_another_kind_is_refused_without_its_address(check: object) -> None:
    with pytest.raises(InvalidSettings, match="DATABASE_URL") as caught:
        check("mysql://user:s3cret@db/loans")  # type: ignore[operator]  # one of the two functions
    assert "s3cret" not in str(caught.value)


def test_documents_and_chunks_are_counted(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO documents (tenant, id, title, metadata, text, content_hash, embedder, revision, updated_at) "
            "VALUES ('default', 'a', 'A', '{}', 'Text.', 'hash', 'embedder', 'revision', '2026-11-23 00:00:00')"
        )
    assert knowledge_check(f"sqlite:///{file}")() == Finding(facts={"documents": 1, "chunks": 0})


def test_a_database_that_nobody_migrated_yet_has_no_tables(tmp_path: Path) -> None:
    file = tmp_path / "loans.db"
    file.touch()
    assert knowledge_check(f"sqlite:///{file}")() == "no tables yet"


@pytest.mark.parametrize(
    "rest",
    [
        "u:p%25w@db.example:5433/loans",
        "jane%40bank:p/w?x#y+z@db/loans?sslmode=require&application_name=a+b",
        "u@/loans?host=/var/run/postgresql",
        "[::1]:5432/loans",
        "/loans?host=a:5432&host=b:5433",
        "/loans?host=a:5432",
        "/loans?host=a,b&port=1,2",
        "db",
        "",
    ],
)
def test_a_postgresql_url_is_read_as_sqlalchemy_reads_it(rest: str) -> None:
    url = f"postgresql+psycopg://{rest}"
    dialect = make_url(url).get_dialect()()
    expected = {name: str(value) for name, value in dialect.create_connect_args(make_url(url))[1].items()}
    expected.pop("context", None)  # of its types
    assert _parameters(url) == expected


def test_what_a_url_tells_the_driver_is_not_for_the_server() -> None:
    url = "postgresql+psycopg://u@db/loans?prepare_threshold=0&autocommit=true&sslmode=require"
    assert _parameters(url) == {"user": "u", "host": "db", "dbname": "loans", "sslmode": "require"}


@pytest.mark.parametrize("url", ["mysql://db/x", "postgresql://db:port/x", "postgresql+asyncpg://db/x"])
def test_what_is_no_url_of_ours_is_a_setting_that_cannot_be_used(url: str) -> None:
    with pytest.raises(InvalidSettings, match="DATABASE_URL"):
        database_check(url)


def test_a_database_that_is_not_reached_by_a_url_for_the_driver_is_told_so() -> None:
    with pytest.raises(Fault, match="not reachable"):
        database_check("postgresql+psycopg://u@127.0.0.1:1/db?prepare_threshold=0&connect_timeout=1")()
