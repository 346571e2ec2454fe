"""Every read but the list of tasks (`task_lists.py`), on behalf of an actor.

Functions take the transaction, the actor and what is asked for, and return plain dicts in the
native form; `access_…` in a name says that the read raises 404 for what the actor may not see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, func, or_, select, union

from task_app import access, events
from task_app.access import Actor
from task_app.errors import not_found
from task_app.events import Event
from task_app.extensions import table
from task_app.models import (
    EventRoom,
    LogHead,
    Notification,
    RevokedToken,
    Task,
    User,
)
from task_app.models.task import DONE
from task_app.pages import Order, Page, cut
from task_app.transactions import Prepared, Transaction

_EVENTS = table(events.EventRow)
_TASKS = table(Task)
_USERS = table(User)
_NOTIFICATIONS = table(Notification)

# A task's columns in the order `task_dict` takes them.
TASK_COLUMNS = tuple(
    _TASKS.c[name]
    for name in (
        *("id", "title", "description", "status", "priority", "due_date", "user_id"),
        *("created_by", "assigned_to", "created_at", "updated_at", "version"),
    )
)
_TASK_BY_ID = select(*TASK_COLUMNS).where(_TASKS.c.id == bindparam("id"))
_READ_TASK = Prepared(_TASK_BY_ID)
_CHANGE_TASK = Prepared(_TASK_BY_ID.with_for_update())
_USER_BY_ID = select(_USERS).where(_USERS.c.id == bindparam("id"))
# As the databases fold the columns' case: PostgreSQL would fold a value that is no column's by its
# own locale.
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_USERS_BY_NAME = select(_USERS).where(
    or_(
        func.lower(_USERS.c.username) == bindparam("name"),
        func.lower(_USERS.c.email) == bindparam("name"),
    )
)
_USER_BY_EXTERNAL_ID = select(_USERS).where(_USERS.c.external_id == bindparam("external_id"))
_HOLDER_COLUMNS = (_USERS.c.id, _USERS.c.username, _USERS.c.role, _USERS.c.token_generation)
_HOLDER = Prepared(
    select(*_HOLDER_COLUMNS).where(
        _USERS.c.id == bindparam("id"),
        _USERS.c.is_active,
        ~select(RevokedToken.session).where(RevokedToken.session == bindparam("session")).exists(),
    )
)
_REVOKED = select(RevokedToken.session).where(RevokedToken.session == bindparam("session"))
_NOTIFICATION_BY_ID = select(_NOTIFICATIONS).where(_NOTIFICATIONS.c.id == bindparam("id"))
_UNREAD = select(func.count()).where(
    _NOTIFICATIONS.c.user_id == bindparam("user_id"), _NOTIFICATIONS.c.is_read.is_(False)
)


def _news(rooms: int) -> Prepared:
    """The head of the log, and the last event in each of so many rooms, as one row.  A subquery
    for each room: one `max` over all of them would read every event in them."""
    lasts = (
        select(func.max(EventRoom.seq)).where(EventRoom.room == bindparam(f"room_{n}"))
        for n in range(rooms)
    )
    columns = [last.scalar_subquery().label(f"last_{n}") for n, last in enumerate(lasts)]
    return Prepared(select(LogHead.seq, LogHead.epoch, LogHead.floor, *columns))


_NEWS = [_news(rooms) for rooms in range(4)]  # an admin is in three


def task_dict(row: Sequence[Any]) -> dict[str, Any]:
    """A task in the native form, of a row that begins with `TASK_COLUMNS`."""
    task_id, title, description, status, priority, due_date, user_id = row[:7]
    created_by, assigned_to, created_at, updated_at, version = row[7:12]
    return {
        "id": task_id,
        "title": title,
        "description": description,
        "done": status == DONE,
        "status": status,
        "priority": priority,
        "due_date": due_date,
        "user_id": user_id,
        "created_by": created_by,
        "assigned_to": assigned_to,
        "created_at": created_at,
        "updated_at": updated_at,
        "version": version,
    }


def user_dict(row: Any) -> dict[str, Any]:
    """An account in the native form, without anything secret."""
    return {
        "id": row.id,
        "username": row.username,
        "email": row.email,
        "role": row.role,
        "is_active": row.is_active,
        "date_joined": row.date_joined,
        "last_login": row.last_login,
    }


def access_task_by_id(
    tx: Transaction, actor: Actor, task_id: int, *, for_change: bool = False
) -> dict[str, Any]:
    """The task.  Raises 404 when there is none this actor may see.

    `for_change` keeps others from changing it until this transaction ends.
    """
    rows = tx.run(_CHANGE_TASK if for_change else _READ_TASK, {"id": task_id})
    task = task_dict(rows[0]) if rows else None
    if task is None or not actor.rooms.intersection(access.task_rooms(task)):
        raise not_found("task")
    return task


def news_of(tx: Transaction, actor: Actor) -> tuple[int, str, int]:
    """Where the log stands (`seq`, `epoch`), and the number of the last event this actor may
    see: as long as it stays, so do their lists."""
    rooms = {f"room_{n}": room for n, room in enumerate(actor.rooms)}
    [(seq, epoch, floor, *lasts)] = tx.run(_NEWS[len(rooms)], rooms)
    return seq, epoch, max(floor, *(last or 0 for last in lasts))


def events_for(tx: Transaction, actor: Actor, after: int, limit: int) -> list[Event]:
    """The next events after `after` that this actor may see.

    Read along `event_rooms`: what others did costs nothing, however much it is.
    """
    numbers = [
        select(EventRoom.seq)
        .where(EventRoom.room == room, EventRoom.seq > after)
        .order_by(EventRoom.seq)
        .limit(limit)
        for room in sorted(actor.rooms)
    ]
    together = union(*(select(part.subquery()) for part in numbers)).subquery()
    first = select(together.c.seq).order_by(together.c.seq).limit(limit)
    statement = select(_EVENTS).where(_EVENTS.c.seq.in_(first)).order_by(_EVENTS.c.seq)
    return events.read(tx, statement)


def list_users(tx: Transaction, actor: Actor, query: Mapping[str, Any]) -> Page:
    """A page of the accounts, by id.  Raises 403 unless the actor is an admin."""
    access.check_admin(actor)
    order = Order("id", _USERS.c.id, _USERS.c.id)
    statement = (
        select(_USERS, _USERS.c.id.label("sort_key"))
        .where(*order.after(query.get("cursor")))
        .order_by(*order.clauses())
        .limit(query["limit"] + 1)
    )
    rows, cursor = cut(tx.execute(statement).all(), query["limit"], order)
    return Page([user_dict(row) for row in rows], cursor)


def access_user_by_id(
    tx: Transaction, actor: Actor, user_id: int, *, for_change: bool = False
) -> Row[Any]:
    """The account: one's own, or any for an admin.  Raises 403 for others, 404 for none."""
    if actor.id != user_id:
        access.check_admin(actor)
    statement = _USER_BY_ID.with_for_update() if for_change else _USER_BY_ID
    row = tx.execute(statement, {"id": user_id}).one_or_none()
    if row is None:
        raise not_found("user")
    return row


