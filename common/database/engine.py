"""The database: one engine per instance, transactions that mean the same on SQLite and PostgreSQL, migrations."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from common.database.schema import DatabaseTooNew, alembic_config, is_current, version_of
from common.database.schema_versions import known_versions
from common.database.sqlite_codes import primary_code
from common.database.telemetry import observe, waiting
from common.logging import component_logger
from common.once import once
from common.problems import Unavailable
from common.settings import InvalidSettings, settings
from common.telemetry import semconv
from common.tracing import Span, span

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
    from sqlalchemy.pool import ConnectionPoolEntry

CONNECT_TIMEOUT_SECONDS = 5
SQLITE_BUSY_SECONDS = 15  # a writer waits this long for another thread, and for another process, before it gives up
MIGRATION_LOCK = 0x10A2C0  # any number, as long as all instances use the same one
# A migration that waits for a table makes all wait that come after it. Rather than that it gives up, and is run again.
TABLE_WAIT_SECONDS = 10

log = component_logger("database")

_POLL_SECONDS = 0.01
_READ = "loan_collateral_read"
_WRITE = "loan_collateral_write"
_TURN = "loan_collateral_turn"

# Primary result codes, https://www.sqlite.org/rescode.html: locked for too long; the file or its disk has failed.
_SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
}


class DatabaseUnavailable(Unavailable, SQLAlchemyError):
    """The database cannot be reached, went away, or is locked for too long; `__cause__` is what the driver said.

    It is an SQLAlchemyError too: whoever can do without the database catches that one, whatever the reason is.
    """

    type = "/problems/database-unavailable"
    title = "The database is not available"


class DatabaseBehind(DatabaseUnavailable):
    """The schema is older than this program, which is not to migrate it (MIGRATE_ON_START is false)."""

    type = "/problems/database-behind"
    title = "The database's schema is behind this program"

    def __init__(self, found: str | None) -> None:
        """`found` is the schema's version; None: there is none yet."""
        super().__init__(
            f"It is at version {found or 'none'}, and needed is {known_versions()[-1]}: "
            "python -m common.database.migrations upgrade"
        )


@once
def engine() -> Engine:
    """This instance's engine, on a schema that this program can run on; see `migrate`.

    Made on first use, so that a forked worker never inherits open connections. What goes wrong is not kept: the next
    use tries again, and finds a schema that was brought up meanwhile.

    Raises:
        InvalidSettings, DatabaseTooNew, DatabaseUnavailable: as `create_engine_for` and `migrate`.
        DatabaseBehind: as `check_schema`, where MIGRATE_ON_START is false.
    """
    made = create_engine_for(settings().database_location())
    try:
        if settings().migrate_on_start:
            migrate(made)
        else:
            check_schema(made)
    except Exception as error:
        made.dispose()
        if isinstance(error, (DatabaseBehind, DatabaseTooNew)):
            _tell_once(getattr(error, "detail", None) or str(error))
        raise
    return made


