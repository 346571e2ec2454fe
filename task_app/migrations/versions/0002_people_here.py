"""Who is signed in at each process."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("processes", sa.Column("people", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("processes", "people")
