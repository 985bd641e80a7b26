"""Whether a database answers, asked without SQLAlchemy and without migrating it; whoever uses it does both.

Each check opens a connection of its own: a pool's would tell that the database was there once.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote

from common.database.sqlite_codes import primary_code
from common.health_runs import Check, Fault, Finding
from common.health_schema import Ask, check_schema
from common.settings import InvalidSettings

if TYPE_CHECKING:
    import psycopg

SQLITE_WAIT_SECONDS = 0.05  # for another one's write to end: less than a check may take
_CONNECT_SECONDS = 2  # the least that libpq takes
_STATEMENT_MS = 2_000
_POSTGRESQL_URL = re.compile(  # SQLAlchemy's own reading (sqlalchemy/engine/url.py), in which only "@" needs encoding
    r"postgresql(?:\+psycopg)?://(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<ipv6>[^/?]+)\]|(?P<host>[^/:?]+))?(?::(?P<port>\d*))?(?:/(?P<dbname>[^?]*))?(?:\?(?P<query>.*))?"
)
_HOST_AND_PORT = re.compile(r"([A-Za-z0-9.-]*):\d*")
_FOR_THE_DRIVER = {"autocommit", "context", "cursor_factory", "prepare_threshold", "row_factory"}  # not for the server
_COUNTS = "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks)"

_SQLITE_DETAILS = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "cannot be written",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_CORRUPT: "damaged",
}


def sqlite_file(url: str) -> Path | None:
    """The file that an SQLAlchemy URL names; None where it is no SQLite URL."""
    scheme, _, rest = url.partition(":///")
    return Path(rest.partition("?")[0]) if scheme in {"sqlite", "sqlite+pysqlite"} and rest else None


def database_check(url: str, *, migrates: bool | None = None) -> Check:
    """Whether the database behind an SQLAlchemy URL can be read and written, and its schema be used.

    `migrates` is as `common.health_schema.check_schema` has it; None: whatever tables there are, they are not ours.

    Raises:
        InvalidSettings: it is neither SQLite's nor PostgreSQL's.
    """
    file = sqlite_file(url)
    return sqlite_check(file, migrates) if file is not None else _postgresql_check(_parameters(url), migrates)


def knowledge_check(url: str) -> Check:
    """How many documents and chunks the knowledge base has, as facts.

    Raises:
        InvalidSettings: as `database_check`.
    """
    file = sqlite_file(url)
    return _sqlite_counts(file) if file is not None else _postgresql_counts(_parameters(url))


def sqlite_check(file: Path, migrates: bool | None = None) -> Check:
    """Whether a database file can be read and written, and used; another one's long transaction makes it degraded."""

    def check() -> None:
        with _sqlite(file, "rw") as connection:
            if migrates is not None:
                check_schema(_sqlite_tables(connection), _row_of(connection), migrates=migrates)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:  # where it is only locked, readers go on and it may soon be over
                is_locked = primary_code(error) == sqlite3.SQLITE_BUSY
                raise Fault(_words(error, file), status="degraded" if is_locked else "unhealthy") from None
            connection.execute(f"PRAGMA user_version = {version}")  # on a read-only file BEGIN IMMEDIATE only reads
            connection.execute("ROLLBACK")

    return check


def sqlite_readable(file: Path) -> None:
    """
    Raises:
        Fault: `file` is no SQLite database that can be read.
    """
    with _sqlite(file, "ro") as connection:
        connection.execute("PRAGMA schema_version")


def _sqlite_counts(file: Path) -> Check:
    def check() -> Finding | str:
        with _sqlite(file, "ro") as connection:
            if not _sqlite_tables(connection)("chunks"):
                return "no tables yet"
            return _counted(connection.execute(_COUNTS).fetchone())

    return check


@contextmanager
def _sqlite(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        uri = f"file:{quote(str(file.absolute()))}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=SQLITE_WAIT_SECONDS, isolation_level=None)
        with closing(connection):
            yield connection
    except sqlite3.DatabaseError as error:
        raise Fault(_words(error, file)) from None


def _words(error: sqlite3.Error, file: Path) -> str:
    return _SQLITE_DETAILS.get(primary_code(error)) or ("cannot be read" if file.exists() else "not there")


def _parameters(url: str) -> Mapping[str, str]:
    """libpq's parameters, as SQLAlchemy gives them to the driver. What is the driver's own is left out: a check needs
    none of it."""
    found = _POSTGRESQL_URL.fullmatch(url)
    if found is None:
        raise InvalidSettings("DATABASE_URL: must begin with sqlite:///FILE or postgresql+psycopg://")
    parts = found.groupdict()
    given = {name: unquote(parts[name]) for name in ("user", "password", "dbname") if parts[name]}
    given |= {"host": parts["host"] or parts["ipv6"] or "", "port": parts["port"] or ""} | _queried(parts["query"])
    return {name: value for name, value in given.items() if value and name not in _FOR_THE_DRIVER}


def _queried(query: str | None) -> dict[str, str]:
    """The query's parameters; several hosts may each have their port: `host=a:5432&host=b:5433`."""
    given = parse_qs(query or "")
    hosts = given.get("host", [])
    if "port" not in given and any(map(_HOST_AND_PORT.fullmatch, hosts)):
        given["port"] = [host.partition(":")[2] for host in hosts]
        given["host"] = [host.partition(":")[0] for host in hosts]
    return {name: ",".join(values) for name, values in given.items()}


def _postgresql_check(parameters: Mapping[str, str], migrates: bool | None) -> Check:
    def check(connection: "psycopg.Connection[Any]") -> None:
        if migrates is not None:
            check_schema(_postgresql_tables(connection), _row_of(connection), migrates=migrates)
        if connection.execute("SHOW transaction_read_only").fetchone() != ("off",):  # as a standby is
            raise Fault("cannot be written")

    return _on_postgresql(parameters, check)


def _postgresql_counts(parameters: Mapping[str, str]) -> Check:
    def check(connection: "psycopg.Connection[Any]") -> Finding | str:
        connection.execute(f"SET statement_timeout = {_STATEMENT_MS}")
        if not _postgresql_tables(connection)("chunks"):
            return "no tables yet"
        return _counted(connection.execute(_COUNTS).fetchone())

    return _on_postgresql(parameters, check)


def _on_postgresql(
    parameters: Mapping[str, str], ask: "Callable[[psycopg.Connection[Any]], Finding | str | None]"
) -> Check:
    import psycopg  # before the clock runs: this takes longer than a check may
    from psycopg.conninfo import make_conninfo

    given = {**parameters, "connect_timeout": str(_CONNECT_SECONDS)}

    def check() -> Finding | str | None:
        try:
            with psycopg.connect(make_conninfo(**given), autocommit=True) as connection:
                return ask(connection)
        except psycopg.OperationalError:
            raise Fault("not reachable") from None

    return check


def _row_of(connection: "sqlite3.Connection | psycopg.Connection[Any]") -> Ask:
    return lambda query: connection.execute(query).fetchone()


def _sqlite_tables(connection: sqlite3.Connection) -> Callable[[str], bool]:
    query = "SELECT count(*) FROM sqlite_master WHERE name = ?"
    return lambda name: bool(connection.execute(query, (name,)).fetchone()[0])


def _postgresql_tables(connection: "psycopg.Connection[Any]") -> Callable[[str], bool]:
    return lambda name: connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() != (None,)


def _counted(row: Any) -> Finding:
    """`row` is a driver's row of two counts."""
    documents, chunks = row
    return Finding(facts={"documents": documents, "chunks": chunks})
