"""All tables. Migrations are made from here (`make migration`), and a test compares the two on both databases."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from common.database.columns import ExactDecimal, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows itself only for INTEGER

documents = Table(
    "documents",
    metadata,
    Column("id", String(256), primary_key=True),
    Column("title", Text, nullable=False),
    Column("source", Text),
    Column("metadata", JSON, nullable=False),
    Column("text", Text, nullable=False),
    Column("content_hash", String(64), nullable=False),  # of all fields, the chunker and the embedder
    Column("embedder", String(128), nullable=False),  # whose vectors its chunks hold
    Column("revision", String(32), nullable=False),  # new with every write; vectors carry it
    Column("updated_at", UtcDateTime, nullable=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=True),  # the full-text index's row
    Column("id", String(320), nullable=False, unique=True),
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("ordinal", Integer, nullable=False),
    Column("vector_id", String(64), nullable=False, unique=True),  # revision:ordinal, the key in Chroma
    Column("heading", Text, nullable=False),
    Column("start", Integer, nullable=False),  # half-open, in code points of the document's text
    Column("end", Integer, nullable=False),
    Column("text", Text, nullable=False),  # documents.text[start:end]
    Column("vector", LargeBinary, nullable=False),  # float16: the vector index can be built again from here
    Column("sentences", LargeBinary, nullable=False),  # spans and vectors of its sentences, packed
    sqlite_autoincrement=True,  # a number never comes again, so a full-text hit cannot point at another chunk
)

# What searches filter by: the document's metadata as text, so that both databases and Chroma compare alike.
document_attributes = Table(
    "document_attributes",
    metadata,
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(1024), nullable=False),
    Index(None, "name", "value"),
)

# A revision whose vectors are in Chroma but not (yet, or no longer) part of the index: `writing` until the swap,
# `doomed` when its vectors are to go. What a crash leaves here is cleared at the next start.
revisions = Table(
    "revisions",
    metadata,
    Column("revision", String(32), primary_key=True),
    Column("document_id", String(256), nullable=False),
    Column("chunks", Integer, nullable=False),  # its vectors' ids are revision:0 to revision:chunks-1
    Column("state", String(8), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# One row: counts the changes of the knowledge base, so that caches of other instances notice.
knowledge_state = Table(
    "knowledge_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("generation", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

turns = Table(
    "turns",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("request_id", String(128), nullable=False, index=True),
    Column("trace_id", String(32), nullable=False),
    Column("message", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("answered", Boolean, nullable=False),
    Column("agent", String(64), nullable=False),
    Column("intent", String(64)),
    Column("confidence", Float, nullable=False),
    Column("citations", JSON, nullable=False),
    Column("critique_score", Float),
    Column("critique_rounds", Integer, nullable=False),
    Column("degraded", JSON, nullable=False),
    Column("signals", JSON, nullable=False),  # names of prompt-injection signals, no text
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "session_id", "id"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("request_id", String(128), nullable=False, index=True),
    Column("trace_id", String(32), nullable=False),
    Column("session_id", String(64)),
    Column("agent", String(64)),
    Column("step", String(32), nullable=False),  # draft, critique, embed
    Column("provider", String(64), nullable=False),
    Column("model_asked", String(128), nullable=False),
    Column("model_answered", String(128)),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("thinking_tokens", BigInteger, nullable=False),
    Column("tool_tokens", BigInteger, nullable=False),
    Column("cost_usd", ExactDecimal),  # null: the price is not known
    Column("duration_ms", Float, nullable=False),
    Column("outcome", String(32), nullable=False),  # ok, or the error's type
)
