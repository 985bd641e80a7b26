"""Tenants, sealed turns, keys, audit and idempotent answers.

What was stored before belongs to the tenant `default`. Turns are sealed here with the data key that this makes.
"""

import json
import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op

from common.database.columns import UtcDateTime

revision = "0002"
down_revision = "0001"
downgrade_loses = "what is not the tenant default's, the words of all turns, API keys and the audit"

TENANT = sa.String(length=64)
PRINCIPAL = sa.String(length=128)
DEFAULT = "default"
UNKNOWN = "unknown"
ROWS_AT_ONCE = 500
NUMBERED: dict[str, Any] = {"table_kwargs": {"sqlite_autoincrement": True}}
"""For chunks, whose numbers never come again; an option that Alembic hands on to SQLAlchemy as it is."""

# FTS5's rows need no tenant: their numbers are those of the chunks, which have one.
FULL_TEXT = {
    "sqlite": [],
    "postgresql": [
        "ALTER TABLE chunk_search ADD COLUMN tenant varchar(64) NOT NULL DEFAULT 'default'",
        "ALTER TABLE chunk_search ALTER COLUMN tenant DROP DEFAULT",
        "DROP INDEX ix_chunk_search_length",
        "CREATE INDEX ix_chunk_search_tenant_length ON chunk_search (tenant, length)",
    ],
}
OLD_FULL_TEXT = {
    "sqlite": ["DELETE FROM chunk_search WHERE rowid NOT IN (SELECT number FROM chunks)"],  # nothing points from there
    "postgresql": [
        "ALTER TABLE chunk_search DROP COLUMN tenant",  # and the index with it
        "CREATE INDEX ix_chunk_search_length ON chunk_search (length)",
    ],
}

APPEND_ONLY = {
    "sqlite": [
        "CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events "
        "BEGIN SELECT raise(ABORT, 'audit_events is append-only'); END",
        "CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events "
        "BEGIN SELECT raise(ABORT, 'audit_events is append-only'); END",
    ],
    "postgresql": [
        "CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit_events is append-only'; END $$",
        "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only()",
    ],
}


def upgrade() -> None:
    _new_tables()
    _documents(to_tenants=True)
    _sessions_and_turns()
    with op.batch_alter_table("ledger_entries") as batch:
        batch.add_column(sa.Column("tenant", TENANT, nullable=False, server_default=DEFAULT))
        batch.add_column(sa.Column("principal", PRINCIPAL, nullable=False, server_default=UNKNOWN))
        batch.create_index("ix_ledger_entries_principal_created_at", ["principal", "created_at"])
    with op.batch_alter_table("revisions") as batch:
        batch.add_column(sa.Column("tenant", TENANT, nullable=False, server_default=DEFAULT))
    for table, column in (("ledger_entries", "tenant"), ("ledger_entries", "principal"), ("revisions", "tenant")):
        with op.batch_alter_table(table) as batch:  # a row that forgets its tenant is refused, not given to somebody
            batch.alter_column(column, server_default=None)
    for statement in (*FULL_TEXT[op.get_bind().dialect.name], *APPEND_ONLY[op.get_bind().dialect.name]):
        op.execute(statement)


def downgrade() -> None:
    """The text of turns cannot be had back from what is sealed: they go, and so does what is not `default`'s."""
    bind = op.get_bind()
    for table in ("document_attributes", "chunks", "documents", "sessions"):
        bind.execute(sa.text(f"DELETE FROM {table} WHERE tenant <> :tenant"), {"tenant": DEFAULT})  # noqa: S608
    for statement in OLD_FULL_TEXT[bind.dialect.name]:
        op.execute(statement)
    op.drop_table("turns")
    op.create_table("turns", *_old_turns())
    op.create_index("ix_turns_request_id", "turns", ["request_id"], unique=False)
    op.create_index("ix_turns_session_id_id", "turns", ["session_id", "id"], unique=False)
    with op.batch_alter_table("turns") as batch:
        batch.drop_constraint("fk_turns_session_id", type_="foreignkey")
    with op.batch_alter_table("sessions") as batch:
        batch.drop_index("ix_sessions_tenant")
        batch.drop_index("ix_sessions_updated_at")
        batch.drop_column("tenant")
        batch.drop_column("principal")
    _turns_of_sessions()
    with op.batch_alter_table("ledger_entries") as batch:
        batch.drop_index("ix_ledger_entries_principal_created_at")
        batch.drop_column("tenant")
        batch.drop_column("principal")
    with op.batch_alter_table("revisions") as batch:
        batch.drop_column("tenant")
    _documents(to_tenants=False)
    for table in ("idempotent_answers", "audit_head", "audit_events", "api_keys", "data_keys", "subject_marks"):
        op.drop_table(table)
    if bind.dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_events_append_only()")


