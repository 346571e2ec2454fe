"""Which request caused an event."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("request_id", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("events", "request_id")
