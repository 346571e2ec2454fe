"""Making, changing and deleting tasks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import bindparam, delete, insert, update

from task_app import access, events, queries
from task_app.actions.call import Call
from task_app.actions.notifications import notify_of_change
from task_app.errors import AppError, forbidden, invalid
from task_app.extensions import table
from task_app.models import Task
from task_app.models.task import DONE, STATUSES
from task_app.schemas import load
from task_app.schemas.task import BulkOperation, NewTask, Nothing, TaskChange
from task_app.transactions import Prepared, Transaction

_TASKS = table(Task)
WRITABLE = ("title", "description", "status", "priority", "due_date", "user_id", "assigned_to")
_MADE = (*WRITABLE, "created_by", "created_at", "updated_at", "version")
_INSERT = Prepared(insert(_TASKS).returning(*queries.TASK_COLUMNS), _MADE)
_DELETE = Prepared(delete(_TASKS).where(_TASKS.c.id == bindparam("id")).returning(_TASKS.c.id))
_OPERATION = BulkOperation()


def create_task(tx: Transaction, call: Call) -> dict[str, Any]:
    """Make a task; its owner is the actor unless an admin names another.  Returns the task.

    Raises 400 for an owner or assignee that is no active user, 403 for another's name as owner.
    """
    actor, data = call.actor, call.data
    owner = data.get("user_id", actor.id)
    if owner != actor.id and not actor.is_admin:
        raise forbidden("Only an admin may make a task for another owner")
    check_users(tx, actor.id, user_id=owner, assigned_to=data.get("assigned_to"))
    row = {
        "title": data["title"],
        "description": data.get("description"),
        "status": resolve_status(data, STATUSES[0]),
        "priority": data.get("priority", "medium"),
        "due_date": data.get("due_date"),
        "user_id": owner,
        "created_by": owner if actor.id is None else actor.id,
        "assigned_to": data.get("assigned_to"),
        "created_at": tx.now,
        "updated_at": tx.now,
        "version": 1,
    }
    [made] = tx.run(_INSERT, row)
    task = queries.task_dict(made)
    events.record(tx, actor, "task_created", task, task_id=task["id"], changes=WRITABLE)
    notify_of_change(tx, actor, None, task)
    return task


def update_task(tx: Transaction, call: Call) -> dict[str, Any]:
    """Change what `call.data` carries and nothing else.  Returns the task as it is then.

    Carrying only what is already so changes nothing and records nothing.  Raises 404, 403,
    412, and 400 for an owner or assignee that is no active user.
    """
    actor, data = call.actor, call.data
    before = queries.access_task_by_id(tx, actor, call.target_id, for_change=True)
    access.check_change(actor, before)
    call.check_version(before)
    wanted = dict(data, status=resolve_status(data, before["status"]))
    changed = {
        name: wanted[name] for name in WRITABLE if name in wanted and wanted[name] != before[name]
    }
    if not changed:
        return before
    if "user_id" in changed:
        access.check_own(actor, before)
    check_users(tx, None, user_id=changed.get("user_id"), assigned_to=changed.get("assigned_to"))
    values = {**changed, "updated_at": tx.now, "version": before["version"] + 1}
    [row] = tx.run(_update(tuple(values)), {**values, "task_id": before["id"]})
    task = queries.task_dict(row)
    _record_change(tx, call, before, task, changed)
    notify_of_change(tx, actor, before, task)
    return task


@cache  # there are at most two to the power of WRITABLE
def _update(columns: tuple[str, ...]) -> Prepared:
    statement = update(_TASKS).where(_TASKS.c.id == bindparam("task_id"))
    return Prepared(statement.returning(*queries.TASK_COLUMNS), columns)


def delete_task(tx: Transaction, call: Call) -> dict[str, Any]:
    """Delete the task.  Raises 404, 403, 412."""
    task = queries.access_task_by_id(tx, call.actor, call.target_id, for_change=True)
    access.check_own(call.actor, task)
    call.check_version(task)
    tx.run(_DELETE, {"id": task["id"]})
    events.record(tx, call.actor, "task_deleted", task, task_id=task["id"])
    return {"message": "Task deleted successfully"}


_BULK = {
    "create": (NewTask(), create_task, 201),
    "update": (TaskChange(), update_task, 200),
    "delete": (Nothing(), delete_task, 200),
}


def bulk(tx: Transaction, call: Call) -> dict[str, Any]:
    """Do several creates, changes and deletes, all or none.

    Returns `{"results": [{"op", "status", "id", "task" | None}, …]}` in their order.  Raises the
    error of the first that cannot be done (400, 403, 404, 412), with its place in `index`.
    """
    results = []
    for index, given in enumerate(call.data["operations"]):
        try:
            operation = load(_OPERATION, given)
            schema, action, status = _BULK[operation["op"]]
            version = operation.get("if_match")
            part = Call(
                call.actor,
                load(schema, operation.get("data", {})),
                operation.get("id"),
                None if version is None else frozenset({version}),
            )
            task = action(tx, part)
        except AppError as error:
            error.extra = {**(error.extra or {}), "index": index}
            raise
        gone = operation["op"] == "delete"
        done = {"op": operation["op"], "status": status}
        done["id"] = part.target if gone else task["id"]
        done["task"] = None if gone else task
        results.append(done)
    return {"results": results}


def resolve_status(data: Mapping[str, Any], current: str) -> str:
    """The status that `status` and `done` together ask for, from `current`.

    A client that reads a task, changes one of the two and sends both back means the one that
    differs from what it read.  Raises 400 when both differ and contradict each other.
    """
    status = data.get("status", current)
    done = data.get("done", status == DONE)
    if done == (status == DONE):
        return str(status)
    if status != current and done != (current == DONE):
        raise invalid({"done": ["Contradicts the status."]})
    if status != current:
        return str(status)
    return DONE if done else STATUSES[0]


def _record_change(
    tx: Transaction,
    call: Call,
    before: Mapping[str, Any],
    task: Mapping[str, Any],
    changed: Mapping[str, Any],
) -> None:
    """One event for the change, and one for each person who lost sight of the task by it."""
    moved = "status" in changed
    fields = [*changed, "done"] if task["done"] != before["done"] else changed
    events.record(
        tx,
        call.actor,
        "task_status_changed" if moved else "task_updated",
        task,
        task_id=task["id"],
        changes=fields,
    )
    lost = {before["user_id"], before["assigned_to"]} - {task["user_id"], task["assigned_to"], None}
    for user_id in sorted(lost) if not access.team_sees_all() else ():
        user = queries.user_by_id(tx, user_id)
        if user is not None and user.role != "admin":
            removed = {"id": task["id"], "user_id": user_id}
            events.record(tx, call.actor, "task_removed", removed, task_id=task["id"])


def check_users(tx: Transaction, known: int | None, **people: int | None) -> None:
    """Raises 400 naming each field of `people` that is no active user; `known` is one."""
    problems = {}
    for field, user_id in people.items():
        if user_id is None or user_id == known:
            continue
        user = queries.user_by_id(tx, user_id)
        if user is None or not user.is_active:
            problems[field] = ["No such user."]
    if problems:
        raise invalid(problems)
