"""What a user is told about tasks that concern them."""

from __future__ import annotations

from sqlalchemy import Boolean, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from task_app.extensions import Model
from task_app.models.columns import String


class Notification(Model):
    """`task_id` is not a foreign key: the notice outlives the task."""

    __tablename__ = "notifications"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    task_id: Mapped[int | None] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(String(500))
    is_read: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[str] = mapped_column(String(27))

    __table_args__ = (
        Index("ix_notifications_user", user_id, "id"),
        {"sqlite_autoincrement": True},
    )
