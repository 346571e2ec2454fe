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
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    bindparam,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from task_app import access
from task_app.access import Actor
from task_app.extensions import table
from task_app.models import Task
from task_app.models.task import DONE, DUE_KEY, PRIORITIES, PRIORITY_KEY, STATUSES
from task_app.pages import Order, Page, cut
from task_app.queries import TASK_COLUMNS, task_dict
from task_app.transactions import Prepared, Transaction

WINDOW = 2_000
ESCAPE = "/"

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
# Columns of the union, and of the page made of it, by name.
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


def _finding(column: ColumnElement[Any]) -> Condition:
    return column.icontains(bindparam("q"), escape=ESCAPE)


def _is(name: str) -> Condition:
    return _TASKS.c[name] == bindparam(name)


_FILTERS: dict[str, Condition] = {
    **{name: _is(name) for name in ("status", "priority", "due_date", *_PEOPLE)},
    "done": _TASKS.c.status == DONE,
    "not done": _TASKS.c.status.in_([literal_column(f"'{s}'") for s in STATUSES if s != DONE]),
    "due_before": _TASKS.c.due_date < bindparam("due_before"),
    "due_after": _TASKS.c.due_date > bindparam("due_after"),
    "updated_since": _TASKS.c.updated_at >= bindparam("updated_since"),
    "q": or_(_finding(_TASKS.c.title), _finding(_TASKS.c.description)),
}


@dataclass(frozen=True)
class Shape:
    """What the statement of a list depends on; everything else is a parameter of it.

    `everything` is whether the actor sees all tasks, `filters` are the names of those asked for,
    `continued` whether there is a cursor.
    """

    everything: bool
    filters: tuple[str, ...]
    sort: str
    continued: bool


@dataclass(frozen=True)
class Listing:
    """How a list of one shape is read.  `window` finds the row at which the page ends whatever
    was found until there, and `within` is `page` up to that row."""

    order: Order
    page: Prepared
    window: Prepared | None = None
    within: Prepared | None = None


def list_tasks(tx: Transaction, actor: Actor, query: Mapping[str, Any]) -> Page:
    """A page of the tasks this actor may see that match `query` (`schemas.task.TaskQuery`).

    Sorted as asked; else by what a range speaks of (`updated_since`: by `updated_at`), else by id.
    """
    limit = query["limit"]
    listing = _listing(_shape(actor, query))
    parameters = _parameters(actor, query, listing.order)
    statement, end = listing.page, None
    if listing.window is not None and listing.within is not None:
        ends = tx.run(listing.window, parameters | {"window": WINDOW - 1})
        if ends:
            [end] = ends
            statement = listing.within
            parameters |= {"end_id": end[0], "end_key": end[-1]}
    rows, cursor = cut(tx.run(statement, parameters), limit, listing.order)
    if cursor is None and end is not None:
        cursor = listing.order.cursor(end)
    return Page([task_dict(row) for row in rows], cursor)


def _shape(actor: Actor, query: Mapping[str, Any]) -> Shape:
    names = ["not done" if name == "done" and not query[name] else name for name in query]
    filters = tuple(name for name in _FILTERS if name in names)
    ranges = [key for name, key in _RANGES.items() if name in query]
    sort = query.get("sort") or (ranges[0] if ranges else "id")
    return Shape(access.sees_all_tasks(actor), filters, sort, "cursor" in query)


def _parameters(actor: Actor, query: Mapping[str, Any], order: Order) -> dict[str, Any]:
    """Raises 400 for a cursor of another list."""
    found = {**query, "me": actor.id, "most": query["limit"] + 1}
    if "cursor" in query:
        found["cursor_key"], found["cursor_id"] = order.position(query["cursor"])
    if "priority" in query:
        found["priority_key"] = PRIORITIES.index(query["priority"])
    if "q" in query:  # `%` and `_` stand for themselves
        for special in (ESCAPE, "%", "_"):
            found["q"] = found["q"].replace(special, ESCAPE + special)
    return found


