"""Whether the database's schema and this program go together, asked without SQLAlchemy."""

from collections.abc import Callable
from typing import Any

from common.database.schema_versions import standing
from common.health_runs import Fault

Ask = Callable[[str], Any]
"""The first row of what a statement gives, as the driver has it; None: there is no row."""


def check_schema(has_table: Callable[[str], bool], ask: Ask, *, migrates: bool) -> None:
    """`migrates`: whoever uses the database brings an older schema up, so that it is no fault.

    Raises:
        Fault: the schema is older than this program and stays so, or too new for it.
    """
    found = _first(has_table, ask, "alembic_version", "SELECT version_num FROM alembic_version")
    oldest = _first(has_table, ask, "schema_support", "SELECT oldest_program FROM schema_support")
    stands = standing(found, oldest)
    if stands == "too new":
        raise Fault("schema is too new for this program")
    if stands == "behind" and not migrates:
        raise Fault("schema is behind")


def _first(has_table: Callable[[str], bool], ask: Ask, table: str, query: str) -> str | None:
    row = ask(query) if has_table(table) else None
    return row[0] if row else None
