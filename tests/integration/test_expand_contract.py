"""Each migration keeps to docs/decisions/0032: it only adds, or states from which program on the schema can be used."""

from collections.abc import Iterator

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from common.database.engine import create_engine_for, read, write
from common.database.moving import move
from common.database.schema import alembic_config
from common.database.schema_versions import known_versions
from tests.schema_changes import schema_of, taken_away

BASE = "0003"  # the last one before schemas said which programs they take
SINCE = [version for version in known_versions() if version > BASE]


@pytest.fixture
def empty_database(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine_for(empty_database_url)
    yield engine
    engine.dispose()


def stated(engine: Engine, version: str) -> str:
    if version == BASE:
        return BASE
    with read(engine) as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    found = script.get_revision(version).module.oldest_program
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("version", SINCE)
def test_a_migration_that_takes_something_away_states_a_younger_program(empty_database: Engine, version: str) -> None:
    before_it = known_versions()[known_versions().index(version) - 1]
    move(empty_database, before_it, may_lose=False)
    before = schema_of(empty_database)
    move(empty_database, version, may_lose=False)
    after = schema_of(empty_database)
    was, states = stated(empty_database, before_it), stated(empty_database, version)
    assert was <= states <= version
    assert states > was or taken_away(before, after) == []
    move(empty_database, before_it, may_lose=True)
    assert schema_of(empty_database) == before


BOTH = {
    "ALTER TABLE notices RENAME COLUMN kind TO sort": [
        "notices.kind is gone",
        "notices.sort is new and has to be given",
    ],
    "DROP TABLE report_runs": ["report_runs.period is gone"],
    "ALTER TABLE notices DROP COLUMN last_error": ["notices.last_error is gone"],
    "ALTER TABLE notices ADD COLUMN place varchar(8) NOT NULL DEFAULT ''": [],
    "ALTER TABLE notices ADD COLUMN place varchar(8)": [],
    "CREATE TABLE places (id integer NOT NULL PRIMARY KEY, name text NOT NULL UNIQUE)": [],
    "CREATE INDEX ix_kind ON notices (kind)": [],
    "CREATE UNIQUE INDEX ix_kind ON notices (kind)": ["notices has a new unique index ix_kind"],
    "DROP INDEX ix_notices_sent_at": ["notices has no ix_notices_sent_at any more"],
}
SQLITE = {
    "CREATE TRIGGER no_news BEFORE INSERT ON notices BEGIN SELECT raise(ABORT, 'no'); END": [
        "notices has a new trigger no_news"
    ],
}
POSTGRESQL = {
    "ALTER TABLE notices ADD COLUMN place varchar(8) NOT NULL": ["notices.place is new and has to be given"],
    "ALTER TABLE notices ALTER COLUMN last_error SET NOT NULL": ["notices.last_error has to be given"],
    "ALTER TABLE notices ALTER COLUMN kind TYPE varchar(8)": ["notices.kind is VARCHAR(length=8)"],
    "ALTER TABLE notices ADD CONSTRAINT ck_few CHECK (attempts < 3)": ["notices has a new check attempts < 3"],
    "ALTER TABLE notices ADD FOREIGN KEY (kind) REFERENCES report_runs (period)": [
        "notices has a new foreign key ['kind'] to report_runs"
    ],
    "CREATE TRIGGER no_news BEFORE DELETE ON notices EXECUTE FUNCTION audit_events_append_only()": [
        "notices has a new trigger no_news"
    ],
}


@pytest.mark.parametrize(("statement", "reasons"), [*BOTH.items(), *SQLITE.items()])
def test_what_an_older_program_would_miss_is_found_on_sqlite(
    sqlite_database: Engine, statement: str, reasons: list[str]
) -> None:
    check_found(sqlite_database, statement, reasons)


@pytest.mark.servers
@pytest.mark.parametrize(("statement", "reasons"), [*BOTH.items(), *POSTGRESQL.items()])
def test_what_an_older_program_would_miss_is_found_on_postgresql(
    postgresql_database: Engine, statement: str, reasons: list[str]
) -> None:
    check_found(postgresql_database, statement, reasons)


def check_found(database: Engine, statement: str, reasons: list[str]) -> None:
    before = schema_of(database)
    with write(database) as connection:
        connection.execute(text(statement))
    found = taken_away(before, schema_of(database))
    assert found[: len(reasons)] == reasons
    assert bool(found) is bool(reasons)
