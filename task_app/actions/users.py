"""Accounts: making them, signing in and out, and what admins do with them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, Row, delete, insert, or_, select, update

from task_app import access, auth, events, queries
from task_app.access import Actor
from task_app.actions import tasks
from task_app.actions.call import Call
from task_app.errors import AppError, invalid, unauthorized
from task_app.extensions import table
from task_app.models import Notification, RevokedToken, Task, User
from task_app.models.user import ADMIN, MEMBER
from task_app.schemas.user import login_name
from task_app.transactions import Transaction

_USERS = table(User)
_TASKS = table(Task)
_NOTIFICATIONS = table(Notification)
RIGHTS = frozenset({"role", "is_active"})  # what nobody but an admin gives or takes


def hash_new_password(actor: Actor, data: Mapping[str, Any]) -> dict[str, Any]:
    """Slow work before the transaction: the password becomes its hash."""
    if "password" not in data:
        return dict(data)
    rest = {name: value for name, value in data.items() if name != "password"}
    return {**rest, "password_hash": auth.hash_password(data["password"])}


def create_user(tx: Transaction, call: Call) -> dict[str, Any]:
    """Make an account as an admin.  Raises 403, 409."""
    access.check_admin(call.actor)
    return _insert(tx, call.data)


def register_user(tx: Transaction, call: Call) -> dict[str, Any]:
    """Make one's own account.  Raises 403 for another role than a member's, 409."""
    if call.data.get("role", MEMBER) != MEMBER:
        access.check_admin(call.actor)
    return _insert(tx, call.data)


def _insert(tx: Transaction, data: Mapping[str, Any]) -> dict[str, Any]:
    _check_names_free(tx, data)
    row = tx.execute(
        insert(_USERS)
        .values(
            username=data["username"],
            email=data.get("email"),
            password_hash=data.get("password_hash"),
            external_id=data.get("external_id"),
            role=data.get("role", MEMBER),
            is_active=True,
            date_joined=tx.now,
            token_generation=0,
            sight_seq=0,
        )
        .returning(_USERS)
    ).one()
    return {"message": "User created successfully", "user": queries.user_dict(row)}


def _check_names_free(tx: Transaction, data: Mapping[str, Any], own_id: int | None = None) -> None:
    """Raises 409 when the username or the address is taken, in any case and as a name of either
    kind: nobody may sign in with what looks like another's name."""
    for field in ("username", "email"):
        name = data.get(field)
        if name and any(row.id != own_id for row in queries.users_by_name(tx, name)):
            raise AppError("user_exists", 409, f"This {field} is taken")


def adopt_user(tx: Transaction, call: Call) -> dict[str, Any]:
    """Make the account of somebody whose tokens come from another issuer, at the first one.

    An account that has the same address already is left alone: the address in a token is no
    proof that the two are one person.
    """
    data = dict(call.data)
    if queries.user_by_external_id(tx, data["external_id"]) is None:
        wanted = data["username"]
        for number in range(1, 1000):
            if not queries.users_by_name(tx, data["username"]):
                break
            data["username"] = f"{wanted[:140]} {number}"
        if data.get("email") and queries.users_by_name(tx, data["email"]):
            data["email"] = None
        _insert(tx, data)
    return {}


def check_credentials(actor: Actor, data: Mapping[str, Any]) -> dict[str, Any]:
    """Slow work before the transaction: who is signing in?  Raises 401."""
    user_id, generation = auth.check_login(login_name(data), data["password"])
    return {"user_id": user_id, "generation": generation}


def login(tx: Transaction, call: Call) -> dict[str, Any]:
    """Start a session.  Returns the tokens and the user.

    Raises 401 when the account was disabled, deleted or given another password since the
    password was checked.
    """
    same = _USERS.c.token_generation == call.data["generation"]
    user = _change_if(tx, call.data["user_id"], same, last_login=tx.now)
    if user is None:
        raise auth.bad_credentials()
    return auth.issue(user)


def check_refresh_token(actor: Actor, data: Mapping[str, Any]) -> dict[str, Any]:
    """Whose refresh token is this?  Raises 401."""
    holder = auth.verify(data["refresh_token"], auth.REFRESH)
    return {"user_id": holder.id, "generation": holder.generation, "session": holder.session}


def refresh(tx: Transaction, call: Call) -> dict[str, Any]:
    """A new access token of the same session.  Raises 401 when that ended after the check."""
    user = queries.user_by_id(tx, call.data["user_id"])
    if user is None or user.token_generation != call.data["generation"]:
        raise unauthorized()
    if queries.is_revoked(tx, call.data["session"]):
        raise unauthorized()
    return auth.issue(user, session=call.data["session"])


def logout(tx: Transaction, call: Call) -> dict[str, Any]:
    """End the token's session: its access and refresh token stop working, its sockets close."""
    actor = call.actor
    if actor.session is not None and not queries.is_revoked(tx, actor.session):
        life = current_app.config["JWT_REFRESH_TOKEN_EXPIRES"].total_seconds()
        ends = max(time.time() + life, actor.expires_at or 0)
        tx.execute(insert(RevokedToken).values(session=actor.session, expires_at=int(ends)))
        session = {"user_id": actor.id, "session": actor.session}
        events.record(tx, actor, "session_revoked", session)
    return {"message": "Logged out"}


