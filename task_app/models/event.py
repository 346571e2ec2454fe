"""The event log: what happened, in commit order, without holes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Integer
from sqlalchemy.orm import Mapped, mapped_column

from task_app.extensions import Model
from task_app.models.columns import Seq, String


class LogHead(Model):
    """The one row that counts: `seq` of the last event, and the `epoch` of this log.

    It is updated last in each transaction.  On PostgreSQL its row lock makes commit order and
    `seq` order the same; a rollback gives the number back, so there are no holes.  `floor` is
    the last event that was pruned: nobody can resume from before it.
    """

    __tablename__ = "log_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    seq: Mapped[int] = mapped_column(Seq, default=0)
    floor: Mapped[int] = mapped_column(Seq, default=0)
    epoch: Mapped[str] = mapped_column(String(32))
    # TASK_VISIBILITY under which the audience of each event was chosen.
    visibility: Mapped[str | None] = mapped_column(String(16))


class Event(Model):
    """`data` is the snapshot after the change, `changes` the fields that moved, `rooms` the
    audience; `rooms` stands here for the relay and in `event_rooms` for replays.  `request_id` is
    that of the request that caused it, None for what the server did by itself."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(64))
    task_id: Mapped[int | None] = mapped_column(Integer)
    actor_id: Mapped[int | None] = mapped_column(Integer)
    data: Mapped[Any] = mapped_column(JSON)
    changes: Mapped[Any] = mapped_column(JSON)
    rooms: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[str] = mapped_column(String(27))
    request_id: Mapped[str | None] = mapped_column(String(64))


class EventRoom(Model):
    """Index of the log by audience: a replay reads what its reader may see and nothing else."""

    __tablename__ = "event_rooms"

    room: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=False)

    __table_args__ = ({"sqlite_with_rowid": False},)
