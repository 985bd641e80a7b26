"""${message}."""

import sqlalchemy as sa
from alembic import op

from common.database.columns import ExactDecimal, UtcDateTime

revision = "${up_revision}"
down_revision = "${down_revision}"

# The oldest program that runs on this schema. Leave it where this only adds: tables, indexes, columns that may be null.
# Whatever takes away or refuses what an older program needs or writes states the version from which on none does.
oldest_program = "${oldest_program}"
downgrade_loses = ""  # in a few words, what is stored that a step down deletes; empty: nothing


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
