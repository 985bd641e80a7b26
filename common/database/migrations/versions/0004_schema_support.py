"""Which programs the schema takes; and an index for the retention of notices.

It only adds: programs of version 0003 run on it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
oldest_program = "0003"
downgrade_loses = ""


def upgrade() -> None:
    op.create_table(
        "schema_support",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("oldest_program", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_schema_support"),
    )
    op.create_index("ix_notices_sent_at", "notices", ["sent_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_notices_sent_at", table_name="notices")
    op.drop_table("schema_support")