def _documents(*, to_tenants: bool) -> None:
    """The key of documents, and what points to it. SQLite makes each table anew, and a table that is dropped takes
    along what points to it: so nothing may point anywhere meanwhile."""
    with op.batch_alter_table("chunks", **NUMBERED) as batch:
        batch.drop_constraint("fk_chunks_tenant" if not to_tenants else "fk_chunks_document_id", type_="foreignkey")
    with op.batch_alter_table("document_attributes") as batch:
        old = "fk_document_attributes_tenant" if not to_tenants else "fk_document_attributes_document_id"
        batch.drop_constraint(old, type_="foreignkey")
    if to_tenants:
        _key_by_tenant()
    else:
        _key_without_tenant()
    ours = ["tenant", "document_id"] if to_tenants else ["document_id"]
    theirs = ["tenant", "id"] if to_tenants else ["id"]
    for table in ("chunks", "document_attributes"):
        with op.batch_alter_table(table, **(NUMBERED if table == "chunks" else {})) as batch:
            batch.create_foreign_key(f"fk_{table}_{ours[0]}", "documents", ours, theirs, ondelete="CASCADE")


def _key_by_tenant() -> None:
    with op.batch_alter_table("documents") as batch:
        batch.add_column(sa.Column("tenant", TENANT, nullable=False, server_default=DEFAULT))
        batch.drop_constraint("pk_documents", type_="primary")
        batch.create_primary_key("pk_documents", ["tenant", "id"])
    with op.batch_alter_table("chunks", **NUMBERED) as batch:
        batch.add_column(sa.Column("tenant", TENANT, nullable=False, server_default=DEFAULT))
        batch.drop_constraint("uq_chunks_id", type_="unique")
        batch.create_unique_constraint("uq_chunks_tenant_id", ["tenant", "id"])
        batch.drop_index("ix_chunks_document_id")
        batch.create_index("ix_chunks_tenant_document_id", ["tenant", "document_id"])
    with op.batch_alter_table("document_attributes") as batch:
        batch.add_column(sa.Column("tenant", TENANT, nullable=False, server_default=DEFAULT))
        batch.drop_constraint("pk_document_attributes", type_="primary")
        batch.create_primary_key("pk_document_attributes", ["tenant", "document_id", "name"])
        batch.drop_index("ix_document_attributes_name_value")
        batch.create_index("ix_document_attributes_tenant_name_value", ["tenant", "name", "value"])
    for table in ("documents", "chunks", "document_attributes"):
        with op.batch_alter_table(table, **(NUMBERED if table == "chunks" else {})) as batch:
            batch.alter_column("tenant", server_default=None)


def _key_without_tenant() -> None:
    with op.batch_alter_table("document_attributes") as batch:
        batch.drop_index("ix_document_attributes_tenant_name_value")
        batch.drop_constraint("pk_document_attributes", type_="primary")
        batch.create_primary_key("pk_document_attributes", ["document_id", "name"])
        batch.drop_column("tenant")
        batch.create_index("ix_document_attributes_name_value", ["name", "value"])
    with op.batch_alter_table("chunks", **NUMBERED) as batch:
        batch.drop_index("ix_chunks_tenant_document_id")
        batch.drop_constraint("uq_chunks_tenant_id", type_="unique")
        batch.drop_column("tenant")
        batch.create_unique_constraint("uq_chunks_id", ["id"])
        batch.create_index("ix_chunks_document_id", ["document_id"])
    with op.batch_alter_table("documents") as batch:
        batch.drop_constraint("pk_documents", type_="primary")
        batch.create_primary_key("pk_documents", ["id"])
        batch.drop_column("tenant")


