"""What Alembic compares: everything but the full-text index, which has no SQLAlchemy form and stands in migrations."""

from typing import Literal

from sqlalchemy.schema import SchemaItem

FULL_TEXT_PREFIX = "chunk_search"

Kind = Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint", "check_constraint"]


def include_object(
    _item: SchemaItem, name: str | None, _kind: Kind, _reflected: bool, _other: SchemaItem | None
) -> bool:
    """Alembic's `include_object`: leaves out what begins with `FULL_TEXT_PREFIX`."""
    return name is None or not name.startswith(FULL_TEXT_PREFIX)
