"""First tables, and the full-text index, which has one form for SQLite and one for PostgreSQL."""

import sqlalchemy as sa
from alembic import op

from common.database.columns import ExactDecimal, UtcDateTime

revision = "0001"
down_revision = None
downgrade_loses = "everything that is stored"

FULL_TEXT = {
    "sqlite": ["CREATE VIRTUAL TABLE chunk_search USING fts5(context, tokenize = 'porter unicode61')"],
    "postgresql": [
        """
        CREATE TABLE chunk_search (
            number bigint PRIMARY KEY REFERENCES chunks (number) ON DELETE CASCADE,
            terms tsvector NOT NULL,
            length integer NOT NULL
        )
        """,
        "CREATE INDEX ix_chunk_search_terms ON chunk_search USING gin (terms)",
        "CREATE INDEX ix_chunk_search_length ON chunk_search (length)",
    ],
}


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("embedder", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.String(length=32), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_documents"),
    )
    knowledge_state = op.create_table(
        "knowledge_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_state"),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=True),
        sa.Column("agent", sa.String(length=64), nullable=True),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model_asked", sa.String(length=128), nullable=False),
        sa.Column("model_answered", sa.String(length=128), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("thinking_tokens", sa.BigInteger(), nullable=False),
        sa.Column("tool_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", ExactDecimal(), nullable=True),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_entries"),
    )
    op.create_index("ix_ledger_entries_created_at", "ledger_entries", ["created_at"], unique=False)
    op.create_index("ix_ledger_entries_request_id", "ledger_entries", ["request_id"], unique=False)
    op.create_table(
        "revisions",
        sa.Column("revision", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.String(length=256), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_revisions"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_table(
        "chunks",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=320), nullable=False),
        sa.Column("document_id", sa.String(length=256), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("vector_id", sa.String(length=64), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("sentences", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name="fk_chunks_document_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name="pk_chunks"),
        sa.UniqueConstraint("id", name="uq_chunks_id"),
        sa.UniqueConstraint("vector_id", name="uq_chunks_vector_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chunks_document_id", "chunks", ["document_id"], unique=False)
    op.create_table(
        "document_attributes",
        sa.Column("document_id", sa.String(length=256), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=1024), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="fk_document_attributes_document_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("document_id", "name", name="pk_document_attributes"),
    )
    op.create_index("ix_document_attributes_name_value", "document_attributes", ["name", "value"], unique=False)
    op.create_table(
        "turns",
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
    )
    op.create_index("ix_turns_request_id", "turns", ["request_id"], unique=False)
    op.create_index("ix_turns_session_id_id", "turns", ["session_id", "id"], unique=False)
    for statement in FULL_TEXT[op.get_bind().dialect.name]:
        op.execute(statement)
    op.bulk_insert(knowledge_state, [{"id": 1, "generation": 0}])


def downgrade() -> None:
    op.execute("DROP TABLE chunk_search")
    op.drop_index("ix_turns_session_id_id", table_name="turns")
    op.drop_index("ix_turns_request_id", table_name="turns")
    op.drop_table("turns")
    op.drop_index("ix_document_attributes_name_value", table_name="document_attributes")
    op.drop_table("document_attributes")
    op.drop_index("ix_chunks_document_id", table_name="chunks")
    op.drop_table("chunks")
    op.drop_table("sessions")
    op.drop_table("revisions")
    op.drop_index("ix_ledger_entries_request_id", table_name="ledger_entries")
    op.drop_index("ix_ledger_entries_created_at", table_name="ledger_entries")
    op.drop_table("ledger_entries")
    op.drop_table("knowledge_state")
    op.drop_table("documents")