def own_account(tx: Transaction, actor: Actor, query: Mapping[str, Any]) -> dict[str, Any]:
    """One's own account."""
    return user_dict(access_user_by_id(tx, actor, actor.id or 0))


def notification_dict(row: Any) -> dict[str, Any]:
    """A notification in the native form."""
    return {
        "id": row.id,
        "user_id": row.user_id,
        "task_id": row.task_id,
        "kind": row.kind,
        "message": row.message,
        "is_read": row.is_read,
        "created_at": row.created_at,
    }


def list_notifications(tx: Transaction, actor: Actor, query: Mapping[str, Any]) -> Page:
    """A page of the actor's own notifications, the newest first; `unread` is how many there are
    in all that have not been read."""
    order = Order("-id", _NOTIFICATIONS.c.id, _NOTIFICATIONS.c.id, descending=True)
    mine = [_NOTIFICATIONS.c.user_id == actor.id]
    if "is_read" in query:
        mine.append(_NOTIFICATIONS.c.is_read.is_(query["is_read"]))
    statement = (
        select(_NOTIFICATIONS, _NOTIFICATIONS.c.id.label("sort_key"))
        .where(*mine, *order.after(query.get("cursor")))
        .order_by(*order.clauses())
        .limit(query["limit"] + 1)
    )
    rows, cursor = cut(tx.execute(statement).all(), query["limit"], order)
    unread: int = tx.execute(_UNREAD, {"user_id": actor.id}).scalar_one()
    return Page([notification_dict(row) for row in rows], cursor, {"unread": unread})


def access_notification_by_id(tx: Transaction, actor: Actor, notification_id: int) -> Row[Any]:
    """One of the actor's own.  Raises 404."""
    row = tx.execute(_NOTIFICATION_BY_ID, {"id": notification_id}).one_or_none()
    if row is None or row.user_id != actor.id:
        raise not_found("notification")
    return row


def user_by_id(tx: Transaction, user_id: int) -> Row[Any] | None:
    return tx.execute(_USER_BY_ID, {"id": user_id}).one_or_none()


class Holder(NamedTuple):
    """Whose a token is."""

    id: int
    username: str
    role: str
    token_generation: int


def holder(tx: Transaction, user_id: int, session: str) -> Holder | None:
    """Who a token of this session stands for; None when the account is gone or disabled, or the
    session was ended."""
    rows = tx.run(_HOLDER, {"id": user_id, "session": session})
    return Holder(*rows[0]) if rows else None


def users_by_name(tx: Transaction, name: str) -> list[Row[Any]]:
    """Accounts whose username or e-mail address is `name`, whatever the case (at most one,
    as long as `actions.users` lets nobody take another's address for a username)."""
    return list(tx.execute(_USERS_BY_NAME, {"name": name.translate(_LOWER)}))


def user_by_external_id(tx: Transaction, external_id: str) -> Row[Any] | None:
    return tx.execute(_USER_BY_EXTERNAL_ID, {"external_id": external_id}).one_or_none()


def is_revoked(tx: Transaction, session: str) -> bool:
    return tx.execute(_REVOKED, {"session": session}).one_or_none() is not None
