"""Versions of the schema, and which of them a program can run on; without SQLAlchemy, for whoever only asks.

A version is the number of a migration. A program is known by the newest one that came with it. From 0004 on a schema
says itself which programs it takes: `schema_support.oldest_program`, as the migration states it that made it so.
"""

from pathlib import Path
from typing import Literal

MIGRATIONS = Path(__file__).parent / "migrations"

Standing = Literal["current", "behind", "too new"]


def known_versions() -> tuple[str, ...]:
    """Versions that this program knows, oldest first: the numbers that the migrations' file names start with."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))


def standing(found: str | None, oldest_program: str | None) -> Standing:
    """How a schema of version `found` (None: there is none yet) stands to this program.

    `current` also where it is newer and takes programs from `oldest_program` on, to which this one belongs: as while a
    new revision takes over, or after a step back to this one.
    """
    known = known_versions()
    if found is None or found in known:
        return "current" if found == known[-1] else "behind"
    takes_this_one = oldest_program is not None and oldest_program <= known[-1] < found
    return "current" if takes_this_one else "too new"
