"""The processes that serve one database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from task_app.extensions import Model
from task_app.models.columns import String


class Process(Model):
    """What a process last said of itself: open connections, how many of them are signed in, and
    the ids of the accounts that are.

    A row that has not been written for a while is that of a process that was killed.
    """

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    clients: Mapped[int] = mapped_column(Integer)
    signed_in: Mapped[int] = mapped_column(Integer)
    people: Mapped[Any] = mapped_column(JSON, server_default="[]")
    seen_at: Mapped[str] = mapped_column(String(27))

    __table_args__ = (Index("ix_processes_seen_at", "seen_at"),)
