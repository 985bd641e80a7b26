"""Fixtures that several tests share: fresh databases, real servers, and a guard against the outside network."""

import ipaddress
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import Engine

from common.database.engine import create_engine_for, migrate
from common.security import anonymous
from common.security.limits import limits
from tests import databases, servers

# What a test leaves to the settings is kept apart from the project's folder, and from another process of these tests.
_state = tempfile.TemporaryDirectory(prefix="loancheck-tests-")
os.environ["DATA_DIR"] = _state.name

# A first call loads and compiles; the time limit of a test is pytest's.
hypothesis.settings.register_profile("without deadlines", deadline=None)
hypothesis.settings.load_profile("without deadlines")

_database_numbers = itertools.count(1)
_outside: list[str] = []


class OutsideNetwork(ConnectionRefusedError):
    """A test tried to reach something beyond this machine."""


def _refuse_outside_network(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: sees every socket that Python opens, whichever library opens it; it cannot be taken off again."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):  # a str is a Unix socket
        host = arguments[1][0]
    else:
        return
    if not _is_loopback(host):
        _outside.append(f"{event} {host!r}")
        raise OutsideNetwork(f"tests stay on this machine: {event} {host!r}")


def _is_loopback(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    # None, "" and the wildcards come up where a server is about to listen: on every address of this machine.
    if not isinstance(name, str) or name in {"", "localhost", "0.0.0.0", "::"}:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


sys.addaudithook(_refuse_outside_network)


@pytest.fixture(autouse=True)
def outside_network() -> Iterator[list[str]]:
    """What the test tried to reach beyond this machine; anything left in it at the end fails the test.

    The attempt itself is refused as well, but a library may swallow that.
    """
    yield _outside
    attempts = list(_outside)
    _outside.clear()
    if attempts:
        pytest.fail(f"tried to leave this machine: {attempts}")


@pytest.fixture(autouse=True)
def anonymous_access(request: pytest.FixtureRequest) -> Iterator[None]:
    """In a test's own process requests without a key are let in, as in the emulator, but for tests of keys, which
    say so: `pytestmark = pytest.mark.keys`."""
    if request.node.get_closest_marker("keys") is None:
        anonymous.grant(servers.LOOPBACK)
    yield
    anonymous.withdraw()


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    """Each test begins with limits of which nothing is used up."""
    limits.cache_clear()


@pytest.fixture
def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    return servers.free_port()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[servers.PostgreSQL]:
    """A real PostgreSQL, one for each test process; it holds a migrated database `template_migrated`."""
    with servers.postgresql() as server:
        server.execute("CREATE DATABASE template_migrated")
        engine = create_engine_for(server.url("template_migrated"))
        migrate(engine)
        engine.dispose()  # a database with a connection cannot be copied
        yield server


@pytest.fixture(scope="session")
def chroma_server() -> Iterator[str]:
    """The URL of a real Chroma server, one for each test process: name collections so that tests do not meet."""
    with servers.chroma() as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a real Redis, one for each test process: name keys so that tests do not meet."""
    with servers.redis() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite() -> Path:
    """An SQLite file with all migrations, to be copied."""
    return databases.migrated_sqlite()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Engine]:
    """A fresh, migrated SQLite database in a file."""
    engine = create_engine_for(f"sqlite:///{databases.database_in(tmp_path)}")
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql_url(postgresql_server: servers.PostgreSQL) -> Iterator[str]:
    """The URL of a fresh, migrated PostgreSQL database."""
    yield from _postgresql_database(postgresql_server, template="template_migrated")


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Engine]:
    """A fresh, migrated PostgreSQL database."""
    engine = create_engine_for(postgresql_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest) -> Engine:
    """A fresh, migrated database; a test that asks for it runs once on SQLite and once on a real PostgreSQL."""
    engine: Engine = request.getfixturevalue(f"{request.param}_database")
    return engine


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table, for tests of the migrations; once for each kind of database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'database' / 'loan_collateral.db'}"
    else:
        server: servers.PostgreSQL = request.getfixturevalue("postgresql_server")
        yield from _postgresql_database(server, template="template0")


def _postgresql_database(server: servers.PostgreSQL, *, template: str) -> Iterator[str]:
    name = f"test_{next(_database_numbers)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")
