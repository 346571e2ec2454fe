"""How often one may try: login, registration, a new password, broadcast.

The address that counts is the peer's own, or the client's behind a trusted gateway
(`proxies.py`).  From anybody else `X-Forwarded-For` is not looked at: anybody can write it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, request

from task_app import jsonio
from task_app.extensions import limiter
from task_app.resources.base import current_actor
from task_app.schemas.user import login_name

LOGIN, REGISTRATION, PASSWORD, BROADCAST = "login", "registration", "password", "broadcast"


def peer() -> str:
    return request.remote_addr or ""


def peer_and_account() -> str:
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


_RULES: dict[str, tuple[tuple[str, Callable[[], str]], ...]] = {
    LOGIN: (("10 per minute", peer_and_account), ("300 per minute", peer)),
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


def register(app: Flask) -> None:
    limiter.init_app(app)
