"""People and programs that sign in."""

from __future__ import annotations

from sqlalchemy import Boolean, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from task_app.extensions import Model
from task_app.models.columns import Seq, String

ADMIN = "admin"
MEMBER = "member"


class User(Model):
    """`password_hash` is null for accounts whose tokens come from another issuer.

    `token_generation` is written into each token; raising it ends every token of the user.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    username: Mapped[str] = mapped_column(String(150))
    email: Mapped[str | None] = mapped_column(String(254))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16), default=MEMBER)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    date_joined: Mapped[str] = mapped_column(String(27))
    last_login: Mapped[str | None] = mapped_column(String(27))
    token_generation: Mapped[int] = mapped_column(Integer, default=0)
    # "issuer|subject" of an account whose tokens are made elsewhere.
    external_id: Mapped[str | None] = mapped_column(String(512), unique=True)
    # The event up to which a change of role altered what this user sees, without an event for
    # each task: whoever resumes from before it must read the list again.
    sight_seq: Mapped[int] = mapped_column(Seq, default=0)

    # Names are unique whatever their case: "Alice" must not pass for "alice".
    __table_args__ = (
        Index("ix_users_username", func.lower(username), unique=True),
        Index("ix_users_email", func.lower(email), unique=True),
        {"sqlite_autoincrement": True},
    )
