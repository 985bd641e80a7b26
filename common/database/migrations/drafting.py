"""The next migration, drafted from `common/database/tables.py`.

The draft is what Alembic sees as the difference to an SQLite database with all migrations so far. It is to be read
and completed: Alembic sees neither renamed columns nor the full-text index.
"""

import tempfile
from pathlib import Path
from typing import Any

from alembic import command

from common.database.engine import create_engine_for, migrate, write
from common.database.schema import alembic_config, oldest_program_of
from common.database.schema_versions import known_versions


def draft(message: str) -> None:
    """Write the draft into `versions/`, with the next number."""
    number = f"{int(known_versions()[-1]) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine_for(f"sqlite:///{Path(folder) / 'draft.db'}")
        migrate(engine)
        with write(engine) as connection:
            config = alembic_config(connection)
            config.attributes["render_item"] = _render
            config.attributes["template_args"] = {"oldest_program": oldest_program_of(connection)}
            command.revision(config, message, autogenerate=True, rev_id=number)
        engine.dispose()


def _render(kind: str, item: Any, _context: object) -> str | bool:  # Alembic types neither the item nor the context
    """Name our column types the way a migration imports them."""
    ours = kind == "type" and type(item).__module__ == "common.database.columns"
    return f"{type(item).__name__}()" if ours else False