def check_password_change(actor: Actor, data: Mapping[str, Any]) -> dict[str, Any]:
    """Slow work before the transaction: the old password is checked, the new one hashed."""
    user_id, generation = auth.check_login(actor.username, data["old_password"])
    if user_id != actor.id:
        raise auth.bad_credentials()
    return {
        "generation": generation,
        "password_hash": auth.hash_password(data["new_password"]),
    }


def change_password(tx: Transaction, call: Call) -> dict[str, Any]:
    """Every session of the account ends but the new one that is returned.

    Raises 401 when they ended already since the old password was checked.
    """
    generation = call.data["generation"]
    row = _change_if(
        tx,
        call.actor.id or 0,
        _USERS.c.token_generation == generation,
        token_generation=generation + 1,
        password_hash=call.data["password_hash"],
    )
    if row is None:
        raise auth.bad_credentials()
    _record(tx, call.actor, row, ended=True)
    return {**auth.issue(row), "message": "Password changed; other sessions were ended"}


def update_profile(tx: Transaction, call: Call) -> dict[str, Any]:
    """Change one's own e-mail address or username; an admin's role too.  Raises 403, 409."""
    return _update(tx, call, call.actor.id or 0)


def update_user(tx: Transaction, call: Call) -> dict[str, Any]:
    """Change any account as an admin: names, password, role, `is_active`.  Raises 403, 404, 409."""
    access.check_admin(call.actor)
    return _update(tx, call, call.target_id)


def _update(tx: Transaction, call: Call, user_id: int) -> dict[str, Any]:
    before = queries.access_user_by_id(tx, call.actor, user_id, for_change=True)
    changed = {name: value for name, value in call.data.items() if getattr(before, name) != value}
    if not changed:
        return queries.user_dict(before)
    if not RIGHTS.isdisjoint(changed):
        # Whoever changes their own is what the row says: another process may have made it another
        # a moment ago.
        own = call.actor.id == before.id
        access.check_admin(replace(call.actor, role=before.role) if own else call.actor)
    _check_names_free(tx, changed, before.id)
    if before.role == ADMIN and (changed.get("role") or changed.get("is_active") is False):
        _check_other_admin(tx, before.id)
    # A new password or a disabled account ends every session.
    ended = "password_hash" in changed or changed.get("is_active") is False
    if ended:
        changed["token_generation"] = before.token_generation + 1
    if "role" in changed:
        # What an admin sees appears or vanishes as a whole: no event tells of each task.
        changed["sight_seq"] = events.next_seq(tx)
    row = _change(tx, before.id, **changed)
    _record(tx, call.actor, row, ended=ended)
    return queries.user_dict(row)


def delete_user(tx: Transaction, call: Call) -> dict[str, Any]:
    """Delete an account as an admin.

    Its own tasks go to `reassign_to` (by default the admin), tasks assigned to it lose their
    assignee, its notifications are deleted.  Raises 403, 404, 409 for the last admin.
    """
    access.check_admin(call.actor)
    user = queries.access_user_by_id(tx, call.actor, call.target_id, for_change=True)
    if user.role == ADMIN:
        _check_other_admin(tx, user.id)
    heir = call.data.get("reassign_to", call.actor.id)
    if heir == user.id or heir is None:
        raise invalid({"reassign_to": ["Name another user."]})
    tasks.check_users(tx, call.actor.id, reassign_to=heir)
    theirs = select(_TASKS).where(or_(_TASKS.c.user_id == user.id, _TASKS.c.assigned_to == user.id))
    for row in tx.execute(theirs.order_by(_TASKS.c.id)).all():
        change: dict[str, Any] = {"user_id": heir} if row.user_id == user.id else {}
        if row.assigned_to == user.id:
            change["assigned_to"] = None
        tasks.update_task(tx, Call(call.actor, change, row.id))
    tx.execute(delete(_NOTIFICATIONS).where(_NOTIFICATIONS.c.user_id == user.id))
    tx.execute(delete(_USERS).where(_USERS.c.id == user.id))
    _record(tx, call.actor, user, ended=True)
    return {"message": "User deleted successfully"}


def _check_other_admin(tx: Transaction, user_id: int) -> None:
    """Raises 409 when this is the only admin who can sign in."""
    others = (_USERS.c.role == ADMIN, _USERS.c.is_active.is_(True), _USERS.c.id != user_id)
    # Held, so that two admins cannot take each other's place away at once.
    if not tx.execute(select(_USERS.c.id).where(*others).with_for_update()).all():
        raise AppError("last_admin", 409, "There must be another active admin first")


def _change(tx: Transaction, user_id: int, **values: Any) -> Row[Any]:
    statement = update(_USERS).where(_USERS.c.id == user_id).values(**values).returning(_USERS)
    return tx.execute(statement).one()


def _change_if(
    tx: Transaction, user_id: int, condition: ColumnElement[bool], **values: Any
) -> Row[Any] | None:
    statement = update(_USERS).where(_USERS.c.id == user_id, condition).values(**values)
    return tx.execute(statement.returning(_USERS)).one_or_none()


def _record(tx: Transaction, actor: Actor, user: Row[Any], *, ended: bool) -> None:
    """Tell every process that what it remembers of this account is out of date."""
    data = {"user_id": user.id, "username": user.username, "role": user.role, "ended": ended}
    events.record(tx, actor, "user_changed", data)
