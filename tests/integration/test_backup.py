"""Backups, tried: taken while functions write, restored elsewhere, and used there with the same key."""

import gzip
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from common.database.engine import create_engine_for, write
from common.database.schema_versions import known_versions
from common.security.key_encryption import DEFAULT_FILE
from tests import servers
from tests.databases import database_in
from tests.installations import (
    POLICY,
    QUESTION,
    Ended,
    Installation,
    ask,
    ask_of_policy,
    ledger_sums,
    put_policy,
    turns_of,
)

NEWEST = known_versions()[-1]

pytestmark = pytest.mark.timeout(300)  # some start several functions


@contextmanager
def asked_all_along(query: httpx.Client) -> Iterator[None]:
    """Questions come one after the other; inside the block at least one was answered before its end."""
    is_over, answered = threading.Event(), threading.Semaphore(0)

    def go_on() -> None:
        while not is_over.is_set():
            ask(query)
            answered.release()

    asking = threading.Thread(target=go_on)
    asking.start()
    try:
        yield
        assert answered.acquire(timeout=servers.START_SECONDS)
    finally:
        is_over.set()
        asking.join()


def check_whole(restored: Installation, key: str, before: list[tuple[str, str]]) -> None:
    """Everything of `before` is there and readable, books and audit add up, and questions are answered."""
    engine = restored.engine()
    turns = turns_of(engine, restored.key_file)
    assert turns[: len(before)] == before
    assert {message for message, _ in turns} == {QUESTION}
    sums = ledger_sums(engine)
    of_entries, of_days = ([row[1:] for row in sums if row[0] == name] for name in ("ledger_entries", "ledger_days"))
    assert of_entries == of_days != []
    assert restored.loancheck("audit", "verify").code == 0
    for table in ("audit_events", "ledger_entries"):
        with pytest.raises(DBAPIError, match="append-only"), write(engine) as connection:
            connection.execute(text(f"DELETE FROM {table}"))
    fill_vectors(restored, key)
    with restored.function("query", key) as query:
        ask_of_policy(query)
    assert len(turns_of(engine, restored.key_file)) == len(turns) + 1
    engine.dispose()


def fill_vectors(restored: Installation, key: str) -> None:
    """The function `documents` makes them from the database, at its first use."""
    with restored.function("documents", key) as documents:
        assert documents.get(f"/api/documents/{POLICY['id']}").status_code == HTTPStatus.OK


def with_the_same_key(first: Installation, data: Path, **settings: str) -> Installation:
    """An installation elsewhere, to which the key-encryption key was brought."""
    (data / DEFAULT_FILE).parent.mkdir(parents=True)
    shutil.copy(first.key_file, data / DEFAULT_FILE)
    return Installation(data=data, settings=settings)


@pytest.mark.slow
def test_a_backup_of_a_machine_in_use_is_whole_on_another_one(tmp_path: Path) -> None:
    first, file = Installation(data=tmp_path / "first"), tmp_path / "backup.db.gz"
    key = first.new_key()
    with first.function("documents", key) as documents, first.function("query", key) as query:
        put_policy(documents)
        ask_of_policy(query)
        engine = first.engine()
        turns = turns_of(engine, first.key_file)
        engine.dispose()
        with asked_all_along(query):
            done = first.loancheck("backup", str(file))
    assert (done.code, done.complained) == (0, "")
    assert done.said.startswith(f"Backed up schema version {NEWEST} into {file}, ")
    assert f"the key {first.key_file}. Keep it elsewhere." in done.said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.key_file.read_bytes() not in gzip.decompress(file.read_bytes())
    second = with_the_same_key(first, tmp_path / "second")
    restored = second.loancheck("restore", str(file))
    assert (restored.code, restored.complained) == (0, "")
    assert restored.said == f"Restored schema version {NEWEST} from {file}.\n"
    check_whole(second, key, turns)


