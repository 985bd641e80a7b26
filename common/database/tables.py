"""All tables. Migrations are made from here (`make migration`), and a test compares the two on both databases."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
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
Tenant = String(64)  # whose it is: part of the key, or of every query; see `common.security.principal`
PrincipalId = String(128)

documents = Table(
    "documents",
    metadata,
    Column("tenant", Tenant, primary_key=True),
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
    Column("tenant", Tenant, nullable=False),
    Column("id", String(320), nullable=False),
    Column("document_id", String(256), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("vector_id", String(64), nullable=False, unique=True),  # revision:ordinal, the key in Chroma
    Column("heading", Text, nullable=False),
    Column("start", Integer, nullable=False),  # half-open, in code points of the document's text
    Column("end", Integer, nullable=False),
    Column("text", Text, nullable=False),  # documents.text[start:end]
    Column("vector", LargeBinary, nullable=False),  # float16: the vector index can be built again from here
    Column("sentences", LargeBinary, nullable=False),  # spans and vectors of its sentences, packed
    UniqueConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant", "document_id"], ["documents.tenant", "documents.id"], ondelete="CASCADE"),
    Index(None, "tenant", "document_id"),
    sqlite_autoincrement=True,  # a number never comes again, so a full-text hit cannot point at another chunk
)

# What searches filter by: the document's metadata as text, so that both databases and Chroma compare alike.
document_attributes = Table(
    "document_attributes",
    metadata,
    Column("tenant", Tenant, primary_key=True),
    Column("document_id", String(256), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(1024), nullable=False),
    ForeignKeyConstraint(["tenant", "document_id"], ["documents.tenant", "documents.id"], ondelete="CASCADE"),
    Index(None, "tenant", "name", "value"),
)

# A revision whose vectors are in Chroma but not (yet, or no longer) part of the index: `writing` until the swap,
# `doomed` when its vectors are to go. What a crash leaves here is cleared at the next start.
revisions = Table(
    "revisions",
    metadata,
    Column("revision", String(32), primary_key=True),
    Column("tenant", Tenant, nullable=False),
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
    Column("tenant", Tenant, nullable=False, index=True),
    Column("principal", PrincipalId, nullable=False),  # who opened it
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, index=True),
)

turns = Table(
    "turns",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("uid", String(32), nullable=False, unique=True),  # what its sealed content is bound to, with the tenant
    Column("tenant", Tenant, nullable=False),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("request_id", String(128), nullable=False, index=True),
    Column("trace_id", String(32), nullable=False),
    Column("content", LargeBinary, nullable=False),  # sealed: message, answer and citations
    Column("answered", Boolean, nullable=False),
    Column("agent", String(64), nullable=False),
    Column("intent", String(64)),
    Column("confidence", Float, nullable=False),
    Column("critique_score", Float),
    Column("critique_rounds", Integer, nullable=False),
    Column("degraded", JSON, nullable=False),
    Column("signals", JSON, nullable=False),  # names of prompt-injection signals, no text
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "session_id", "id"),
)

# Where a person is spoken of: a keyed hash of an e-mail address, a phone number or the like that a sealed row holds,
# for what is sealed cannot be searched otherwise.
subject_marks = Table(
    "subject_marks",
    metadata,
    Column("tenant", Tenant, primary_key=True),
    Column("mark", String(64), primary_key=True),
    Column("holder", String(32), primary_key=True),  # the table: turns, idempotent_answers
    Column("uid", String(64), primary_key=True),  # of its row
    Index(None, "holder", "uid"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("request_id", String(128), nullable=False, index=True),
    Column("trace_id", String(32), nullable=False),
    Column("tenant", Tenant, nullable=False),
    Column("principal", PrincipalId, nullable=False),
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
    Index(None, "principal", "created_at"),
)

_ACTIVE = text("retired_at IS NULL")
_WHERE_ACTIVE: dict[str, Any] = {"sqlite_where": _ACTIVE, "postgresql_where": _ACTIVE}  # options of two dialects

# Keys that open what is sealed, hash what is searched, sign what is audited; the key-encryption key wraps each.
data_keys = Table(
    "data_keys",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("purpose", String(16), nullable=False),  # seal, mark, api-key, audit, shield
    Column("wrapped", LargeBinary, nullable=False),
    Column("wrapped_by", String(256), nullable=False),  # the key-encryption key's name
    Column("created_at", UtcDateTime, nullable=False),
    Column("retired_at", UtcDateTime),  # opens what is old, seals nothing any more
    Index(None, "purpose", unique=True, **_WHERE_ACTIVE),  # several processes that make one make one
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),  # the key's readable part
    Column("tenant", Tenant, nullable=False),
    Column("label", LargeBinary, nullable=False),  # sealed: what it is for, or whose it is
    Column("role", String(16), nullable=False),
    Column("scopes", JSON, nullable=False),  # those of the role, or fewer
    Column("secret_hash", String(64), nullable=False),  # keyed
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("rotated_to", String(16)),
    Column("rights", String(64), nullable=False),  # keyed signature of tenant, role, scopes and times
)

# Entries are only added: triggers refuse anything else. Each one's signature covers the one before.
audit_events = Table(
    "audit_events",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3, without a gap
    Column("at", UtcDateTime, nullable=False),
    Column("tenant", Tenant, nullable=False),
    Column("actor", PrincipalId, nullable=False),
    Column("action", String(32), nullable=False),
    Column("target", String(320), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("request_id", String(128)),
    Column("facts", Text, nullable=False),  # JSON, as it was signed
    Column("signature", String(64), nullable=False),
    Index(None, "tenant", "at"),
)

# One row: the newest event, which writers take turns at, and by which a cut-off end is noticed.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("signature", String(64), nullable=False),
)

# Answers by their Idempotency-Key: one row while the work goes on, and the answer itself afterwards.
idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("id", String(64), primary_key=True),  # keyed hash of principal, route and key
    Column("tenant", Tenant, nullable=False),
    Column("fingerprint", String(64), nullable=False),  # keyed hash of the payload
    Column("owner", String(32), nullable=False),  # the request that does the work
    Column("status", Integer),  # null: in flight
    Column("content_type", String(128)),
    Column("body", LargeBinary),  # sealed
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)
