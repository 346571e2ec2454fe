"""What a server tells of itself."""

from __future__ import annotations

from marshmallow import fields

from task_app.schemas.fields import MAX_ID, Id, Input, Number, Text


class Departure(Input):
    """A process that stops, by the id it gave itself."""

    id = Text(1, 32, required=True)


class Beat(Departure):
    """A process that lives: its open connections, how many of them are signed in, and as whom."""

    clients = Number(0, MAX_ID, required=True)
    signed_in = Number(0, MAX_ID, required=True)
    people = fields.List(Id(), load_default=list)