@pytest.mark.slow
def test_a_database_in_use_is_not_replaced_and_one_that_is_replaced_is_kept(tmp_path: Path) -> None:
    first, file = Installation(data=tmp_path / "first"), tmp_path / "backup.db.gz"
    key = first.new_key()
    with first.function("documents", key) as documents, first.function("query", key) as query:
        put_policy(documents)
        ask_of_policy(query)
        assert first.loancheck("backup", str(file)).code == 0
        put_policy(documents, text="Raw land: the loan-to-value limit of this lender is 59 percent.")
        ask_of_policy(query, "59")
        assert_refused(first.loancheck("restore", str(file)), "there is a database already; --replace keeps it")
        assert_refused(first.loancheck("restore", str(file), "--replace"), "is in use; stop what uses it first")
        ask_of_policy(query, "59")
    replaced = first.loancheck("restore", str(file), "--replace")
    assert (replaced.code, replaced.complained) == (0, "")
    kept = Path(replaced.said.split("is kept: ")[1].strip())
    engine = create_engine_for(f"sqlite:///{kept}")
    assert len(turns_of(engine, first.key_file)) == 3
    engine.dispose()
    fill_vectors(first, key)  # where some are that are newer than the database
    with first.function("query", key) as query:
        ask_of_policy(query, "61")


@pytest.mark.slow
def test_without_the_key_it_says_which_one_is_missing_and_where_it_belongs(tmp_path: Path) -> None:
    first, file = Installation(data=tmp_path / "first"), tmp_path / "backup.db.gz"
    key = first.new_key()
    assert first.loancheck("backup", str(file)).code == 0
    second = Installation(data=tmp_path / "second")
    restored = second.loancheck("restore", str(file))
    assert (restored.code, restored.complained.count("\n")) == (1, 1)
    assert "its keys were wrapped by file:" in restored.complained
    assert f"which is not {second.key_file}: put that key there" in restored.complained
    assert not second.key_file.exists()
    with second.function("query", key) as query:
        refused = query.post("/api/query", json={"message": QUESTION})
        assert (refused.status_code, refused.json()["type"]) == (
            HTTPStatus.SERVICE_UNAVAILABLE, "/problems/misconfigured",
        )  # fmt: skip
    assert any("KEY_FILE: there is no such file" in log.read_text() for log in second.data.glob("query-*.log"))
    assert_refused(second.loancheck("keys", "list"), "KEY_FILE: there is no such file, and in its place none is made")
    assert not second.key_file.exists()
    second.key_file.parent.mkdir()
    shutil.copy(first.key_file, second.key_file)
    with second.function("query", key) as query:
        ask(query)


def assert_refused(ended: Ended, reason: str) -> None:
    assert (ended.code, ended.said, ended.complained.count("\n")) == (2, "", 1)
    assert reason in ended.complained


@pytest.fixture
def small(tmp_path: Path) -> Installation:
    """An installation with an empty database."""
    database_in(tmp_path / "data")
    return Installation(data=tmp_path / "data")


def packed(file: Path, content: bytes) -> Path:
    file.write_bytes(gzip.compress(content))
    return file


NEWER = "UPDATE alembic_version SET version_num = '9999'; UPDATE schema_support SET oldest_program = '9999'"