def _sessions_and_turns() -> None:
    with op.batch_alter_table("turns") as batch:
        batch.drop_constraint("fk_turns_session_id", type_="foreignkey")
        batch.add_column(sa.Column("uid", sa.String(length=32), nullable=True))
        batch.add_column(sa.Column("tenant", TENANT, nullable=False, server_default=DEFAULT))
        batch.add_column(sa.Column("content", sa.LargeBinary(), nullable=True))
    _seal_turns()
    with op.batch_alter_table("turns") as batch:
        batch.alter_column("uid", existing_type=sa.String(length=32), nullable=False)
        batch.alter_column("content", existing_type=sa.LargeBinary(), nullable=False)
        batch.alter_column("tenant", server_default=None)
        batch.create_unique_constraint("uq_turns_uid", ["uid"])
        for column in ("message", "answer", "citations"):
            batch.drop_column(column)
    _wipe_old_turns()
    with op.batch_alter_table("sessions") as batch:
        batch.add_column(sa.Column("tenant", TENANT, nullable=False, server_default=DEFAULT))
        batch.add_column(sa.Column("principal", PRINCIPAL, nullable=False, server_default=UNKNOWN))
        batch.create_index("ix_sessions_tenant", ["tenant"])
        batch.create_index("ix_sessions_updated_at", ["updated_at"])
    with op.batch_alter_table("sessions") as batch:
        batch.alter_column("tenant", server_default=None)
        batch.alter_column("principal", server_default=None)
    _turns_of_sessions()


def _turns_of_sessions() -> None:
    with op.batch_alter_table("turns") as batch:
        batch.create_foreign_key("fk_turns_session_id", "sessions", ["session_id"], ["id"], ondelete="CASCADE")


def _seal_turns() -> None:
    bind = op.get_bind()
    turns = sa.table(
        "turns", *map(sa.column, ("id", "message", "answer")), sa.column("citations", sa.JSON), sa.column("uid"),
        sa.column("content", sa.LargeBinary),
    )  # fmt: skip
    query = sa.select(turns.c.id, turns.c.message, turns.c.answer, turns.c.citations).order_by(turns.c.id)
    rows = bind.execute(query.limit(ROWS_AT_ONCE)).all()
    if not rows:
        return
    from common.security.encryption import TURN_CONTENT, Sealer, row_of
    from common.security.key_encryption import key_encryption_keys
    from common.security.keyring import KeyRing
    from common.security.marks import Marks
    from common.settings import settings

    ring = KeyRing.on(bind, key_encryption_keys(settings()))
    sealer, marks = Sealer(ring), Marks(ring)
    while rows:
        for row in rows:
            uid = secrets.token_hex(16)
            content = json.dumps({"message": row.message, "answer": row.answer, "citations": row.citations}).encode()
            sealed = sealer.seal(content, TURN_CONTENT, row_of(DEFAULT, uid))
            bind.execute(sa.update(turns).where(turns.c.id == row.id).values(uid=uid, content=sealed))
            marks.note(bind, DEFAULT, "turns", uid, [row.message, row.answer])
        rows = bind.execute(query.where(turns.c.id > rows[-1].id).limit(ROWS_AT_ONCE)).all()


def _wipe_old_turns() -> None:
    """PostgreSQL only marks a dropped column and an old row as gone; written anew, the table holds neither."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CLUSTER turns USING pk_turns")
        op.execute("ALTER TABLE turns SET WITHOUT CLUSTER")


def _new_tables() -> None:
    op.create_table(
        "data_keys",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", sa.String(length=256), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("retired_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_data_keys"),
    )
    active = sa.text("retired_at IS NULL")
    op.create_index(
        "ix_data_keys_purpose", "data_keys", ["purpose"], unique=True, sqlite_where=active, postgresql_where=active
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("tenant", TENANT, nullable=False),
        sa.Column("label", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("rotated_to", sa.String(length=16), nullable=True),
        sa.Column("rights", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_table(
        "audit_events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("tenant", TENANT, nullable=False),
        sa.Column("actor", PRINCIPAL, nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("target", sa.String(length=320), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_tenant_at", "audit_events", ["tenant", "at"], unique=False)
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.bulk_insert(head, [{"id": 1, "number": 0, "signature": ""}])
    op.create_table(
        "idempotent_answers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", TENANT, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("content_type", sa.String(length=128), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_idempotent_answers"),
    )
    op.create_index("ix_idempotent_answers_expires_at", "idempotent_answers", ["expires_at"], unique=False)
    op.create_table(
        "subject_marks",
        sa.Column("tenant", TENANT, nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "mark", "holder", "uid", name="pk_subject_marks"),
    )
    op.create_index("ix_subject_marks_holder_uid", "subject_marks", ["holder", "uid"], unique=False)


def _old_turns() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("intent", sa.String(length=64), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("citations", sa.JSON(), nullable=False),
        sa.Column("critique_score", sa.Float(), nullable=True),
        sa.Column("critique_rounds", sa.Integer(), nullable=False),
        sa.Column("degraded", sa.JSON(), nullable=False),
        sa.Column("signals", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_turns_session_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
    ]
