"""Lists of tasks whose cost does not grow with the number of tasks.

A member's list is read along two indexes, by owner and by assignee, and merged: it costs what
that member has.  Which tasks are on the page is found in these indexes alone, for they hold all
that one may filter and sort by; only then the rows are read.  (The tasks of one member lie each
on another page of a large table.)  A search looks into the rows as well.

Whoever sees everything (an admin; anyone under `TASK_VISIBILITY=team`) and asks for one person's
tasks reads along that person's index in the same way.  Without one, the list reads along the
index of the order, or of one filter; the other filters and the search then look at a window of
so many rows, and the cursor goes on from its end.  Such a page can be shorter than asked for,
even empty, and still have a next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from task_app import access
from task_app.access import Actor
from task_app.database import Transaction
from task_app.extensions import table
from task_app.models import Task
from task_app.models.task import DONE, DUE_KEY, PRIORITIES, PRIORITY_KEY, STATUSES
from task_app.pages import Order, Page, cut
from task_app.queries import task_dict

WINDOW = 10_000
OPEN = tuple(status for status in STATUSES if status != DONE)

Condition = ColumnElement[bool]
_TASKS = table(Task)
_SORT_KEYS: dict[str, ColumnElement[Any]] = {
    "id": _TASKS.c.id,
    "created_at": _TASKS.c.id,  # ids are given in the order of creation
    "updated_at": _TASKS.c.updated_at,
    "due_date": _TASKS.c.due_key,
    "priority": _TASKS.c.priority_key,
    "title": _TASKS.c.title,
}
# The same from the columns of a member's indexes (`models.task` says why).
_MEMBERS_KEYS: dict[str, ColumnElement[Any]] = {
    **_SORT_KEYS,
    "due_date": literal_column(DUE_KEY, String()),
    "priority": literal_column(PRIORITY_KEY, Integer()),
}
# Columns of the union, and of the page made of it, by name: to have SQLAlchemy find them in `.c`
# costs a fifth of the whole read.
_ID: ColumnElement[int] = literal_column("id", Integer())
_SORT_KEY: ColumnElement[Any] = literal_column("sort_key")
_PAGE_ID: ColumnElement[int] = literal_column("page.id", Integer())
_PAGE_KEY: ColumnElement[Any] = literal_column("page.sort_key")
# Which filter an index in order of id serves; the first of a query's leads.
_LEADS = ("due_date", "priority", "status")
# Filters by a person, whose index then leads.
_PEOPLE = ("user_id", "assigned_to")
# Which filters are ranges of a sort key, so that its index serves both.
_RANGES = {"updated_since": "updated_at", "due_before": "due_date", "due_after": "due_date"}


def list_tasks(tx: Transaction, actor: Actor, query: Mapping[str, Any]) -> Page:
    """A page of the tasks this actor may see that match `query` (`schemas.task.TaskQuery`).

    Sorted as asked; else by what a range speaks of (`updated_since`: by `updated_at`), else by id.
    """
    limit = query["limit"]
    filters = _filters(query)
    branches = _branches(actor, filters)
    end = None
    if branches:
        order, statement = _merged(query, filters, branches)
    else:
        order = _order(query, _SORT_KEYS)
        conditions, rest = _split(query, filters, order)
        if rest:
            end = tx.execute(_ordered(order, conditions).offset(WINDOW - 1).limit(1)).first()
            conditions += [*order.until(end), *rest]
        statement = _ordered(order, conditions).limit(limit + 1)
    rows, cursor = cut(tx.execute(statement).all(), limit, order)
    if cursor is None and end is not None:
        cursor = order.cursor(end)
    return Page([task_dict(row) for row in rows], cursor)


def _branches(actor: Actor, filters: dict[str, Condition]) -> list[Condition]:
    """Conditions that each have an index by person: those of what the actor may see; for one who
    sees everything that of the person asked for, taken out of `filters`; or none."""
    visible = access.visible_tasks(actor)
    if len(visible) > 1:
        return visible
    person = next((name for name in _PEOPLE if name in filters), None)
    return [] if person is None else [filters.pop(person)]


def _merged(
    query: Mapping[str, Any], filters: Mapping[str, Condition], branches: list[Condition]
) -> tuple[Order, Select[Any]]:
    """The ids of the page, out of the branches' indexes; then their rows."""
    order = _order(query, _MEMBERS_KEYS)
    if order.key is order.id and filters and "q" not in filters:
        # A sum is in no index, so the planner takes the index with the filters' columns, and
        # not the one in order of id with a look at each row until enough of them match.
        order = replace(order, key=_TASKS.c.id + 0)
    conditions = [*order.after(query.get("cursor")), *_looked_at(filters)]
    parts = [
        select(_TASKS.c.id, order.key.label("sort_key")).where(branch, *conditions)
        for branch in branches
    ]
    merged = union_all(*parts).order_by(*replace(order, key=_SORT_KEY, id=_ID).clauses())
    page = merged.limit(query["limit"] + 1).subquery("page")
    rows = select(_TASKS, _PAGE_KEY.label("sort_key")).join(page, _TASKS.c.id == _PAGE_ID)
    return order, rows.order_by(*replace(order, key=_PAGE_KEY, id=_PAGE_ID).clauses())


