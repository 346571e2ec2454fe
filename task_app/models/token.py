"""Tokens that were ended before they expired, and tickets that stand for one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from task_app.extensions import Model
from task_app.models.columns import String


class Ticket(Model):
    """A one-use pass for a socket or a stream, for clients that cannot send a header.

    `digest` is of the ticket, which itself is kept nowhere; `session`, `token_generation`
    and `token_expires_at` are those of the token it stands for.
    """

    __tablename__ = "tickets"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(Integer)
    session: Mapped[str] = mapped_column(String(64))
    token_generation: Mapped[int] = mapped_column(Integer)
    token_expires_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)


class RevokedToken(Model):
    """`session` is the id that an access token and its refresh token share; after `expires_at`
    (Unix seconds) neither could be used anyway and the row can go."""

    __tablename__ = "revoked_tokens"

    session: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_revoked_tokens_expires_at", "expires_at"),)
