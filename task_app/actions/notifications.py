"""Telling people about tasks that concern them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update

from task_app import events, queries
from task_app.access import Actor
from task_app.actions.call import Call
from task_app.extensions import table
from task_app.models import Notification, Task
from task_app.models.task import DONE
from task_app.transactions import Transaction

_NOTIFICATIONS = table(Notification)
_TASKS = table(Task)
_INSERT = insert(_NOTIFICATIONS).returning(_NOTIFICATIONS)

MESSAGES = {
    "assigned": 'You were assigned "{title}"',
    "unassigned": 'You are no longer assigned "{title}"',
    "moved": '"{title}" moved to "{status}"',
    "completed": '"{title}" is done',
    "due": '"{title}" is due on {due_date}',
}
STATUS_WORDS = {"todo": "to do", "in_progress": "in progress", "completed": "done"}
REMINDERS_AT_ONCE = 500


def notify(
    tx: Transaction, actor: Actor, kind: str, task: Mapping[str, Any], people: Iterable[int | None]
) -> None:
    """Make a notification of this kind for each of `people` but the actor."""
    text = MESSAGES[kind].format(
        title=task["title"], status=STATUS_WORDS[task["status"]], due_date=task["due_date"]
    )
    for user_id in sorted({person for person in people if person not in (None, actor.id)}):
        values = {
            "user_id": user_id,
            "task_id": task["id"],
            "kind": kind,
            "message": text,
            "is_read": False,
            "created_at": tx.now,
        }
        notice = queries.notification_dict(tx.execute(_INSERT, values).one())
        events.record(tx, actor, "notification_created", notice, task_id=task["id"])


def notify_of_change(
    tx: Transaction, actor: Actor, before: Mapping[str, Any] | None, task: Mapping[str, Any]
) -> None:
    """The notifications that follow from a task being made (`before` is None) or changed."""
    old = before or {**task, "assigned_to": None}
    if task["assigned_to"] != old["assigned_to"]:
        notify(tx, actor, "assigned", task, [task["assigned_to"]])
        # In the words of before: what came with or after this change is not theirs to see.
        notify(tx, actor, "unassigned", old, [old["assigned_to"]])
    if task["status"] != old["status"]:
        kind = "completed" if task["status"] == DONE else "moved"
        notify(tx, actor, kind, task, [task["user_id"], task["assigned_to"]])


def read_notification(tx: Transaction, call: Call) -> dict[str, Any]:
    """Mark one of the actor's own read (or, with `is_read: false`, unread).  Raises 404."""
    row = queries.access_notification_by_id(tx, call.actor, call.target_id)
    wanted = call.data["is_read"]
    if row.is_read != wanted:
        row = tx.execute(
            update(_NOTIFICATIONS)
            .where(_NOTIFICATIONS.c.id == row.id)
            .values(is_read=wanted)
            .returning(_NOTIFICATIONS)
        ).one()
        _record_reading(tx, call.actor, [row.id], wanted)
    return queries.notification_dict(row)


def read_all_notifications(tx: Transaction, call: Call) -> dict[str, Any]:
    """Mark all of the actor's own read."""
    rows = tx.execute(
        update(_NOTIFICATIONS)
        .where(_NOTIFICATIONS.c.user_id == call.actor.id, _NOTIFICATIONS.c.is_read.is_(False))
        .values(is_read=True)
        .returning(_NOTIFICATIONS.c.id)
    )
    ids = sorted(rows.scalars())
    if ids:
        _record_reading(tx, call.actor, ids, True)
    return {"message": "All notifications are read", "read": len(ids)}


def _record_reading(tx: Transaction, actor: Actor, ids: list[int], is_read: bool) -> None:
    data = {"user_id": actor.id, "ids": ids, "is_read": is_read}
    events.record(tx, actor, "notification_read", data)


def remind(tx: Transaction, call: Call) -> dict[str, Any]:
    """Notify the people of open tasks that are due today or tomorrow (UTC), once for each date."""
    today = date.fromisoformat(tx.now[:10])
    days = [day.isoformat() for day in (today, today + timedelta(days=1))]
    due = tx.execute(
        select(_TASKS)
        .where(
            _TASKS.c.due_key.in_(days),
            _TASKS.c.status != DONE,
            or_(_TASKS.c.reminded_of.is_(None), _TASKS.c.reminded_of != _TASKS.c.due_date),
        )
        .limit(REMINDERS_AT_ONCE)
        .with_for_update(skip_locked=True)  # those another process is about to remind of
    ).all()
    for row in due:
        notify(tx, call.actor, "due", queries.task_dict(row), [row.user_id, row.assigned_to])
    if due:
        ids = [row.id for row in due]
        tx.execute(update(_TASKS).where(_TASKS.c.id.in_(ids)).values(reminded_of=_TASKS.c.due_date))
    return {"reminded": len(due)}
