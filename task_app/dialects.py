"""How tasks, notifications and events are spelt for each client family, as a table.

Inside, everything is in the native form; a dialect turns that into its own keys and words on
the way out.  On REST the URL's prefix picks the dialect, on a raw WebSocket its path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from task_app.events import Event

Body = dict[str, Any]

FIBER_STATUS = {"todo": "ToDo", "in_progress": "InProgress", "completed": "Done"}
GIN_STATUS = {"todo": "todo", "in_progress": "in-progress", "completed": "completed"}


@dataclass(frozen=True)
class Dialect:
    """`shapes` holds a function for each shape of body that this dialect spells differently;
    `message` gives an event's wire form, `{"type": …}` or, on Socket.IO, what goes beside the
    event's name."""

    name: str
    shapes: Mapping[str, Callable[[Any], Any]]
    message: Callable[[Dialect, Event, str], Body]

    def body(self, shape: str, body: Any) -> Any:
        """The body of an answer whose shape is `task`, `task_list`, `notification`, …"""
        if shape == "bulk":
            results = [
                {**one, "task": one["task"] and self.task(one["task"])} for one in body["results"]
            ]
            return {"results": results}
        kind, _, many = shape.partition("_")
        spell = self.shapes.get(kind)
        if spell is None:
            return body
        return [spell(item) for item in body] if many else spell(body)

    def task(self, task: Body) -> Body:
        spelt: Body = self.body("task", task)
        return spelt

    def event(self, event: Event, epoch: str) -> Body:
        return self.message(self, event, epoch)


def envelope(event: Event, epoch: str) -> Body:
    """What goes beside an event in every dialect, so that each client can resume."""
    return {"seq": event.seq, "epoch": epoch}


def _native_event(dialect: Dialect, event: Event, epoch: str) -> Body:
    """The snapshot itself with the envelope's keys beside it; `task` is the id, as the flask
    family reads it."""
    body = dict(event.data)
    if event.type == "task_removed":
        body = {"id": event.task_id}
    if event.task_id is not None:
        body["task"] = event.task_id
    if event.type != "broadcast":
        body["type"] = event.type
    return body | {
        **envelope(event, epoch),
        "actor_id": event.actor_id,
        "changes": event.changes,
        "at": event.created_at,
        "request_id": event.request_id,
    }


def fiber_task(task: Body) -> Body:
    return {
        "id": task["id"],
        "title": task["title"],
        "priority": task["priority"].capitalize(),
        "status": FIBER_STATUS[task["status"]],
        "assigned_to": task["assigned_to"],
        "description": task["description"],
        "created_by": task["created_by"],
        "created_at": task["created_at"],
        "updated_at": task["updated_at"],
        "due_date": task["due_date"],
        "user_id": task["user_id"],
        "version": task["version"],
    }


def gin_task(task: Body) -> Body:
    """Camel case, and ids as text: this family's front end keys its store by string."""
    assignee = task["assigned_to"]
    return {
        "id": str(task["id"]),
        "title": task["title"],
        "description": task["description"],
        "statusId": GIN_STATUS[task["status"]],
        "priority": task["priority"],
        "dueDate": task["due_date"],
        "userId": str(task["user_id"]),
        "createdBy": str(task["created_by"]),
        "assigneeId": None if assignee is None else str(assignee),
        "createdAt": task["created_at"],
        "updatedAt": task["updated_at"],
        "version": task["version"],
    }


def channels_task(task: Body) -> Body:
    return {
        "id": task["id"],
        "title": task["title"],
        "description": task["description"],
        "priority": task["priority"],
        "status": task["status"],
        "due_date": task["due_date"],
        "assigned_user": task["assigned_to"],
        "created_at": task["created_at"],
        "updated_at": task["updated_at"],
        "user_id": task["user_id"],
        "created_by": task["created_by"],
        "version": task["version"],
    }


def channels_notification(notification: Body) -> Body:
    return {
        "id": notification["id"],
        "user": notification["user_id"],
        "message": notification["message"],
        "is_read": notification["is_read"],
        "created_at": notification["created_at"],
        "kind": notification["kind"],
        "task": notification["task_id"],
    }


def _content(dialect: Dialect, event: Event) -> Any:
    """What an event is about, for the families that put it under one key: the task, the id of a
    task that is gone, a notification, which were read, or a broadcast's own data untouched."""
    if event.type in ("task_deleted", "task_removed"):
        return event.task_id
    if event.type == "broadcast":
        return event.data["data"]
    if event.type == "notification_read":
        return event.data  # no notification, but which of them
    return dialect.body(event.type.partition("_")[0], event.data)


def _plain_type(event: Event) -> str:
    """The event's type for families that know no `task_status_changed`; a broadcast's own."""
    if event.type == "task_status_changed":
        return "task_updated"
    return str(event.data["type"]) if event.type == "broadcast" else event.type


def _fiber_event(dialect: Dialect, event: Event, epoch: str) -> Body:
    return {
        "type": _plain_type(event),
        "data": _content(dialect, event),
        **envelope(event, epoch),
    }


def _gin_event(dialect: Dialect, event: Event, epoch: str) -> Body:
    content = _content(dialect, event)
    if event.type in ("task_deleted", "task_removed"):
        content = {"id": str(content)}
    moved = event.type == "task_status_changed"
    return {
        "type": event.type if moved else _plain_type(event),
        "payload": content,
        **envelope(event, epoch),
    }


def _channels_event(dialect: Dialect, event: Event, epoch: str) -> Body:
    kind = event.type.partition("_")[0]
    if kind != "task":
        content = _content(dialect, event)
        return {"type": _plain_type(event), "data": content, **envelope(event, epoch)}
    task = {"id": event.task_id} if event.type == "task_removed" else dialect.task(event.data)
    return {
        "type": "task_update",
        "action": "task_deleted" if event.type == "task_removed" else _plain_type(event),
        "task": task,
        **envelope(event, epoch),
    }


NATIVE = Dialect("native", {}, _native_event)
FIBER = Dialect("fiber", {"task": fiber_task}, _fiber_event)
GIN = Dialect("gin", {"task": gin_task}, _gin_event)
CHANNELS = Dialect(
    "channels",
    {"task": channels_task, "notification": channels_notification},
    _channels_event,
)
