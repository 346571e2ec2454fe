"""What happened to tasks, the newest first: the event log, as one may see it.

It is read along `event_rooms`, as a replay is: whoever may have had an event live may read it
here, and nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, select, union

from task_app import events
from task_app.access import Actor
from task_app.errors import invalid
from task_app.extensions import table
from task_app.models import Event as EventRow
from task_app.models import EventRoom, User
from task_app.pages import Page
from task_app.schemas.fields import MAX_SEQ
from task_app.transactions import Transaction

_EVENTS = table(EventRow)
_USERS = table(User)
TYPES = ("task_created", "task_updated", "task_status_changed", "task_deleted", "task_removed")
# Among the events one may see are notifications and broadcasts, which are no activity: so many
# events are looked at for each that is asked for, and the cursor goes on from there.
WINDOW = 4
DAMAGED = (*events.UNREADABLE, KeyError)
_KEPT = ("title", "status", "priority", "due_date", "user_id", "assigned_to")


def list_activity(tx: Transaction, actor: Actor, query: Mapping[str, Any]) -> Page:
    """A page of what happened to the tasks this actor may see, the newest first.

    Such a page can be shorter than asked for, even empty, and still have a next one.
    """
    limit = query["limit"]
    numbers = _numbers(tx, actor, _before(query), limit * WINDOW)
    found = (
        select(_EVENTS, _USERS.c.username)
        .outerjoin(_USERS, _USERS.c.id == _EVENTS.c.actor_id)
        .where(_EVENTS.c.seq.in_(numbers), _EVENTS.c.type.in_(TYPES))
        .order_by(_EVENTS.c.seq.desc())
        .limit(limit + 1)
    )
    happened = _read(tx, found)
    cursor = None
    if len(happened) > limit:
        cursor = str(happened[limit - 1][0])
    elif len(numbers) == limit * WINDOW:
        cursor = str(numbers[-1])
    return Page([one for _, one in happened[:limit] if one], cursor)


def _read(tx: Transaction, found: Select[Any]) -> list[tuple[int, dict[str, Any] | None]]:
    """What happened, by number; None where somebody has damaged the row."""
    try:
        return [(row.seq, _activity(row)) for row in tx.execute(found)]
    except DAMAGED:
        numbers = tx.execute(found.with_only_columns(_EVENTS.c.seq)).scalars().all()
        return [(seq, _alone(tx, found.where(_EVENTS.c.seq == seq))) for seq in numbers]


def _alone(tx: Transaction, found: Select[Any]) -> dict[str, Any] | None:
    try:
        return _activity(tx.execute(found).one())
    except DAMAGED:
        return None


def _before(query: Mapping[str, Any]) -> int:
    """The number the page comes before.  Raises 400 for a cursor that is none."""
    cursor = query.get("cursor", str(MAX_SEQ))
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 19 and int(cursor) <= MAX_SEQ):
        raise invalid({"cursor": ["Must be the cursor of a page of this list."]})
    return int(cursor)


def _numbers(tx: Transaction, actor: Actor, before: int, most: int) -> Sequence[int]:
    """The numbers of the last events before `before` that this actor may see."""
    floor = events.log_state(tx).floor
    lasts = [
        select(EventRoom.seq)
        .where(EventRoom.room == room, EventRoom.seq < before, EventRoom.seq > floor)
        .order_by(EventRoom.seq.desc())
        .limit(most)
        for room in sorted(actor.rooms)
    ]
    together = union(*(select(part.subquery()) for part in lasts)).subquery()
    statement = select(together.c.seq).order_by(together.c.seq.desc()).limit(most)
    return tx.execute(statement).scalars().all()


def _activity(row: Row[Any]) -> dict[str, Any]:
    """`task` is what is short of the task as it was then; None for one out of sight."""
    kept = None
    if row.type != "task_removed":
        kept = {name: row.data[name] for name in _KEPT}
    return {
        "seq": row.seq,
        "type": row.type,
        "task_id": row.task_id,
        "actor_id": row.actor_id,
        "actor": row.username,
        "changes": row.changes,
        "task": kept,
        "at": row.created_at,
    }
