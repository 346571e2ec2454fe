"""What a server does before it listens: the schema, the first admin, the relay's place."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import Flask
from sqlalchemy import exists, select
from sqlalchemy.exc import DBAPIError

from task_app import auth, database
from task_app.access import SYSTEM
from task_app.commands import execute
from task_app.demo import ADMIN_PASSWORD, seed
from task_app.errors import AppError
from task_app.extensions import db
from task_app.models import MIGRATIONS, User
from task_app.models.user import ADMIN
from task_app.realtime.relay import relay

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")
BEHIND = "The database's schema is behind this version; run `flask --app app db upgrade`."


class StartError(Exception):
    """Why the server cannot start, in one sentence for the operator."""


def prepare(app: Flask, *, demo: bool = False) -> None:
    """Make the application ready to serve, with sample data for a demo.  Raises `StartError`."""
    if demo:
        if app.config["HOST"] not in LOOPBACK:
            raise StartError("--demo has a password everybody knows: set HOST to 127.0.0.1.")
        app.config["ADMIN_PASSWORD"] = ADMIN_PASSWORD
    try:
        with app.app_context():
            _check_writable(app)
        with app.app_context(), _one_at_a_time(app):
            settle(app)
            _ensure_admin(app)
            if demo:
                seed()
        auth.known_tokens.clear()
        relay.start(app)
    except (DBAPIError, OSError, database.Busy) as error:
        raise StartError(database.sentence(error)) from error
    except AppError as error:
        raise StartError(f"The server cannot be set up: {error.message}.") from error


def _check_writable(app: Flask) -> None:
    """Refuse what is read-only: SQLite would open it all the same, and every write would fail.
    Raises `StartError`."""
    paths = [Path(app.instance_path)]
    if db.engine.dialect.name == "sqlite":
        database_file = Path(db.engine.url.database or "")
        paths += [database_file.parent, *([database_file] if database_file.exists() else [])]
    for path in paths:
        if not os.access(path, os.W_OK):
            raise StartError(f"{path} is read-only; let this user write to it.")


def settle(app: Flask) -> None:
    """Bring the schema and the log up to this version and its settings.  Raises `StartError`."""
    _check_schema(app)
    execute(SYSTEM, "server.settle_log", {})


@contextmanager
def _one_at_a_time(app: Flask) -> Iterator[None]:
    """Processes that start together migrate and make the admin one after the other."""
    with open(Path(app.instance_path) / ".start.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with database.alone():  # they may stand on several machines
            yield


def schema_is_current() -> bool:
    """Whether the database has this version's schema.  Raises `StartError` for a newer one."""
    with db.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return is_newest(current)


def is_newest(revision: str | None) -> bool:
    """Whether a schema is this version's.  Raises `StartError` for one of a newer version."""
    script = ScriptDirectory(str(MIGRATIONS))
    known = {one.revision for one in script.walk_revisions()}
    if revision is not None and revision not in known:
        raise StartError(
            f"The database was made by a newer version of this server (schema {revision}); "
            "upgrade the server or point DATABASE_URL to another database."
        )
    return revision == script.get_current_head()


def _check_schema(app: Flask) -> None:
    """Bring SQLite to this version's schema; ask for it elsewhere, where others run too."""
    if schema_is_current():
        return
    if db.engine.dialect.name != "sqlite":
        raise StartError(BEHIND)
    migrations = app.extensions["migrate"].migrate.get_config(str(MIGRATIONS))
    try:
        command.upgrade(migrations, "head")
    except CommandError as error:
        raise StartError(str(error)) from error


def _ensure_admin(app: Flask) -> None:
    """Make the first admin, with a password nobody else knows."""
    with database.reading() as tx:
        if tx.execute(select(exists().where(User.role == ADMIN))).scalar_one():
            return
    password = app.config["ADMIN_PASSWORD"]
    made_up = password is None
    if made_up:
        password = secrets.token_urlsafe(12)
        path = Path(app.instance_path) / "admin_password"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password + "\n")
    email = app.config["ADMIN_EMAIL"]
    account = {"username": "admin", "email": email, "password": password, "role": ADMIN}
    execute(SYSTEM, "user.create", account)
    if made_up:
        # For the terminal alone, and only now: the log must never hold a password.
        print(f"\n  First start: the admin is {email}, password {password}", flush=True)
        print(f"  (kept in {path})\n", flush=True)
