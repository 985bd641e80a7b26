"""A database that is not there, goes away or is locked: the same error on SQLite and PostgreSQL, a 503 over HTTP."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from pathlib import Path

import flask
import pytest
from sqlalchemy import Connection, Engine, create_engine, insert, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from common.database import engine as module
from common.database.engine import DatabaseUnavailable, create_engine_for, migrate, read, write
from common.database.tables import knowledge_state
from common.function import Call, Function, Reply, Route
from tests import servers

Transaction = Callable[[Engine], AbstractContextManager[Connection]]
both_ways = pytest.mark.parametrize("transaction", [read, write])


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SQLITE_BUSY_SECONDS", 0.01)


@contextmanager
def engine_for(url: str) -> Iterator[Engine]:
    engine = create_engine_for(url)
    yield engine
    engine.dispose()


def use(engine: Engine, transaction: Transaction) -> None:
    with transaction(engine) as connection:
        connection.execute(text("SELECT 1"))


def end_connections(server: servers.PostgreSQL, engine: Engine) -> None:
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{engine.url.database}'")


@both_ways
def test_a_server_that_nobody_runs_is_unavailable_and_its_address_stays_secret(
    free_port: int, transaction: Transaction
) -> None:
    with (
        engine_for(f"postgresql://jane:s3cret@127.0.0.1:{free_port}/loans") as engine,
        pytest.raises(DatabaseUnavailable) as caught,
    ):
        use(engine, transaction)
    assert isinstance(caught.value.__cause__, OperationalError)
    assert (str(caught.value), caught.value.detail) == ("The database is not available", None)
    assert caught.value.headers == {"Retry-After": "5"}
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_migrating_a_server_that_nobody_runs_is_the_same(free_port: int) -> None:
    with (
        engine_for(f"postgresql://127.0.0.1:{free_port}/loans") as engine,
        pytest.raises(DatabaseUnavailable),
    ):
        migrate(engine)


def test_whoever_catches_what_sqlalchemy_raises_catches_this_too() -> None:
    assert isinstance(DatabaseUnavailable(), SQLAlchemyError)


@pytest.mark.servers
def test_a_server_that_was_stopped_in_between_is_unavailable_until_then_it_was_not() -> None:
    with servers.postgresql() as server:
        engine = create_engine_for(server.url("postgres"))
        for transaction in (read, write):
            use(engine, transaction)
    for transaction in (read, write):
        with pytest.raises(DatabaseUnavailable):
            use(engine, transaction)
    engine.dispose()


@pytest.mark.servers
@both_ways
def test_a_connection_that_is_cut_within_a_transaction_is_unavailable_and_the_next_one_works(
    postgresql_server: servers.PostgreSQL, postgresql_database: Engine, transaction: Transaction
) -> None:
    with pytest.raises(DatabaseUnavailable), transaction(postgresql_database) as connection:  # noqa: PT012  # cut within
        end_connections(postgresql_server, postgresql_database)
        connection.execute(text("SELECT 1"))
    use(postgresql_database, transaction)


@pytest.mark.servers
def test_a_connection_that_is_cut_before_the_commit_is_unavailable_and_nothing_is_written(
    postgresql_server: servers.PostgreSQL, postgresql_database: Engine
) -> None:
    with pytest.raises(DatabaseUnavailable), write(postgresql_database) as connection:  # noqa: PT012  # at its end
        connection.execute(update(knowledge_state).values(generation=7))
        end_connections(postgresql_server, postgresql_database)
    with read(postgresql_database) as connection:
        assert connection.execute(knowledge_state.select()).all() == [(1, 0)]


@pytest.mark.usefixtures("short_wait")
def test_an_sqlite_file_that_is_locked_for_too_long_is_unavailable_to_writers_alone(sqlite_database: Engine) -> None:
    with write(sqlite_database), engine_for(str(sqlite_database.url)) as impatient:
        use(impatient, read)
        with pytest.raises(DatabaseUnavailable):
            use(impatient, write)
    use(sqlite_database, write)


def test_an_sqlite_file_whose_folder_is_gone_is_unavailable(tmp_path: Path) -> None:
    with engine_for(f"sqlite:///{tmp_path}/database/loans.db") as engine:
        (tmp_path / "database" / "loans.db").unlink()
        (tmp_path / "database").rmdir()
        with pytest.raises(DatabaseUnavailable):
            use(engine, read)


def test_no_free_connection_within_the_pools_time_is_unavailable(tmp_path: Path) -> None:
    full = create_engine(f"sqlite:///{tmp_path}/loans.db", pool_size=1, max_overflow=0, pool_timeout=0.01)
    with read(full), pytest.raises(DatabaseUnavailable):
        use(full, read)
    full.dispose()


def test_a_broken_rule_of_the_schema_stays_what_it_is(database: Engine) -> None:
    with pytest.raises(IntegrityError), write(database) as connection:
        connection.execute(insert(knowledge_state).values(id=1, generation=0))


def test_a_statement_that_cannot_be_run_stays_what_it_is(database: Engine) -> None:
    with pytest.raises((OperationalError, ProgrammingError), match="nowhere"), read(database) as connection:
        connection.execute(text("SELECT * FROM nowhere"))


def test_a_reader_that_writes_is_a_fault_of_ours_and_not_of_the_database(database: Engine) -> None:
    with pytest.raises(DBAPIError), read(database) as connection:
        connection.execute(update(knowledge_state).values(generation=7))


def test_an_exception_of_the_callers_own_passes_through(database: Engine) -> None:
    with pytest.raises(KeyError), read(database):
        raise KeyError("own")


@pytest.mark.usefixtures("short_wait")
def test_over_http_it_is_a_503_that_says_when_to_ask_again(sqlite_database: Engine) -> None:
    with write(sqlite_database), engine_for(str(sqlite_database.url)) as impatient:

        def count(_call: Call[None]) -> Reply:
            with write(impatient):
                return Reply(status=HTTPStatus.NO_CONTENT)

        route = Route(method="POST", path="/count", summary="A test.", handler=count, scope="public", limit="none")
        function = Function(name="testing", title="A function of the tests", version="1", routes=[route])
        with flask.Flask("testing").test_request_context("/count", method="POST"):
            answer = function(flask.request)
    assert (answer.status_code, answer.headers["Retry-After"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "5")
    assert answer.json is not None
    assert answer.json["type"] == "/problems/database-unavailable"
