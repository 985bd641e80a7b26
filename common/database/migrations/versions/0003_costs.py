"""The costs: what calls begin, what days and budgets add up, what answers were like, notices and findings.

What stands in the ledger already was made by `POST /api/query` or `POST /api/documents`, on the default lane.
"""

from collections import defaultdict
from decimal import Decimal

import sqlalchemy as sa
from alembic import op

from common.database.columns import CurrencyAmount, ExactDecimal, UtcDateTime

revision = "0003"
down_revision = "0002"
downgrade_loses = "budgets, notices, report runs, answer facts and what the ledger says of lanes, routes and reversals"

QUERY = "POST /api/query"
DOCUMENTS = "POST /api/documents"
ROWS_AT_ONCE = 5000
OF_A_DAY = ("tenant", "principal", "agent", "step", "route", "lane", "provider")
TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens", "thinking_tokens", "tool_tokens")
COUNTS = ("calls", "unpriced_calls", "lost_calls", *TOKENS)

APPEND_ONLY = {
    "sqlite": [
        "CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries "
        "BEGIN SELECT raise(ABORT, 'ledger_entries is append-only'); END",
        "CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries "
        "BEGIN SELECT raise(ABORT, 'ledger_entries is append-only'); END",
    ],
    "postgresql": [
        "CREATE FUNCTION ledger_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'ledger_entries is append-only'; END $$",
        "CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_append_only()",
    ],
}
CHANGEABLE = {
    "sqlite": ["DROP TRIGGER ledger_entries_no_update", "DROP TRIGGER ledger_entries_no_delete"],
    "postgresql": [
        "DROP TRIGGER ledger_entries_append_only ON ledger_entries",
        "DROP FUNCTION ledger_entries_append_only()",
    ],
}


