"""Sample data for `python app.py --demo`: two people and a few tasks."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from task_app import database, queries
from task_app.access import SYSTEM, Actor
from task_app.commands import execute
from task_app.models.user import MEMBER

# Of the demo's admin and of its people.  In the documents: it protects nothing.
ADMIN_PASSWORD = "admin123"  # noqa: S105
PEOPLE = ("ada", "grace")
# Title, status, priority, days until due, by whom, for whom.
TASKS = (
    ("Draw the release plan", "completed", "high", -3, "ada", "ada"),
    ("Write the announcement", "in_progress", "high", 1, "ada", "grace"),
    ("Answer the first bug reports", "in_progress", "medium", 0, "grace", "grace"),
    ("Book a room for the review", "todo", "low", 6, "grace", "ada"),
    ("Ask five people to try the board", "todo", "medium", 4, "ada", None),
    ("Measure the first week", "todo", "medium", None, "ada", "grace"),
)


def seed() -> None:
    """Add the people and their tasks, unless they are there already."""
    with database.reading() as tx:
        if queries.users_by_name(tx, PEOPLE[0]):
            return
    people = {}
    for name in PEOPLE:
        account = {"username": name, "email": f"{name}@example.com", "password": ADMIN_PASSWORD}
        made = execute(SYSTEM, "user.create", account)
        people[name] = Actor(made.body["user"]["id"], name, MEMBER)
    for title, status, priority, days, owner, assignee in TASKS:
        due = None if days is None else (date.today() + timedelta(days=days)).isoformat()
        task: dict[str, Any] = {
            "title": title,
            "status": status,
            "priority": priority,
            "due_date": due,
        }
        task["assigned_to"] = people[assignee].id if assignee else None
        execute(people[owner], "task.create", task)
