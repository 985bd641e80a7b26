"""Bringing a schema to a version by name, up or down: what `loancheck migrate` and each deploy do."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from common.database.engine import empty_log, migrate, migrating, read
from common.database.schema import alembic_config, is_current, oldest_program_of, version_of
from common.database.schema_versions import known_versions


class CannotMove(Exception):
    """The schema cannot be brought there, or only with a loss that nobody agreed to; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The schema's versions before and after; None: none yet."""

    before: str | None
    after: str

    def __str__(self) -> str:
        if self.before == self.after:
            return f"The schema is at version {self.after} already."
        return f"The schema went from version {self.before or 'none'} to {self.after}."


def upgrade(engine: Engine) -> Moved:
    """Bring the schema to this program's newest version. A newer one that takes this program is left as it is.

    Of several processes that do this at once one migrates, and the others find it done.

    Raises:
        DatabaseTooNew, DatabaseUnavailable: as `common.database.engine.migrate`.
    """
    with read(engine) as connection:
        before = version_of(connection)
    if migrate(engine):
        return Moved(before=before, after=known_versions()[-1])
    with read(engine) as connection:  # another process may have done it meanwhile
        now = str(version_of(connection))
    return Moved(before=now, after=now)


def move(engine: Engine, to: str, *, may_lose: bool) -> Moved:
    """Bring the schema to version `to`, up or down. Where a step down deletes what is stored, only if it `may_lose`.

    Raises:
        CannotMove: this program does not know that version or the schema's, or something would be lost.
        DatabaseUnavailable: as `common.database.engine.write`; the schema is as it was.
    """
    known = known_versions()
    if to not in known:
        raise CannotMove(f"there is no version {to!r}; known are {', '.join(known)}")
    with migrating(engine) as connection:
        before = version_of(connection)
        if before == to:
            return Moved(before=before, after=to)
        if before is not None and before not in known:
            newest = f"this program knows versions up to {known[-1]}"
            raise CannotMove(f"the schema is at version {before}, {newest}: take it down by the newer program")
        from alembic import command

        if before is None or before < to:
            command.upgrade(alembic_config(connection), to)
        else:
            _agree(connection, before, to, may_lose=may_lose)
            command.downgrade(alembic_config(connection), to)
    if engine.dialect.name == "sqlite":
        empty_log(engine)
    return Moved(before=before, after=to)


def status(engine: Engine) -> str:
    """In one line: the schema's version, this program's newest, and whether they go together.

    Raises:
        DatabaseTooNew, DatabaseUnavailable: as `common.database.engine.migrate`.
    """
    with read(engine) as connection:
        found, oldest = version_of(connection), oldest_program_of(connection)
        goes = "they go together" if is_current(connection) else "it has to be brought up"
    takes = f", and takes programs from version {oldest} on" if oldest else ""
    return f"The schema is at version {found or 'none'}{takes}; this program's is {known_versions()[-1]}: {goes}."


def _agree(connection: Connection, before: str, to: str, *, may_lose: bool) -> None:
    lost = _losses(connection, before, to)
    if lost and not may_lose:
        raise CannotMove(f"going down from {before} to {to} deletes {'; '.join(lost)}: back up first, then add --yes")


def _losses(connection: Connection, before: str, to: str) -> Sequence[str]:
    """What each step down deletes, as its migration says, the first step first."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config(connection))
    steps = [version for version in known_versions() if to < version <= before]
    modules = [script.get_revision(version).module for version in reversed(steps)]
    return [module.downgrade_loses for module in modules if module.downgrade_loses]
