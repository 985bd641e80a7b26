"""Migrations on real databases: they agree with the tables, go up and down, and only one process runs them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.exc import DBAPIError

from common.database import engine as engine_module
from common.database import schema_versions
from common.database.engine import DatabaseUnavailable, create_engine_for, migrate, read, write
from common.database.migrations.compare import include_object
from common.database.migrations.drafting import draft
from common.database.moving import CannotMove, move
from common.database.schema import DatabaseTooNew, alembic_config, oldest_program_of, version_of
from common.database.schema_versions import MIGRATIONS, known_versions
from common.database.tables import knowledge_state, metadata

ROOT = Path(__file__).parents[2]


@pytest.fixture
def empty_database(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine_for(empty_database_url)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def differences(engine: Engine) -> list[object]:
    with read(engine) as connection:
        context = MigrationContext.configure(connection, opts={"include_object": include_object})
        return list(compare_metadata(context, metadata))


def python(code: str, url: str) -> subprocess.Popen[str]:
    """`code` in a process of its own, where `engine` is the engine for `url`."""
    start = "import os, sys; from common.database.engine import *; engine = create_engine_for(os.environ['TEST_URL']); "
    return subprocess.Popen(
        [sys.executable, "-c", start + code],
        cwd=ROOT,
        env={**os.environ, "TEST_URL": url},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_migrated_schema_is_the_one_in_the_code(database: Engine) -> None:
    assert differences(database) == []


def test_the_migrated_database_counts_changes_of_the_knowledge_base_from_zero(database: Engine) -> None:
    with read(database) as connection:
        assert connection.execute(select(knowledge_state)).all() == [(1, 0)]


def test_an_empty_database_is_migrated_once(empty_database: Engine) -> None:
    assert migrate(empty_database) is True
    assert tables(empty_database) >= set(metadata.tables) | {"chunk_search"}
    assert migrate(empty_database) is False


def test_of_two_processes_that_start_at_once_one_migrates(empty_database_url: str) -> None:
    processes = [python("print(migrate(engine))", empty_database_url) for _ in range(2)]
    said = sorted(process.communicate()[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert said == ["False", "True"]


def test_a_start_on_a_current_schema_does_not_load_alembic(sqlite_database: Engine) -> None:
    process = python("print(migrate(engine), 'alembic' in sys.modules)", str(sqlite_database.url))
    assert process.communicate()[0].split() == ["False", "False"]


def made_newer(engine: Engine, *, oldest_program: str | None) -> None:
    """The schema as a newer program says it has left it."""
    with write(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("DROP TABLE IF EXISTS schema_support"))
        if oldest_program is not None:
            connection.execute(text("CREATE TABLE schema_support (id integer PRIMARY KEY, oldest_program varchar(32))"))
            row = {"oldest": oldest_program}
            connection.execute(text("INSERT INTO schema_support VALUES (1, :oldest)"), row)


@pytest.mark.parametrize("oldest_program", [None, "9998"])
def test_a_database_of_a_newer_program_is_left_alone(database: Engine, oldest_program: str | None) -> None:
    made_newer(database, oldest_program=oldest_program)
    with pytest.raises(DatabaseTooNew, match=r"schema version 9999.*migrate --to") as refused:
        migrate(database)
    assert (refused.value.found, refused.value.newest_known) == ("9999", known_versions()[-1])
    assert ("programs from version 9998 on" in str(refused.value)) is (oldest_program is not None)


@pytest.mark.parametrize("oldest_program", known_versions()[-2:])
def test_a_newer_schema_that_takes_this_program_is_used_as_it_is(database: Engine, oldest_program: str) -> None:
    made_newer(database, oldest_program=oldest_program)
    assert migrate(database) is False
    with read(database) as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(empty_database: Engine) -> None:
    with write(empty_database) as connection:
        connection.execute(text("CREATE TABLE turns (id integer)"))  # in the way of the last table
    with pytest.raises(DBAPIError, match="already exists"):
        migrate(empty_database)
    assert tables(empty_database) == {"turns"}


def stated_oldest_program(engine: Engine) -> str | None:
    with read(engine) as connection:
        return oldest_program_of(connection)


def test_the_schema_says_which_programs_it_takes_as_its_newest_migration_states_it(database: Engine) -> None:
    with read(database) as connection:
        newest = ScriptDirectory.from_config(alembic_config(connection)).get_revision(known_versions()[-1])
    assert stated_oldest_program(database) == newest.module.oldest_program


def test_a_step_down_restores_what_the_version_below_states(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_database: Engine
) -> None:
    copy = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, copy)
    monkeypatch.setattr(schema_versions, "MIGRATIONS", copy)
    newest = known_versions()[-1]
    (copy / "versions" / "9998_contract.py").write_text(
        f'revision = "9998"\ndown_revision = "{newest}"\noldest_program = "9998"\n'
        'downgrade_loses = ""\n'
        "def upgrade(): pass\ndef downgrade(): pass\n"
    )
    migrate(empty_database)
    assert stated_oldest_program(empty_database) == "9998"
    assert str(move(empty_database, newest, may_lose=False)) == f"The schema went from version 9998 to {newest}."
    assert stated_oldest_program(empty_database) == "0003"


@pytest.mark.servers
def test_a_migration_gives_up_rather_than_hold_up_those_who_come_after_it(
    postgresql_database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "TABLE_WAIT_SECONDS", 1)
    move(postgresql_database, "0003", may_lose=False)
    with write(postgresql_database) as connection:
        connection.execute(text("LOCK TABLE notices IN ROW EXCLUSIVE MODE"))  # as a long write holds it
        with pytest.raises(DatabaseUnavailable):
            migrate(postgresql_database)
    assert migrate(postgresql_database) is True


@pytest.mark.parametrize("version", ["", "4", "9999", "head"])
def test_a_version_that_this_program_does_not_know_is_nowhere_to_go(database: Engine, version: str) -> None:
    with pytest.raises(CannotMove, match=f"no version '{version}'; known are 0001, "):
        move(database, version, may_lose=True)


def test_what_a_step_down_deletes_is_said_and_asked_for(database: Engine) -> None:
    with pytest.raises(CannotMove, match=r"from \d+ to 0002 deletes budgets, .*--yes"):
        move(database, "0002", may_lose=False)
    with read(database) as connection:
        assert version_of(connection) == known_versions()[-1]
    move(database, "0002", may_lose=True)
    assert "ledger_days" not in tables(database)
    move(database, known_versions()[-1], may_lose=False)
    assert differences(database) == []


def test_a_schema_is_not_taken_down_by_a_program_that_is_older(database: Engine) -> None:
    made_newer(database, oldest_program="0003")
    with pytest.raises(CannotMove, match=r"version 9999.*by the newer program"):
        move(database, "0003", may_lose=True)


def test_all_migrations_go_down_and_up_again(database: Engine) -> None:
    with write(database) as connection:
        command.downgrade(alembic_config(connection), "base")
    assert tables(database) == {"alembic_version"}
    assert migrate(database) is True
    assert differences(database) == []


def test_file_names_tell_the_versions_in_the_order_that_alembic_runs_them(sqlite_database: Engine) -> None:
    with read(sqlite_database) as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    newest_first = [revision.revision for revision in script.walk_revisions()]
    assert known_versions() == tuple(reversed(newest_first))


def test_the_next_migration_is_drafted_with_the_next_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "100% migrations"  # Alembic's configuration treats % as special
    shutil.copytree(MIGRATIONS, copy)
    monkeypatch.setattr(schema_versions, "MIGRATIONS", copy)
    draft("Add nothing at all")
    before, added = known_versions()[-2:]
    assert int(added) == int(before) + 1
    drafted = (copy / "versions" / f"{added}_add_nothing_at_all.py").read_text()
    assert f'down_revision = "{before}"' in drafted
    assert "op.create" not in drafted  # the tables and the migrations agree
