"""Runs migrations for Alembic inside the transaction that `common.database.schema.alembic_config` was given.

In the same transaction it writes down which programs the schema takes now, as the migration states that it stands at.
"""

from alembic import context

from common.database.migrations.compare import include_object
from common.database.schema import state_oldest_program, version_of
from common.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_object=include_object,
    render_item=context.config.attributes.get("render_item"),
    template_args=context.config.attributes.get("template_args"),
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters few things in place
)
with context.begin_transaction():
    context.run_migrations()
    version = version_of(connection)
    stated = vars(context.script.get_revision(version).module) if version else {}
    if "oldest_program" in stated:  # from 0004 on
        state_oldest_program(connection, stated["oldest_program"])