@lru_cache(maxsize=1000)
def _listing(shape: Shape) -> Listing:
    filters = {name: _FILTERS[name] for name in shape.filters}
    branches = _branches(shape, filters)
    if branches:
        order = _order(shape, _MEMBERS_KEYS)
        return Listing(order, Prepared(_merged(shape, order, filters, branches)))
    order = _order(shape, _SORT_KEYS)
    served, rest = _split(shape, filters, order)
    page = _ordered(order, [*served, *rest])
    if not rest:
        return Listing(order, Prepared(page.limit(bindparam("most"))))
    window = _ordered(order, served).offset(bindparam("window")).limit(1)
    until = order.until(bindparam("end_key", type_=order.key.type), bindparam("end_id"))
    within = page.where(until).limit(bindparam("most"))
    return Listing(
        order, Prepared(page.limit(bindparam("most"))), Prepared(window), Prepared(within)
    )


def _branches(shape: Shape, filters: dict[str, Condition]) -> list[Condition]:
    """Conditions that each have an index by person: those of what the actor may see; for one who
    sees everything that of the person asked for, taken out of `filters`; or none."""
    if not shape.everything:
        return list(access.OWN_TASKS)
    person = next((name for name in _PEOPLE if name in filters), None)
    return [] if person is None else [filters.pop(person)]


def _merged(
    shape: Shape, order: Order, filters: Mapping[str, Condition], branches: list[Condition]
) -> Select[Any]:
    """The ids of the page, out of the branches' indexes; then their rows."""
    if order.key is order.id and filters and "q" not in filters:
        # A sum is in no index, so the planner takes the index with the filters' columns, and
        # not the one in order of id with a look at each row until enough of them match.
        order = replace(order, key=_TASKS.c.id + literal_column("0"))
    conditions = [*_after(shape, order), *_looked_at(filters)]
    parts = [
        select(_TASKS.c.id, order.key.label("sort_key")).where(branch, *conditions)
        for branch in branches
    ]
    merged = union_all(*parts).order_by(*replace(order, key=_SORT_KEY, id=_ID).clauses())
    page = merged.limit(bindparam("most")).subquery("page")
    rows = select(*TASK_COLUMNS, _PAGE_KEY.label("sort_key")).join(page, _TASKS.c.id == _PAGE_ID)
    return rows.order_by(*replace(order, key=_PAGE_KEY, id=_PAGE_ID).clauses())


def _order(shape: Shape, keys: Mapping[str, ColumnElement[Any]]) -> Order:
    sort = shape.sort
    return Order(sort, keys[sort.lstrip("-")], _TASKS.c.id, sort.startswith("-"))


def _after(shape: Shape, order: Order) -> list[Condition]:
    if not shape.continued:
        return []
    return [order.beyond(bindparam("cursor_key", type_=order.key.type), bindparam("cursor_id"))]


def _split(
    shape: Shape, filters: dict[str, Condition], order: Order
) -> tuple[list[Condition], list[Condition]]:
    """The conditions an index serves together with the order, and those that look at each row."""
    served: list[Condition] = []
    if order.key is _TASKS.c.id:
        lead = next((name for name in _LEADS if name in filters), None)
        if lead == "due_date":
            served.append(_TASKS.c.due_key == bindparam("due_date"))
        elif lead == "priority":
            served.append(_TASKS.c.priority_key == bindparam("priority_key"))
        elif lead:
            served.append(filters[lead])
        if lead:
            del filters[lead]
    if order.key is _TASKS.c.updated_at and "updated_since" in filters:
        served.append(filters.pop("updated_since"))
    if order.key is _TASKS.c.due_key and "due_before" in filters:
        del filters["due_before"]
        served.append(_TASKS.c.due_key < bindparam("due_before"))
    if order.key is _TASKS.c.due_key and "due_after" in filters:
        # The filter itself stays too: the key of a task without a due date is after every date.
        served.append(_TASKS.c.due_key > bindparam("due_after"))
    return [*served, *_after(shape, order)], _looked_at(filters)


def _looked_at(filters: Mapping[str, Condition]) -> list[Condition]:
    """IS TRUE keeps the planner from reading along one of these instead of along the order, or
    what a member has: along the status it would read everybody's."""
    return [condition.is_(true()) for condition in filters.values()]


def _ordered(order: Order, conditions: list[Condition]) -> Select[Any]:
    rows = select(*TASK_COLUMNS, order.key.label("sort_key")).where(*conditions)
    return rows.order_by(*order.clauses())
