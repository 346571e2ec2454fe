"""The raw WebSockets of the fiber (000), gin (001) and channels (003) families, with messages
written out as their documents have them, read by the library `websockets`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.accounts import Person
from tests.support.websockets_client import CHANNELS, FIBER, GIN, PATHS


def test_fiber(client: Any, alice: Person) -> None:
    ws = client(FIBER, alice)
    task = alice.rest.post("/api/v1/tasks", {"title": "Ship it", "priority": "High"}).json()
    created = ws.task_event()
    assert created == {
        "type": "task_created",
        "data": {
            "id": task["id"],
            "title": "Ship it",
            "priority": "High",
            "status": "ToDo",
            "assigned_to": None,
            "description": None,
            "created_by": alice.id,
            "created_at": task["created_at"],
            "updated_at": task["updated_at"],
            "due_date": None,
            "user_id": alice.id,
            "version": 1,
        },
    }
    assert created["data"] == task
    path = f"/api/v1/tasks/{task['id']}"
    for status in ("InProgress", "Done"):
        changed = alice.rest.put(path, {"status": status}).json()
        # This family knows no task_status_changed.
        assert ws.task_event() == {"type": "task_updated", "data": changed}
        assert changed["status"] == status
    alice.rest.delete(path)
    assert ws.task_event() == {"type": "task_deleted", "data": task["id"]}  # a bare id


def test_gin(client: Any, alice: Person) -> None:
    ws = client(GIN, alice)
    task = alice.rest.new_task("Task title", priority="high")
    assert ws.task_event() == {
        "type": "task_created",
        "payload": {
            "id": str(task["id"]),
            "title": "Task title",
            "description": None,
            "statusId": "todo",
            "priority": "high",
            "dueDate": None,
            "userId": str(alice.id),
            "createdBy": str(alice.id),
            "assigneeId": None,
            "createdAt": task["created_at"],
            "updatedAt": task["updated_at"],
            "version": 1,
        },
    }
    alice.rest.put(f"/tasks/{task['id']}", {"title": "Another"})
    updated = ws.task_event()
    assert (updated["type"], updated["payload"]["title"]) == ("task_updated", "Another")
    alice.rest.put(f"/tasks/{task['id']}", {"status": "in-progress"})
    moved = ws.task_event()
    assert (moved["type"], moved["payload"]["statusId"]) == ("task_status_changed", "in-progress")
    alice.rest.delete(f"/tasks/{task['id']}")
    assert ws.task_event() == {"type": "task_deleted", "payload": {"id": str(task["id"])}}


def test_channels(client: Any, alice: Person) -> None:
    ws = client(CHANNELS, alice)
    task = alice.rest.post("/api/tasks/", {"title": "Review", "priority": "high"}).json()
    assert ws.task_event() == {
        "type": "task_update",
        "action": "task_created",
        "task": {
            "id": task["id"],
            "title": "Review",
            "description": None,
            "priority": "high",
            "status": "todo",
            "due_date": None,
            "assigned_user": None,
            "created_at": task["created_at"],
            "updated_at": task["updated_at"],
            "user_id": alice.id,
            "created_by": alice.id,
            "version": 1,
        },
    }
    path = f"/api/tasks/{task['id']}/"
    changed = alice.rest.put(path, {"status": "completed"}).json()
    assert ws.task_event() == {"type": "task_update", "action": "task_updated", "task": changed}
    alice.rest.delete(path)
    assert ws.task_event() == {"type": "task_update", "action": "task_deleted", "task": changed}


# `POST /api/broadcast`, as the document has it, and what else a front end may put there.
BROADCASTS = [
    {"type": "task_created", "data": {"id": "uuid", "title": "New task"}},
    {
        "type": "task_status_changed",
        "data": {"id": "6f1c-uuid", "title": "Task title", "statusId": "in-progress"},
    },
    {"type": "task_deleted", "data": {"id": "uuid"}},
    {"type": "note", "data": [1, 2.5, None, {"ü": "🦦", "big": 2**53}]},
]


@pytest.mark.parametrize("message", BROADCASTS, ids=lambda message: message["type"])
def test_broadcast(
    client: Any,
    admin: Person,
    alice: Person,
    settled: Callable[..., None],
    message: dict[str, Any],
) -> None:
    """`data` in, `payload` out, untouched."""
    gin, fiber, channels = (client(path, alice) for path in (GIN, FIBER, CHANNELS))
    settled()
    answer = admin.rest.post("/api/broadcast", message)
    assert (answer.status_code, answer.json()["recipients"] >= 3) == (200, True)
    assert gin.read() == {"type": message["type"], "payload": message["data"]}
    for other in (fiber, channels):
        assert other.read() == message


@PATHS
def test_ping(client: Any, alice: Person, path: str) -> None:
    ws = client(path, alice)
    ws.send({"type": "ping"})
    assert ws.read() == {"type": "pong"}
    assert ws.ws.ping().wait(5)


@PATHS
def test_commands(client: Any, alice: Person, path: str) -> None:
    """Those of Socket.IO, answered in the dialect; a retry with its `request_id` repeats none."""
    ws = client(path, alice)
    create = {"type": "create_task", "data": {"title": "Over the socket"}, "request_id": "r-1"}
    acks = []
    for _ in range(2):
        ws.send(create)
        came = [ws.read()]
        while came[-1]["type"] != "ack":
            came.append(ws.read())
        acks.append(came[-1])
    first, second = (ack["data"] for ack in acks)
    assert {ack["request_id"] for ack in acks} == {"r-1"}
    assert {ack["status"] for ack in acks} == {201}
    assert first == second and first["title"] == "Over the socket"
    assert len(alice.rest.get("/tasks").json()) == 1
    spelling = {FIBER: "assigned_to", GIN: "statusId", CHANNELS: "assigned_user"}
    assert spelling[path] in first
    ws.send({"type": "create_task", "data": {}})
    errors = [ws.read()]
    while errors[-1]["type"] != "error":
        errors.append(ws.read())
    assert (errors[-1]["status"], errors[-1]["code"]) == (400, "validation_failed")