def upgrade() -> None:
    op.create_table(
        "answer_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("answers", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "tenant", "principal", "agent", name="pk_answer_days"),
    )
    op.create_table(
        "answer_facts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("intent", sa.String(length=64), nullable=True),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("critique_score", sa.Float(), nullable=True),
        sa.Column("critique_rounds", sa.Integer(), nullable=False),
        sa.Column("question_mark", sa.String(length=64), nullable=True),
        sa.Column("knowledge_generation", sa.BigInteger(), nullable=False),
        sa.Column("evidence_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cited_tokens", sa.BigInteger(), nullable=False),
        sa.Column("history_tokens", sa.BigInteger(), nullable=False),
        sa.Column("is_follow_up", sa.Boolean(), nullable=False),
        sa.Column("degraded", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_answer_facts"),
    )
    with op.batch_alter_table("answer_facts") as batch:
        batch.create_index("ix_answer_facts_created_at", ["created_at"], unique=False)
        batch.create_index("ix_answer_facts_request_id", ["request_id"], unique=False)
        batch.create_index("ix_answer_facts_tenant_question_mark", ["tenant", "question_mark"], unique=False)

    op.create_table(
        "budget_periods",
        sa.Column("counter", sa.String(length=320), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("spent_usd", ExactDecimal(), nullable=False),
        sa.PrimaryKeyConstraint("counter", "starts_at", name="pk_budget_periods"),
    )
    op.create_table(
        "cloud_budgets",
        sa.Column("budget_id", sa.String(length=128), nullable=False),
        sa.Column("interval_start", UtcDateTime(), nullable=False),
        sa.Column("billing_account_id", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=128), nullable=False),
        sa.Column("cost_amount", CurrencyAmount(), nullable=False),
        sa.Column("budget_amount", CurrencyAmount(), nullable=False),
        sa.Column("currency", sa.String(length=8), nullable=False),
        sa.Column("actual_threshold", ExactDecimal(), nullable=True),
        sa.Column("forecast_threshold", ExactDecimal(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("budget_id", "interval_start", name="pk_cloud_budgets"),
    )
    op.create_table(
        "ledger_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("route", sa.String(length=128), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False),
        sa.Column("lost_calls", sa.BigInteger(), nullable=False),
        sa.Column("lost_usd", ExactDecimal(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("thinking_tokens", sa.BigInteger(), nullable=False),
        sa.Column("tool_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", ExactDecimal(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "tenant", "principal", "agent", "step", "route", "lane", "provider", "model", name="pk_ledger_days"
        ),
    )
    op.create_table(
        "notices",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("claimed_at", UtcDateTime(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_notices"),
    )
    op.create_table(
        "open_calls",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("lapses_at", UtcDateTime(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=True),
        sa.Column("agent", sa.String(length=64), nullable=True),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("route", sa.String(length=128), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model_asked", sa.String(length=128), nullable=False),
        sa.Column("bound_usd", ExactDecimal(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_open_calls"),
    )
    with op.batch_alter_table("open_calls") as batch:
        batch.create_index("ix_open_calls_lapses_at", ["lapses_at"], unique=False)

    op.create_table(
        "report_runs",
        sa.Column("period", sa.String(length=96), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("files", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("period", name="pk_report_runs"),
    )
    op.create_table(
        "savings_findings",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("period_start", UtcDateTime(), nullable=False),
        sa.Column("period_end", UtcDateTime(), nullable=False),
        sa.Column("usd_per_month", ExactDecimal(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("entry_ids", sa.LargeBinary(), nullable=False),
        sa.Column("replay", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_savings_findings"),
    )
    with op.batch_alter_table("savings_findings") as batch:
        batch.create_index("ix_savings_findings_tenant", ["tenant"], unique=False)

    op.create_table(
        "budget_holds",
        sa.Column("open_call", sa.String(length=32), nullable=False),
        sa.Column("counter", sa.String(length=320), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("amount_usd", ExactDecimal(), nullable=False),
        sa.ForeignKeyConstraint(["open_call"], ["open_calls.id"], name="fk_budget_holds_open_call", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("open_call", "counter", "starts_at", name="pk_budget_holds"),
    )
    with op.batch_alter_table("budget_holds") as batch:
        batch.create_index("ix_budget_holds_counter_starts_at", ["counter", "starts_at"], unique=False)

    with op.batch_alter_table("ledger_entries") as batch:
        batch.add_column(sa.Column("kind", sa.String(length=16), nullable=False, server_default="call"))
        batch.add_column(sa.Column("reverses", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
        batch.add_column(sa.Column("route", sa.String(length=128), nullable=False, server_default=QUERY))
        batch.add_column(sa.Column("lane", sa.String(length=16), nullable=False, server_default="default"))
        batch.add_column(sa.Column("bound_usd", ExactDecimal(), nullable=True))
        batch.add_column(sa.Column("content_mark", sa.String(length=64), nullable=True))
        batch.create_index("ix_ledger_entries_tenant_created_at", ["tenant", "created_at"], unique=False)
        batch.create_unique_constraint("uq_ledger_entries_reverses", ["reverses"])
    # Documents are embedded outside a session, questions within one.
    op.execute(f"UPDATE ledger_entries SET route = '{DOCUMENTS}' WHERE step = 'embed' AND session_id IS NULL")  # noqa: S608
    with op.batch_alter_table("ledger_entries") as batch:
        for column in ("kind", "route", "lane"):
            batch.alter_column(column, server_default=None)
    _add_up()
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def _add_up() -> None:
    """The days of what is in the ledger. In Python, for SQLite keeps decimals as text."""
    entries = sa.table(
        "ledger_entries", sa.column("id"), sa.column("created_at", UtcDateTime()),
        *map(sa.column, (*OF_A_DAY, "model_asked", "model_answered", *TOKENS)), sa.column("cost_usd", ExactDecimal()),
    )  # fmt: skip
    days: defaultdict[tuple[object, ...], list[int]] = defaultdict(lambda: [0] * (2 + len(TOKENS)))
    costs: defaultdict[tuple[object, ...], Decimal] = defaultdict(Decimal)
    bind = op.get_bind()
    last = 0
    while True:
        query = sa.select(entries).where(entries.c.id > last).order_by(entries.c.id).limit(ROWS_AT_ONCE)
        rows = bind.execute(query).all()
        if not rows:
            break
        for row in rows:
            values = row._mapping
            named = {name: values[name] or "" for name in OF_A_DAY}
            key = (row.created_at.date(), *named.values(), row.model_answered or row.model_asked)
            sums = [1, int(row.cost_usd is None), *(values[name] for name in TOKENS)]
            days[key] = [before + more for before, more in zip(days[key], sums, strict=True)]
            costs[key] += row.cost_usd or Decimal(0)
            last = row.id
    table = sa.table(
        "ledger_days", sa.column("day", sa.Date()), *map(sa.column, (*OF_A_DAY, "model", *COUNTS)),
        sa.column("lost_usd", ExactDecimal()), sa.column("cost_usd", ExactDecimal()),
    )  # fmt: skip
    names = ("day", *OF_A_DAY, "model")
    counted = ("calls", "unpriced_calls", *TOKENS)
    for key, sums in days.items():
        summed = dict(zip(names, key, strict=True)) | dict(zip(counted, sums, strict=True))
        bind.execute(sa.insert(table).values(**summed, lost_calls=0, lost_usd=Decimal(0), cost_usd=costs[key]))


def downgrade() -> None:
    for statement in CHANGEABLE[op.get_bind().dialect.name]:
        op.execute(statement)
    with op.batch_alter_table("ledger_entries") as batch:
        batch.drop_constraint("uq_ledger_entries_reverses", type_="unique")
        batch.drop_index("ix_ledger_entries_tenant_created_at")
        batch.drop_column("content_mark")
        batch.drop_column("bound_usd")
        batch.drop_column("lane")
        batch.drop_column("route")
        batch.drop_column("reverses")
        batch.drop_column("kind")

    with op.batch_alter_table("budget_holds") as batch:
        batch.drop_index("ix_budget_holds_counter_starts_at")

    op.drop_table("budget_holds")
    with op.batch_alter_table("savings_findings") as batch:
        batch.drop_index("ix_savings_findings_tenant")

    op.drop_table("savings_findings")
    op.drop_table("report_runs")
    with op.batch_alter_table("open_calls") as batch:
        batch.drop_index("ix_open_calls_lapses_at")

    op.drop_table("open_calls")
    op.drop_table("notices")
    op.drop_table("ledger_days")
    op.drop_table("cloud_budgets")
    op.drop_table("budget_periods")
    with op.batch_alter_table("answer_facts") as batch:
        batch.drop_index("ix_answer_facts_tenant_question_mark")
        batch.drop_index("ix_answer_facts_request_id")
        batch.drop_index("ix_answer_facts_created_at")

    op.drop_table("answer_facts")
    op.drop_table("answer_days")
