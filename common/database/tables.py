"""All tables. Migrations are made from here (`make migration`), and a test compares the two on both databases."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
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

from common.database.columns import CurrencyAmount, ExactDecimal, UtcDateTime

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

# One row: which programs the schema takes; see `common.database.schema_versions`. Migrating writes it.
schema_support = Table(
    "schema_support",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("oldest_program", String(32), nullable=False),
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

# Entries are only added: triggers refuse anything else. A correction is an entry that takes another one back.
ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("kind", String(16), nullable=False),  # call, reversal
    Column("reverses", Id, unique=True),  # the entry that a reversal takes back, once
    Column("request_id", String(128), nullable=False, index=True),
    Column("trace_id", String(32), nullable=False),
    Column("tenant", Tenant, nullable=False),
    Column("principal", PrincipalId, nullable=False),
    Column("session_id", String(64)),
    Column("agent", String(64)),
    Column("step", String(32), nullable=False),  # draft, critique, embed, search
    Column("route", String(128), nullable=False),  # "POST /api/query", or the command
    Column("lane", String(16), nullable=False),  # default, cheap
    Column("provider", String(64), nullable=False),
    Column("model_asked", String(128), nullable=False),
    Column("model_answered", String(128)),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("thinking_tokens", BigInteger, nullable=False),
    Column("tool_tokens", BigInteger, nullable=False),
    Column("cost_usd", ExactDecimal),  # null: the price, or what was used, is not known
    Column("bound_usd", ExactDecimal),  # what the call could cost at most, as it was reserved; null: not known
    Column("content_mark", String(64)),  # keyed hash of what was sent: equal where the same was sent again
    Column("duration_ms", Float, nullable=False),
    Column("outcome", String(32), nullable=False),  # ok, lost, or the error's type
    Index(None, "principal", "created_at"),
    Index(None, "tenant", "created_at"),
)

# The entries of a day (UTC) that are alike, added up in the transaction that adds them.
ledger_days = Table(
    "ledger_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("tenant", Tenant, primary_key=True),
    Column("principal", PrincipalId, primary_key=True),
    Column("agent", String(64), primary_key=True),  # "" where there is none
    Column("step", String(32), primary_key=True),
    Column("route", String(128), primary_key=True),
    Column("lane", String(16), primary_key=True),
    Column("provider", String(64), primary_key=True),
    Column("model", String(128), primary_key=True),  # that answered, or else was asked
    Column("calls", BigInteger, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),
    Column("lost_calls", BigInteger, nullable=False),  # a part of the unpriced ones
    Column("lost_usd", ExactDecimal, nullable=False),  # what those can have cost at most
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("thinking_tokens", BigInteger, nullable=False),
    Column("tool_tokens", BigInteger, nullable=False),
    Column("cost_usd", ExactDecimal, nullable=False),
)

# A paid call from before it is made until its entry is in the ledger: what a process that was killed has begun.
open_calls = Table(
    "open_calls",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("lapses_at", UtcDateTime, nullable=False, index=True),
    Column("request_id", String(128), nullable=False),
    Column("trace_id", String(32), nullable=False),
    Column("tenant", Tenant, nullable=False),
    Column("principal", PrincipalId, nullable=False),
    Column("session_id", String(64)),
    Column("agent", String(64)),
    Column("step", String(32), nullable=False),
    Column("route", String(128), nullable=False),
    Column("lane", String(16), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("model_asked", String(128), nullable=False),
    Column("bound_usd", ExactDecimal),
)

# A budget in one of its periods: what is spent of it. What it may be stands in the settings.
budget_periods = Table(
    "budget_periods",
    metadata,
    Column("counter", String(320), primary_key=True),  # scope, period and time zone, as one text
    Column("starts_at", UtcDateTime, primary_key=True),
    Column("spent_usd", ExactDecimal, nullable=False),
)

# What an open call holds of a budget until it is closed.
budget_holds = Table(
    "budget_holds",
    metadata,
    Column("open_call", ForeignKey("open_calls.id", ondelete="CASCADE"), primary_key=True),
    Column("counter", String(320), primary_key=True),
    Column("starts_at", UtcDateTime, primary_key=True),
    Column("amount_usd", ExactDecimal, nullable=False),
    Index(None, "counter", "starts_at"),
)

# Google's budgets, as their notifications tell: the newest state of each interval.
cloud_budgets = Table(
    "cloud_budgets",
    metadata,
    Column("budget_id", String(128), primary_key=True),
    Column("interval_start", UtcDateTime, primary_key=True),
    Column("billing_account_id", String(64), nullable=False),
    Column("display_name", String(128), nullable=False),
    Column("cost_amount", CurrencyAmount, nullable=False),
    Column("budget_amount", CurrencyAmount, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("actual_threshold", ExactDecimal),  # the highest that a notice went out for, as a fraction
    Column("forecast_threshold", ExactDecimal),
    Column("updated_at", UtcDateTime, nullable=False),
)

# Notices to people. A key that is kept is not told of a second time, so they stay long after they were delivered.
notices = Table(
    "notices",
    metadata,
    Column("key", String(200), primary_key=True),  # the same notice is not given twice
    Column("kind", String(32), nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    Column("created_at", UtcDateTime, nullable=False),
    Column("claimed_at", UtcDateTime),  # by the process that is delivering it
    Column("sent_at", UtcDateTime, index=True),  # from when on retention counts
    Column("attempts", Integer, nullable=False),
    Column("last_error", String(64)),
)

# One row an answered query, without its words: what savings and cost per answer are worked out from.
answer_facts = Table(
    "answer_facts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("request_id", String(128), nullable=False, index=True),
    Column("tenant", Tenant, nullable=False),
    Column("principal", PrincipalId, nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("agent", String(64), nullable=False),
    Column("intent", String(64)),
    Column("lane", String(16), nullable=False),  # default, cheap; "" where no model was asked
    Column("model", String(128)),
    Column("answered", Boolean, nullable=False),
    Column("accepted", Boolean, nullable=False),  # its critique score reached the threshold
    Column("critique_score", Float),
    Column("critique_rounds", Integer, nullable=False),
    Column("question_mark", String(64)),  # keyed hash of the question; null in a session, or when it was deleted
    Column("knowledge_generation", BigInteger, nullable=False),
    Column("evidence_tokens", BigInteger, nullable=False),  # of the passages that the model was given, about
    Column("cited_tokens", BigInteger, nullable=False),  # of those among them that were cited
    Column("history_tokens", BigInteger, nullable=False),
    Column("is_follow_up", Boolean, nullable=False),  # it reads as if it needs what came before
    Column("degraded", JSON, nullable=False),
    Index(None, "tenant", "question_mark"),
)

answer_days = Table(
    "answer_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("tenant", Tenant, primary_key=True),
    Column("principal", PrincipalId, primary_key=True),
    Column("agent", String(64), primary_key=True),
    Column("answers", BigInteger, nullable=False),
    Column("answered", BigInteger, nullable=False),
)

# Where money could be saved, as the last analysis found it.
savings_findings = Table(
    "savings_findings",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", Tenant, nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("period_start", UtcDateTime, nullable=False),
    Column("period_end", UtcDateTime, nullable=False),
    Column("usd_per_month", ExactDecimal, nullable=False),
    Column("finding", Text, nullable=False),  # JSON
    Column("entry_ids", LargeBinary, nullable=False),  # all of them, as packed numbers
    Column("replay", Text),  # JSON: what a replay measured
)

# Scheduled reports: one a period, whoever calls how often.
report_runs = Table(
    "report_runs",
    metadata,
    Column("period", String(96), primary_key=True),  # its label, with the tenant's name where it is about one alone
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("owner", String(32), nullable=False),  # the request that does the work
    Column("files", JSON),  # what is archived where
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