def _order(query: Mapping[str, Any], keys: Mapping[str, ColumnElement[Any]]) -> Order:
    ranges = [key for name, key in _RANGES.items() if name in query]
    sort = query.get("sort") or (ranges[0] if ranges else "id")
    return Order(sort, keys[sort.lstrip("-")], _TASKS.c.id, sort.startswith("-"))


def _filters(query: Mapping[str, Any]) -> dict[str, Condition]:
    """The condition of each filter in the query."""
    found: dict[str, Condition] = {
        name: _TASKS.c[name] == query[name]
        for name in ("status", "priority", "due_date", "user_id", "assigned_to")
        if name in query
    }
    if "done" in query:
        done = _TASKS.c.status == DONE
        found["done"] = done if query["done"] else _TASKS.c.status.in_(OPEN)
    if "due_before" in query:
        found["due_before"] = _TASKS.c.due_date < query["due_before"]
    if "due_after" in query:
        found["due_after"] = _TASKS.c.due_date > query["due_after"]
    if "updated_since" in query:
        found["updated_since"] = _TASKS.c.updated_at >= query["updated_since"]
    if "q" in query:
        # `%` and `_` stand for themselves.
        columns = (_TASKS.c.title, _TASKS.c.description)
        found["q"] = or_(*(column.icontains(query["q"], autoescape=True) for column in columns))
    return found


def _split(
    query: Mapping[str, Any], filters: dict[str, Condition], order: Order
) -> tuple[list[Condition], list[Condition]]:
    """The conditions an index serves together with the order, and those that look at each row."""
    served: list[Condition] = []
    if order.key is _TASKS.c.id:
        lead = next((name for name in _LEADS if name in filters), None)
        if lead == "due_date":
            served.append(_TASKS.c.due_key == query["due_date"])
        elif lead == "priority":
            served.append(_TASKS.c.priority_key == PRIORITIES.index(query["priority"]))
        elif lead:
            served.append(filters[lead])
        if lead:
            del filters[lead]
    if order.key is _TASKS.c.updated_at and "updated_since" in filters:
        served.append(filters.pop("updated_since"))
    if order.key is _TASKS.c.due_key and "due_before" in filters:
        del filters["due_before"]
        served.append(_TASKS.c.due_key < query["due_before"])
    if order.key is _TASKS.c.due_key and "due_after" in filters:
        # The filter itself stays too: the key of a task without a due date is after every date.
        served.append(_TASKS.c.due_key > query["due_after"])
    served += order.after(query.get("cursor"))
    return served, _looked_at(filters)


def _looked_at(filters: Mapping[str, Condition]) -> list[Condition]:
    """IS TRUE keeps the planner from reading along one of these instead of along the order, or
    what a member has: along the status it would read everybody's."""
    return [condition.is_(true()) for condition in filters.values()]


def _ordered(order: Order, conditions: list[Condition]) -> Select[Any]:
    rows = select(_TASKS, order.key.label("sort_key")).where(*conditions)
    return rows.order_by(*order.clauses())
