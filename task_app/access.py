"""Who may see a task, who may change it, and the rooms an event goes to.

Rooms are the only notion of audience: `user:<id>`, `role:admin` and `all` (everyone signed in).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, bindparam

from task_app.errors import forbidden
from task_app.models import Task
from task_app.models.user import ADMIN

ALL = "all"
ADMINS = "role:admin"


@dataclass(frozen=True)
class Actor:
    """On whose behalf something is done.

    `id` is None for nobody (`ANONYMOUS`) and for the server itself (`SYSTEM`).  `session` and
    `expires_at` (Unix seconds) are those of the token, None without one; `generation` is the
    account's `token_generation` when the token was verified.
    """

    id: int | None
    username: str
    role: str
    session: str | None = None
    expires_at: float | None = None
    generation: int = 0

    @property
    def is_admin(self) -> bool:
        return self.role == ADMIN

    @cached_property
    def rooms(self) -> frozenset[str]:
        """The rooms whose events this actor may see."""
        if self.id is None:
            return frozenset()
        return frozenset({user_room(self.id), ALL, *([ADMINS] if self.is_admin else [])})


ANONYMOUS = Actor(None, "", "")
SYSTEM = Actor(None, "system", ADMIN)


def team_sees_all() -> bool:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return bool(app.config["TASK_VISIBILITY"] == "team")


def user_room(user_id: int) -> str:
    return f"user:{user_id}"


def task_rooms(task: Mapping[str, Any]) -> tuple[str, ...]:
    """The rooms that may see this task: its owner's, its assignee's and the admins', or all."""
    if team_sees_all():
        return (ALL,)
    owner, assignee = task["user_id"], task["assigned_to"]
    if assignee is None or assignee == owner:
        return (user_room(owner), ADMINS)
    return (user_room(owner), user_room(assignee), ADMINS)


def sees_all_tasks(actor: Actor) -> bool:
    return actor.is_admin or (actor.id is not None and team_sees_all())


# Conditions that together, and without overlap, leave the tasks of the member `:me`.  They are
# apart so that each can be read along its own index: joined by OR they could not be.
OWN_TASKS: tuple[ColumnElement[bool], ...] = (
    Task.user_id == bindparam("me"),
    (Task.assigned_to == bindparam("me")) & (Task.user_id != bindparam("me")),
)


def may_own(actor: Actor, task: Mapping[str, Any]) -> bool:
    """Delete it, hand it to another owner."""
    return actor.is_admin or task["user_id"] == actor.id


def check_change(actor: Actor, task: Mapping[str, Any]) -> None:
    """Raises 403 unless the actor is the task's owner, its assignee or an admin."""
    if not may_own(actor, task) and task["assigned_to"] != actor.id:
        raise forbidden("Only the owner, the assignee or an admin may change this task")


def check_own(actor: Actor, task: Mapping[str, Any]) -> None:
    """Raises 403 unless the actor is the task's owner or an admin."""
    if not may_own(actor, task):
        raise forbidden("Only the owner or an admin may do this")


def check_admin(actor: Actor) -> None:
    """Raises 403 unless the actor is an admin."""
    if not actor.is_admin:
        raise forbidden("Only an admin may do this")