def changed(database: Path, file: Path, statements: str) -> Path:
    """A backup of `database` after `statements`."""
    shutil.copyfile(database, file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.executescript(statements)
    return packed(file.with_suffix(".gz"), file.read_bytes())


def test_what_is_no_backup_is_told_in_one_line_and_changes_nothing(small: Installation, tmp_path: Path) -> None:
    whole = changed(small.database_file, tmp_path / "whole.db", "SELECT 1")
    (cut := tmp_path / "cut.gz").write_bytes(whole.read_bytes()[:-9])
    flipped = bytearray(whole.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (changed_bit := tmp_path / "changed.gz").write_bytes(flipped)
    (words := tmp_path / "words").write_text("no backup")
    newer = changed(small.database_file, tmp_path / "newer.db", NEWER)
    before = small.database_file.read_bytes()
    for file, reason in {
        tmp_path / "nowhere": "no such file",
        words: "is no backup, or a damaged one",
        cut: "is no backup, or a damaged one",
        changed_bit: "damaged",
        packed(tmp_path / "text.gz", b"no database at all. " * 1_000): "cannot be read as a database",
        packed(tmp_path / "empty.gz", b""): "holds no database of this product",
        newer: f"is of schema version 9999, and this program knows versions up to {NEWEST}",
    }.items():
        assert_refused(small.loancheck("restore", str(file), "--replace"), reason)
    assert small.database_file.read_bytes() == before
    assert [path.name for path in small.database_file.parent.iterdir()] == [small.database_file.name]


def test_a_disk_that_is_full_is_told_as_such_and_keeps_nothing_of_the_backup(
    small: Installation, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    full = f'mount -t tmpfs -o size=64k none {disk} || exit 9; "$@"; code=$?; ls -A {disk}; exit $code'
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c", full, "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system of a size can be mounted here")
    ended = small.loancheck("backup", str(disk / "backup.db.gz"), within=inside)
    assert_refused(ended, f"{disk}/backup.db.gz: cannot be written (No space left on device)")


def test_a_damaged_database_is_not_backed_up_and_can_be_replaced(small: Installation, tmp_path: Path) -> None:
    file = tmp_path / "backup.db.gz"
    assert small.loancheck("backup", str(file)).code == 0
    assert_refused(small.loancheck("backup", str(file)), "is there already, and nothing is written over")
    small.database_file.write_bytes(b"no database at all. " * 1_000)
    assert_refused(small.loancheck("backup", str(tmp_path / "other.gz")), "cannot be read as a database")
    replaced = small.loancheck("restore", str(file), "--replace")
    assert (replaced.code, "is kept: " in replaced.said) == (0, True)
    assert small.loancheck("migrate").said == f"The schema is at version {NEWEST} already.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.db.gz", "data"]


def test_an_older_backup_is_brought_up_afterwards(small: Installation, tmp_path: Path) -> None:
    file = tmp_path / "backup.db.gz"
    assert small.loancheck("migrate", "--to", "0003").code == 0
    assert small.loancheck("backup", str(file)).said.startswith("Backed up schema version 0003 into")
    other = Installation(data=tmp_path / "other")
    assert "or loancheck migrate" in other.loancheck("restore", str(file)).said
    assert other.loancheck("migrate").said == f"The schema went from version 0003 to {NEWEST}.\n"


def test_an_archive_that_is_ahead_of_a_restored_database_is_told_until_it_is_put_aside(tmp_path: Path) -> None:
    here, file = Installation(data=tmp_path / "data"), tmp_path / "backup.db.gz"
    here.new_key()
    assert here.loancheck("backup", str(file)).code == 0
    here.new_key()
    assert here.loancheck("audit", "export").code == 0
    assert here.loancheck("restore", str(file), "--replace").code == 0
    assert here.loancheck("audit", "verify").code == 1
    assert here.loancheck("audit", "export").code == 1
    (here.data / "archive" / "audit").rename(here.data / "archive" / "audit-until-then")
    assert here.loancheck("audit", "export").code == 0
    assert here.loancheck("audit", "verify", "--archive").code == 0


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_where_the_database_is_postgresql_its_own_tools_are_named(tmp_path: Path, command: str) -> None:
    here = Installation(data=tmp_path / "data", settings={"DATABASE_URL": "postgresql://jane:s3cret@db/loans"})
    ended = here.loancheck(command, str(tmp_path / "backup.db.gz"))
    assert_refused(ended, "PostgreSQL is backed up by pg_dump")
    assert "s3cret" not in ended.complained


def client(program: str, *arguments: str) -> None:
    path = servers.installed(program, package="postgresql-client")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.servers
@pytest.mark.slow
def test_a_dump_of_postgresql_in_use_is_whole_in_another_database(
    postgresql_server: servers.PostgreSQL, postgresql_url: str, tmp_path: Path
) -> None:
    first = Installation(data=tmp_path / "first", settings={"DATABASE_URL": postgresql_url})
    file = tmp_path / "loans.dump"
    key = first.new_key()
    engine = first.engine()
    with first.function("documents", key) as documents, first.function("query", key) as query:
        put_policy(documents)
        ask_of_policy(query)
        turns = turns_of(engine, first.key_file)
        with asked_all_along(query):
            client("pg_dump", "--format=custom", f"--file={file}", plain(postgresql_url))
    engine.dispose()
    postgresql_server.execute("CREATE DATABASE restored TEMPLATE template0")
    try:
        url = postgresql_server.url("restored")
        client(
            "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", f"--dbname={plain(url)}", str(file)
        )
        second = with_the_same_key(first, tmp_path / "second", DATABASE_URL=url)
        check_whole(second, key, turns)
        stranger = Installation(data=tmp_path / "third", settings={"DATABASE_URL": url})
        assert_refused(stranger.loancheck("audit", "verify"), "KEY_FILE: there is no such file, and in its place")
    finally:
        postgresql_server.execute("DROP DATABASE restored WITH (FORCE)")


def plain(url: str) -> str:
    """As PostgreSQL's own programs read it."""
    return url.replace("postgresql+psycopg://", "postgresql://")
