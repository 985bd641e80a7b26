"""Which schema a database has, which ones this program knows, and whether the two go together."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseTooNew(Exception):
    """The database was migrated by a newer program, to a schema that this one cannot work on without damage."""

    def __init__(self, *, found: str, newest_known: str, oldest_program: str | None = None) -> None:
        """`oldest_program` is from which version on programs can run on the schema; None: it does not say so."""
        needed = f" and takes programs from version {oldest_program} on" if oldest_program else ""
        super().__init__(
            f"the database has schema version {found}{needed}, this program knows versions up to {newest_known}: "
            f"run the newer program, take the schema down by it (loancheck migrate --to {newest_known}), "
            "or restore a backup from before its upgrade"
        )
        self.found = found
        self.newest_known = newest_known


def known_versions() -> tuple[str, ...]:
    """Schema versions that this program knows, oldest first: the numbers that the migrations' file names start with."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))


def version_of(connection: Connection) -> str | None:
    """The version that the schema has; None where there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def is_current(connection: Connection) -> bool:
    """Whether this program can run on the schema as it is: of its newest version, or of a newer one that says so.

    A newer one is there while a new revision takes over, and after a step back to this one.

    Raises:
        DatabaseTooNew: the schema is of a version that this program does not know and that is not made for it.
    """
    found, known = version_of(connection), known_versions()
    if found is None or found in known:
        return found == known[-1]
    oldest = _oldest_program(connection)
    if oldest is None or oldest > known[-1] or found < known[-1]:
        raise DatabaseTooNew(found=found, newest_known=known[-1], oldest_program=oldest)
    return True


def alembic_config(connection: Connection) -> "Config":
    """Alembic on our migrations, without a file of its own, inside the transaction of `connection`."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config


def _oldest_program(connection: Connection) -> str | None:
    """Programs whose newest known version is this one or a later one can run on the schema; None: it does not say."""
    if not inspect(connection).has_table("schema_support"):
        return None
    oldest: str | None = connection.execute(text("SELECT oldest_program FROM schema_support")).scalar()
    return oldest
