"""Filters and pages of the lists that are neither tasks nor notifications."""

from __future__ import annotations

from task_app.schemas.fields import Flag, Number
from task_app.schemas.task import PageQuery


class PeopleQuery(PageQuery):
    """Which page, and whether only those who are here."""

    here = Flag()


class ActivityQuery(PageQuery):
    """Which page of what happened."""

    limit = Number(1, 200, load_default=50)