def create_engine_for(url: str) -> Engine:
    """An engine for `url`: an SQLite file, whose folder is made where it is missing, or PostgreSQL.

    Raises:
        InvalidSettings: `url` is neither, its text left out, as it may hold a password; or the file cannot be made.
            At the first connection: PostgreSQL's database cannot hold every text.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidSettings("DATABASE_URL: is no SQLAlchemy URL") from None
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"} and parsed.database not in {None, "", ":memory:"}:
        return observe(_sqlite(parsed))
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return observe(_postgresql(parsed))
    raise InvalidSettings("DATABASE_URL: must begin with sqlite:///FILE or postgresql+psycopg://")


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: committed at the end of the block, rolled back by an exception.

    On SQLite it takes the write lock at once (BEGIN IMMEDIATE): a transaction that read first and then wanted
    to write would fail when another one wrote in between, and no waiting helps there.

    Raises:
        DatabaseUnavailable: at its begin, within it or at its end. Only at the end it is open what became of it.
    """
    options = {_WRITE: True}
    with (
        _span("write", engine),
        _told_when_away(),
        _in_turn(engine),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database throughout, from its first query on; it cannot write.

    Raises:
        DatabaseUnavailable: at its begin or within it.
    """
    options: dict[str, object] = {_READ: True}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with (
        _span("read", engine),
        _told_when_away(),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


def migrate(engine: Engine) -> bool:
    """Bring the schema to the newest version that this program knows; whether there was anything to do.

    A newer schema that says that this program can run on it is left as it is.

    Several processes may call this at once: one migrates, the others wait and find it done. A failed migration
    leaves the schema as it was. At the newest version already, it costs two small queries and no Alembic.

    Raises:
        DatabaseTooNew: the schema is of a newer version, and not made for this program.
        DatabaseUnavailable: as `read` and `write`.
    """
    with read(engine) as connection:
        if is_current(connection):
            return False
    with migrating(engine) as connection:
        if is_current(connection):  # another process did it while this one waited for the lock
            return False
        from alembic import command

        command.upgrade(alembic_config(connection), "head")
    if engine.dialect.name == "sqlite":
        empty_log(engine)  # what a migration replaced, as texts that it sealed, stands there still
    return True


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes the schema: of all processes one at a time.

    Raises:
        DatabaseUnavailable: as `write`; or others have held a table for `TABLE_WAIT_SECONDS`.
    """
    with write(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.execute(text(f"SET LOCAL lock_timeout = '{TABLE_WAIT_SECONDS}s'"))
        yield connection


def check_schema(engine: Engine) -> None:
    """
    Raises:
        DatabaseBehind: the schema is older than this program.
        DatabaseTooNew, DatabaseUnavailable: as `migrate`.
    """
    with read(engine) as connection:
        if not is_current(connection):
            raise DatabaseBehind(version_of(connection))


def empty_log(engine: Engine) -> None:
    """Move SQLite's write-ahead log into its file and cut it to nothing, where no other process is reading."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


_told: set[str] = set()


def _tell_once(reason: str) -> None:
    if reason not in _told:
        _told.add(reason)
        log.error("database.unusable", reason=reason)


def _span(name: str, engine: Engine) -> AbstractContextManager[Span]:
    system = engine.dialect.name
    attributes = {semconv.DB_SYSTEM_NAME: system, semconv.DB_OPERATION_NAME: name}
    return span(f"{name} {system}", kind="client", attributes=attributes)


@contextmanager
def _in_turn(engine: Engine) -> Iterator[None]:
    """This thread's turn among those of this process that `write` to an SQLite file, which has one writer at a time.

    SQLite lets them sleep and look again, for up to 0.1 s while nobody writes; here one wakes as soon as the last is
    done, in no promised order. Other processes are waited for after that, as long again.
    """
    turn: threading.Lock | None = engine.get_execution_options().get(_TURN)
    if turn is None:
        yield
        return
    if not turn.acquire(blocking=False):
        with waiting():
            if not turn.acquire(timeout=SQLITE_BUSY_SECONDS):
                raise PoolTimeoutError(f"others of this process have written for {SQLITE_BUSY_SECONDS} s")
    try:
        yield
    finally:
        turn.release()


@contextmanager
def _told_when_away() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        if _is_away(error):
            raise DatabaseUnavailable from error
        raise


def _is_away(error: DBAPIError | PoolTimeoutError) -> bool:
    """Whether it is the database itself that failed, and not what was asked of it."""
    if isinstance(error, PoolTimeoutError) or error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):  # here an OperationalError can also be a table that is not there
        return isinstance(error, OperationalError) and primary_code(error.orig) in _SQLITE_AWAY
    return isinstance(error, (OperationalError, InterfaceError))


def _postgresql(url: URL) -> Engine:
    made = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # an error's text reaches logs; the parameters are people's words
        pool_pre_ping=True,  # an idle instance's connections may have been closed by the server
        pool_size=5,
        max_overflow=15,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "loan-collateral-check"},
    )
    event.listen(made, "connect", _check_encoding, insert=True)  # before SQLAlchemy asks for the version
    return made


def _check_encoding(connection: "DBAPIConnection", _record: "ConnectionPoolEntry") -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":  # others cannot hold every text, and of SQL_ASCII the driver makes bytes
        connection.close()
        raise InvalidSettings(f"DATABASE_URL: the database must be of encoding UTF8; it is of {encoding}")


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)  # only when it is new; the write-ahead log takes over the file's permissions
    except OSError as error:
        reason = f"no database can be kept there, or where DATABASE_URL says ({error.strerror})"
        raise InvalidSettings(f"DATA_DIR: {reason}") from error
    made = create_engine(
        url,
        hide_parameters=True,
        pool_size=5,
        max_overflow=15,
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
        execution_options={_TURN: threading.Lock()},
    )
    event.listen(made, "connect", _prepare_sqlite)
    event.listen(made, "begin", _begin_sqlite)
    return made


def _prepare_sqlite(connection: "DBAPIConnection", _record: "ConnectionPoolEntry") -> None:
    connection.isolation_level = None  # sqlite3 would begin by itself, too late; `_begin_sqlite` does it
    cursor = connection.cursor()
    _begin_log(cursor)
    # NORMAL would leave out the sync at each commit: after a power failure the last turns that were answered and
    # the last documents that were accepted could be gone. https://www.sqlite.org/pragma.html#pragma_synchronous
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten; not all builds do so by themselves
    cursor.close()


def _begin_log(cursor: "DBAPICursor") -> None:
    """Turn the write-ahead log on, which a new file has not.

    SQLite does not wait for others who do the same at that moment, as several first instances may: it says "locked".
    """
    attempts = Retrying(
        retry=retry_if_exception(_is_busy),
        wait=wait_fixed(_POLL_SECONDS),
        stop=stop_after_delay(SQLITE_BUSY_SECONDS),
        reraise=True,
    )
    attempts(cursor.execute, "PRAGMA journal_mode = WAL")


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and primary_code(error) == sqlite3.SQLITE_BUSY


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if _READ in options else 'OFF'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _WRITE in options else "BEGIN")
