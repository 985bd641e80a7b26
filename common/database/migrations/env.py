"""Runs migrations for Alembic inside the transaction that `common.database.schema.alembic_config` was given."""

from alembic import context

from common.database.migrations.compare import include_object
from common.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_object=include_object,
    render_item=context.config.attributes.get("render_item"),
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters few things in place
)
with context.begin_transaction():
    context.run_migrations()
