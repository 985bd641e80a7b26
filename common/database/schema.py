"""The schema that a database has: its version, the programs that it takes, and Alembic on it."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from common.database import schema_versions
from common.database.schema_versions import known_versions, standing

if TYPE_CHECKING:
    from alembic.config import Config


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


def version_of(connection: Connection) -> str | None:
    """The version that the schema has; None where there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def is_current(connection: Connection) -> bool:
    """Whether this program can run on the schema as it is: of its newest version, or of a newer one that says so.

    Raises:
        DatabaseTooNew: the schema is of a version that this program does not know and that is not made for it.
    """
    found = version_of(connection)
    oldest = None if found is None or found in known_versions() else oldest_program_of(connection)
    stands = standing(found, oldest)
    if stands == "too new":
        assert found is not None
        raise DatabaseTooNew(found=found, newest_known=known_versions()[-1], oldest_program=oldest)
    return stands == "current"


def oldest_program_of(connection: Connection) -> str | None:
    """Programs whose newest version is this one or a later one can run on the schema; None: it does not say."""
    if not inspect(connection).has_table("schema_support"):
        return None
    found: str | None = connection.execute(text("SELECT oldest_program FROM schema_support")).scalar()
    return found


def state_oldest_program(connection: Connection, oldest_program: str) -> None:
    """Write down what `oldest_program_of` is to tell from now on."""
    connection.execute(text("DELETE FROM schema_support"))
    row = {"oldest": oldest_program}
    connection.execute(text("INSERT INTO schema_support (id, oldest_program) VALUES (1, :oldest)"), row)


def alembic_config(connection: Connection) -> "Config":
    """Alembic on our migrations, without a file of its own, inside the transaction of `connection`."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(schema_versions.MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
