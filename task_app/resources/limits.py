"""How often one may try: login, registration, a new password, broadcast.

The address that counts is the peer's own, or the client's behind a trusted gateway
(`proxies.py`).  From anybody else `X-Forwarded-For` is not looked at: anybody can write it.

A try to sign in counts for the name it gives, and for the account of that name: else its e-mail
address would be good for as many more.  Past the second limit the answer is that of a wrong
password, whatever the password: a 429 would tell whose address belongs to which name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, request
from limits import parse

from task_app import database, jsonio, queries
from task_app.errors import AppError
from task_app.extensions import limiter
from task_app.resources.base import current_actor
from task_app.schemas.user import for_nobody, is_name, login_name

log = logging.getLogger(__name__)
LOGIN, REGISTRATION, PASSWORD, BROADCAST = "login", "registration", "password", "broadcast"


def peer() -> str:
    return request.remote_addr or ""


def peer_and_name() -> str:
    """Guessing one account's password from one place is slowed down; its owner, elsewhere, is
    not locked out."""
    try:
        payload = jsonio.loads(request.get_data())
        name = login_name(payload) if isinstance(payload, dict) else None
    except jsonio.JsonError:
        name = None
    return f"{peer()} {str(name).lower()[:254]}"


def account() -> str:
    """Whoever is signed in, with whatever token.  Raises 401 for a bad one."""
    return str(current_actor().id or peer())


TRIES = "10 per minute"
_RULES: dict[str, tuple[tuple[str, Callable[[], str]], ...]] = {
    LOGIN: ((TRIES, peer_and_name), ("300 per minute", peer)),
    REGISTRATION: (("30 per minute", peer),),
    PASSWORD: (("10 per minute", account),),
    BROADCAST: (("60 per minute", account),),
}


def limited(rule: str) -> Callable[[Any], Any]:
    """Decorator of a view: so often and no more.  Answers 429 with `Retry-After`."""

    def decorate(view: Any) -> Any:
        for limit, key in _RULES[rule]:
            # Shared: a view has one URL for each prefix and name, and all of them count together.
            view = limiter.shared_limit(limit, scope=rule, key_func=key)(view)
        return view

    return decorate


def within_tries(payload: Any) -> Any:
    """A try to sign in as it came, or, when this peer has had its tries at the account, one that
    fails after the same work."""
    if not limiter.enabled or not isinstance(payload, dict):
        return payload
    name = login_name(payload)
    account_id = _account_named(name) if is_name(name) else None
    if account_id is None or _counted(f"{peer()} {account_id}"):
        return payload
    return for_nobody(payload)


def _account_named(name: str) -> int | None:
    try:
        with database.reading() as tx:
            found = queries.users_by_name(tx, name)
    except (AppError, database.Busy):
        return None  # nobody signs in then
    return found[0].id if len(found) == 1 else None


def _counted(key: str) -> bool:
    """Count a try; False when there have been too many."""
    try:
        return limiter.limiter.hit(parse(TRIES), "login account", key)
    except Exception as error:  # whatever the storage raises: it was there for the name
        log.warning("a try to sign in could not be counted: %s", error)
        return True


def register(app: Flask) -> None:
    limiter.init_app(app)
