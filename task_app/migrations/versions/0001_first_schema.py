"""The first schema."""

import secrets

import sqlalchemy as sa
from alembic import op

from task_app.models.columns import Seq, String, Text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_rooms",
        sa.Column("room", String(64), nullable=False),
        sa.Column("seq", Seq, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("room", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("seq", Seq, autoincrement=False, nullable=False),
        sa.Column("type", String(64), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("rooms", sa.JSON(), nullable=False),
        sa.Column("created_at", String(27), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("actor_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", String(128), nullable=False),
        sa.Column("fingerprint", String(64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("first_seq", Seq, nullable=True),
        sa.Column("created_at", String(27), nullable=False),
        sa.PrimaryKeyConstraint("actor_id", "key"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])

    op.create_table(
        "log_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seq", Seq, nullable=False),
        sa.Column("floor", Seq, nullable=False),
        sa.Column("epoch", String(32), nullable=False),
        sa.Column("visibility", String(16), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("clients", sa.Integer(), nullable=False),
        sa.Column("signed_in", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_processes_seen_at", "processes", ["seen_at"])

    op.create_table(
        "revoked_tokens",
        sa.Column("session", String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )
    op.create_index("ix_revoked_tokens_expires_at", "revoked_tokens", ["expires_at"])

    op.create_table(
        "tickets",
        sa.Column("digest", String(64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("session", String(64), nullable=False),
        sa.Column("token_generation", sa.Integer(), nullable=False),
        sa.Column("token_expires_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_tickets_expires_at", "tickets", ["expires_at"])
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", String(150), nullable=False),
        sa.Column("email", String(254), nullable=True),
        sa.Column("password_hash", String(255), nullable=True),
        sa.Column("role", String(16), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("date_joined", String(27), nullable=False),
        sa.Column("last_login", String(27), nullable=True),
        sa.Column("token_generation", sa.Integer(), nullable=False),
        sa.Column("external_id", String(512), nullable=True),
        sa.Column("sight_seq", Seq, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("external_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("kind", String(32), nullable=False),
        sa.Column("message", String(500), nullable=False),
        sa.Column("is_read", sa.Boolean(), nullable=False),
        sa.Column("created_at", String(27), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_user", "notifications", ["user_id", "id"])

    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title", String(200), nullable=False),
        sa.Column("description", Text(), nullable=True),
        sa.Column("status", String(16), nullable=False),
        sa.Column("priority", String(16), nullable=False),
        sa.Column("due_date", String(10), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.Column("assigned_to", sa.Integer(), nullable=True),
        sa.Column("created_at", String(27), nullable=False),
        sa.Column("updated_at", String(27), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reminded_of", String(10), nullable=True),
        sa.Column(
            "due_key",
            String(10),
            sa.Computed("coalesce(due_date, '9999-12-31')", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "priority_key",
            sa.Integer(),
            sa.Computed(
                "CASE priority WHEN 'low' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END", persisted=True
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["assigned_to"],
            ["users.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    # In order of a column, then of id.  SQLite ends every index with the id itself, and finds
    # the place of a (column, id) in it only if the index does not name the id again.
    then_id = [] if op.get_bind().dialect.name == "sqlite" else ["id"]
    op.create_index("ix_tasks_assignee", "tasks", ["assigned_to", *then_id])
    op.create_index("ix_tasks_due", "tasks", ["due_key", *then_id])
    op.create_index("ix_tasks_priority", "tasks", ["priority_key", *then_id])
    op.create_index("ix_tasks_status", "tasks", ["status", *then_id])
    op.create_index("ix_tasks_title", "tasks", ["title", *then_id])
    op.create_index("ix_tasks_updated", "tasks", ["updated_at", *then_id])
    op.create_index("ix_tasks_user", "tasks", ["user_id", *then_id])
    # All that a member may filter and sort by, for those they own and those assigned to them.
    columns = ["status", "due_date", "priority", "updated_at", "title"]
    op.create_index("ix_tasks_user_list", "tasks", ["user_id", *columns, "assigned_to"])
    assigned = sa.text("assigned_to IS NOT NULL")
    op.create_index(
        "ix_tasks_assignee_list",
        "tasks",
        ["assigned_to", *columns, "user_id"],
        sqlite_where=assigned,
        postgresql_where=assigned,
    )

    # Expressions, so written by hand: Alembic does not see them.
    op.create_index("ix_users_username", "users", [sa.text("lower(username)")], unique=True)
    op.create_index("ix_users_email", "users", [sa.text("lower(email)")], unique=True)
    op.execute(
        sa.table(
            "log_head", sa.column("id"), sa.column("seq"), sa.column("floor"), sa.column("epoch")
        )
        .insert()
        .values(id=1, seq=0, floor=0, epoch=secrets.token_hex(8))
    )


def downgrade() -> None:
    op.drop_index("ix_tasks_assignee_list", "tasks")
    op.drop_index("ix_tasks_user_list", "tasks")
    op.drop_index("ix_tasks_user", "tasks")
    op.drop_index("ix_tasks_updated", "tasks")
    op.drop_index("ix_tasks_title", "tasks")
    op.drop_index("ix_tasks_status", "tasks")
    op.drop_index("ix_tasks_priority", "tasks")
    op.drop_index("ix_tasks_due", "tasks")
    op.drop_index("ix_tasks_assignee", "tasks")

    op.drop_table("tasks")
    op.drop_index("ix_notifications_user", "notifications")

    op.drop_table("notifications")
    op.drop_table("tickets")
    op.drop_table("users")
    op.drop_index("ix_revoked_tokens_expires_at", "revoked_tokens")

    op.drop_table("revoked_tokens")
    op.drop_index("ix_processes_seen_at", "processes")

    op.drop_table("processes")
    op.drop_table("log_head")
    op.drop_index("ix_idempotency_keys_created_at", "idempotency_keys")

    op.drop_table("idempotency_keys")
    op.drop_table("events")
    op.drop_table("event_rooms")
