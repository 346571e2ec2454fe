"""Bare instances of the Flask extensions; `create_app` binds them to the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_migrate import Migrate
from flask_socketio import SocketIO
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Table
from sqlalchemy.orm import DeclarativeBase

T = TypeVar("T")


class Model(DeclarativeBase):
    """Base of every table."""


def table(model: type[Model]) -> Table:
    """The table of a model: statements are written against tables, rows become plain dicts."""
    return cast(Table, model.__table__)


class ViewLimiter(Limiter):
    """The limits of single views, and no others: what Flask-Limiter does before every request to
    find out that none applies was a third of a GET."""

    def _check_request_limit(
        self, callable_name: str | None = None, in_middleware: bool = True
    ) -> None:
        if not in_middleware:  # called by a view's own limit
            super()._check_request_limit(callable_name, in_middleware)


class Database(SQLAlchemy):
    """Nobody here uses its session; to look for one to remove was 2 % of a GET."""

    def _teardown_session(self, exc: BaseException | None) -> None:
        if self.session.registry.registry:
            super()._teardown_session(exc)


db = Database(model_class=Model)
limiter = ViewLimiter(lambda: "")  # each limit names its own key
migrate = Migrate()
jwt = JWTManager()
socketio = SocketIO()


class Offload:
    """Runs CPU-heavy calls (password hashing) where they do not hold up the connections.

    In place as it comes; the eventlet start-up puts a pool of native threads here, because the
    hub serves nobody while a hash is computed on its thread.
    """

    def __init__(self) -> None:
        self.runner: Callable[..., Any] = lambda call, *args: call(*args)

    def __call__(self, call: Callable[..., T], *args: Any) -> T:
        return self.runner(call, *args)


class HubTurns:
    """How often eventlet's hub has been round: requests that it found together have the same
    number.  The eventlet start-up says how to ask; elsewhere there is no hub."""

    def __init__(self) -> None:
        self.count: Callable[[], int] = lambda: 0

    def __call__(self) -> int:
        return self.count()


hub_turns = HubTurns()
offload = Offload()
