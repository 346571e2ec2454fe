"""The task."""

from __future__ import annotations

from sqlalchemy import Computed, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from task_app.extensions import Model
from task_app.models.columns import String, Text

STATUSES = ("todo", "in_progress", "completed")
PRIORITIES = ("low", "medium", "high")
DONE = "completed"
TITLE_LENGTH = 200
DESCRIPTION_LENGTH = 10_000
# Sort keys: no due date sorts after every date, priorities by weight and not by letter.
DUE_KEY = "coalesce(due_date, '9999-12-31')"
PRIORITY_KEY = "CASE priority WHEN 'low' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END"


class Task(Model):
    """`version` counts the changes from 1; `done` is not kept, it is `status == "completed"`."""

    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str] = mapped_column(String(TITLE_LENGTH))
    description: Mapped[str | None] = mapped_column(Text())
    status: Mapped[str] = mapped_column(String(16), default=STATUSES[0])
    priority: Mapped[str] = mapped_column(String(16), default="medium")
    due_date: Mapped[str | None] = mapped_column(String(10))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    # Not a foreign key: who made a task stays known when the account is gone.
    created_by: Mapped[int] = mapped_column(Integer)
    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[str] = mapped_column(String(27))
    updated_at: Mapped[str] = mapped_column(String(27))
    version: Mapped[int] = mapped_column(Integer, default=1)
    # The due date its people were last reminded of.
    reminded_of: Mapped[str | None] = mapped_column(String(10))
    # The sort keys as columns, because SQLite starts at a cursor's place in an index
    # (`(key, id) > (?, ?)`) only when the key is a column; else it reads up to there.
    due_key: Mapped[str] = mapped_column(String(10), Computed(DUE_KEY, persisted=True))
    priority_key: Mapped[int] = mapped_column(Integer, Computed(PRIORITY_KEY, persisted=True))

    # A member's list reads by owner and by assignee; an admin's by one filter or sort over all.
    # (On SQLite the migration leaves out the trailing id, which is there anyway; it says why.)
    # The two `…_list` have all that a member may filter and sort by, so that only the rows of
    # the page itself are read; the keys from what they are made of, because to SQLite an index
    # never covers a query that names a generated column.
    __table_args__ = (
        Index("ix_tasks_user", user_id, "id"),
        Index(
            "ix_tasks_user_list",
            *(user_id, status, due_date, priority, updated_at, title, assigned_to),
        ),
        Index("ix_tasks_assignee", assigned_to, "id"),
        Index(
            "ix_tasks_assignee_list",
            *(assigned_to, status, due_date, priority, updated_at, title, user_id),
            # Most tasks are nobody's but their owner's: those need not be written here.
            sqlite_where=assigned_to.isnot(None),
            postgresql_where=assigned_to.isnot(None),
        ),
        Index("ix_tasks_status", status, "id"),
        Index("ix_tasks_due", due_key, "id"),
        Index("ix_tasks_priority", priority_key, "id"),
        Index("ix_tasks_updated", updated_at, "id"),
        Index("ix_tasks_title", title, "id"),
        # An id is never given twice, or a late event would speak of another task.
        {"sqlite_autoincrement": True},
    )
