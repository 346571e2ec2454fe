"""Notifications and broadcasts as they come in."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import Regexp

from task_app.schemas.fields import ENVELOPE, Flag, Input, Text, writable
from task_app.schemas.task import PageQuery


class NotificationQuery(PageQuery):
    """Filters and page of the list."""

    is_read = Flag()


class NotificationChange(Input):
    """Read, unless it says otherwise."""

    READ_ONLY = ENVELOPE | {"id", "user", "user_id", "message", "kind", "created_at"}

    is_read = Flag(load_default=True)


class Broadcast(Input):
    """A message of any type; `data` is anything and passes untouched."""

    type = Text(
        1,
        64,
        required=True,
        # Not \w: in a JSON schema that is ASCII's letters, in Python every script's.
        validate=Regexp(r"^[A-Za-z0-9_.:-]+$", error="Use letters, digits, _ . : -"),
    )
    data = fields.Raw(allow_none=True, validate=writable)
