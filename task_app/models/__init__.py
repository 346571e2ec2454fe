"""The tables.  Times are text, `2026-01-31T09:30:00.000000Z`: of one width and always UTC, so
they sort as they stand, mean the same on SQLite and PostgreSQL, and need no conversion on the way
to JSON."""

from pathlib import Path

from task_app.models.event import Event, EventRoom, LogHead
from task_app.models.idempotency import IdempotencyKey
from task_app.models.notification import Notification
from task_app.models.process import Process
from task_app.models.task import Task
from task_app.models.token import RevokedToken, Ticket
from task_app.models.user import User

MIGRATIONS = Path(__file__).parent.parent / "migrations"

__all__ = [
    "MIGRATIONS",
    "Event",
    "EventRoom",
    "IdempotencyKey",
    "LogHead",
    "Notification",
    "Process",
    "RevokedToken",
    "Task",
    "Ticket",
    "User",
]
