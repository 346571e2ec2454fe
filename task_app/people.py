"""Who has an account, and who of them is here.

Names are for everyone signed in: a task is assigned to somebody, and an event tells who did it.
Addresses and roles are for admins (`queries.list_users`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, select

from task_app import presence
from task_app.access import Actor
from task_app.extensions import table
from task_app.models import User
from task_app.pages import Order, Page, cut
from task_app.realtime.feeds import feeds
from task_app.transactions import Transaction

_USERS = table(User)
_ORDER = Order("id", _USERS.c.id, _USERS.c.id)
_NAMED = (
    select(_USERS.c.id, _USERS.c.username)
    .where(_USERS.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_USERS.c.id)
)
_COLUMNS = (_USERS.c.id, _USERS.c.username, _USERS.c.is_active)


def here(tx: Transaction) -> set[int]:
    """The ids of the people who are connected, to whatever process."""
    return feeds.people() | presence.people_elsewhere(tx)


def named(tx: Transaction, ids: Iterable[int]) -> list[dict[str, Any]]:
    """`{"id", "username"}` of those of these accounts that there are, by id."""
    rows = tx.execute(_NAMED, {"ids": list(ids)})
    return [{"id": row.id, "username": row.username} for row in rows]


def list_people(tx: Transaction, actor: Actor, query: Mapping[str, Any]) -> Page:
    """A page of the people with an account, by id; with `here`, of those who are (or are not)
    connected to any process."""
    present = here(tx)
    conditions = _ORDER.after(query.get("cursor"))
    if "here" in query:
        among = _USERS.c.id.in_(sorted(present))
        conditions.append(among if query["here"] else ~among)
    statement = (
        select(*_COLUMNS, _USERS.c.id.label("sort_key"))
        .where(*conditions)
        .order_by(*_ORDER.clauses())
        .limit(query["limit"] + 1)
    )
    rows, cursor = cut(tx.execute(statement).all(), query["limit"], _ORDER)
    found = [
        {"id": id_, "username": name, "is_active": active, "here": id_ in present}
        for id_, name, active, _ in rows
    ]
    return Page(found, cursor)
