"""Tasks as they come in, in the words of any client family."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import Length, OneOf

from task_app.models.task import DESCRIPTION_LENGTH, TITLE_LENGTH
from task_app.schemas.fields import (
    ENVELOPE,
    Day,
    Flag,
    Id,
    Input,
    Moment,
    Number,
    Text,
    Word,
    writable,
)

STATUS_SPELLINGS = {
    "todo": "todo",
    "pending": "todo",
    "inprogress": "in_progress",
    "completed": "completed",
    "done": "completed",
}
PRIORITY_SPELLINGS = {"low": "low", "medium": "medium", "high": "high"}

TASK_ALIASES = {
    "statusId": "status",
    "status_id": "status",
    "completed": "done",
    "dueDate": "due_date",
    "userId": "user_id",
    "owner": "user_id",
    "owner_id": "user_id",
    "assigned_user": "assigned_to",
    "assignee": "assigned_to",
    "assignee_id": "assigned_to",
    "assigneeId": "assigned_to",
    "assignedTo": "assigned_to",
}
# What a server sends with a task and a client may send back: ignored, not refused.
TASK_READ_ONLY = frozenset(
    {
        *ENVELOPE,
        "id",
        "version",
        "created_by",
        "createdBy",
        "created_at",
        "createdAt",
        "updated_at",
        "updatedAt",
    }
)
DEFAULT_LIMIT = 500
MAX_LIMIT = 1000
BULK_OPERATIONS = 500
SORTS = tuple(
    sign + name
    for name in ("id", "created_at", "updated_at", "due_date", "priority", "title")
    for sign in ("", "-")
)


class TaskChange(Input):
    """Any of a task's writable fields; what is absent stays as it is."""

    ALIASES = TASK_ALIASES
    READ_ONLY = TASK_READ_ONLY

    title = Text(1, TITLE_LENGTH)
    description = Text(0, DESCRIPTION_LENGTH, strip=False, allow_none=True)
    status = Word(STATUS_SPELLINGS)
    done = Flag()
    priority = Word(PRIORITY_SPELLINGS)
    due_date = Day(allow_none=True)
    user_id = Id()
    assigned_to = Id(allow_none=True)


class NewTask(TaskChange):
    """A task to make: the title is required."""

    # Not taken for an idempotency key over REST, where that is a header: said rather than ignored.
    READ_ONLY = TASK_READ_ONLY - {"request_id"}

    title = Text(1, TITLE_LENGTH, required=True)


class PageQuery(Input):
    """Which page of a list."""

    REPEATED = True

    limit = Number(1, MAX_LIMIT, load_default=DEFAULT_LIMIT)
    cursor = Text(1, 1000)


class TaskQuery(PageQuery):
    """Filters, order and page of a list of tasks."""

    ALIASES = TASK_ALIASES

    status = Word(STATUS_SPELLINGS)
    priority = Word(PRIORITY_SPELLINGS)
    done = Flag()
    due_date = Day()
    due_before = Day()
    due_after = Day()
    updated_since = Moment()
    user_id = Id()
    assigned_to = Id()
    q = Text(1, TITLE_LENGTH)
    sort = fields.String(validate=OneOf(SORTS))


class Bulk(Input):
    """Up to 500 creates, changes and deletes; each is checked as it would be on its own."""

    operations = fields.List(
        fields.Dict(), required=True, validate=[Length(1, BULK_OPERATIONS), writable]
    )


class BulkOperation(Input):
    """One of them."""

    op = fields.String(required=True, validate=OneOf(("create", "update", "delete")))
    id = Id()
    data = fields.Dict()
    if_match = Id()


class Nothing(Input):
    """A command that takes no payload."""

    READ_ONLY = TASK_READ_ONLY
    REPEATED = True
