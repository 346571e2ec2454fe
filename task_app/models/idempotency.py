"""Answers kept so that a retry gets the first one again instead of doing the work twice."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from task_app.extensions import Model
from task_app.models.columns import Seq, String

KEY_LENGTH = 128


class IdempotencyKey(Model):
    """One answer.  `fingerprint` is a digest of the command and its payload: the same key with
    another payload is a client's mistake."""

    __tablename__ = "idempotency_keys"

    actor_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    body: Mapped[Any] = mapped_column(JSON)
    first_seq: Mapped[int | None] = mapped_column(Seq)
    created_at: Mapped[str] = mapped_column(String(27))

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)
