"""The SQL a piece of the server runs, caught where SQLite runs it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask, current_app

from config import Config
from task_app import bootstrap, create_app
from task_app.database import reading
from tests.support import databases, schema, server

# One statement run for many rows is shown once for each.
MANY = ("INSERT INTO events ", "INSERT INTO event_rooms ")


@dataclass
class Statements:
    """In order, as SQLite runs them, with their values; BEGIN, COMMIT and ROLLBACK too."""

    ran: list[str] = field(default_factory=list)

    def add(self, sql: str) -> None:
        last = self.ran[-1] if self.ran else ""
        if not any(sql.startswith(start) and last.startswith(start) for start in MANY):
            self.ran.append(sql)

    @property
    def verbs(self) -> str:
        """`BEGIN SELECT COMMIT`."""
        return " ".join(sql.split(None, 1)[0] for sql in self.ran)


def prepared(folder: Path) -> Flask:
    """An application in this process, with its database.  It serves nobody."""
    if server.DATABASE == "sqlite":
        schema.lay(folder)
    environ = databases.settings_of(folder) | {"ADMIN_PASSWORD": "correct horse battery"}
    app = create_app(Config(environ, async_mode="threading"))
    bootstrap.prepare(app)
    return app


def database(app: Flask) -> sqlite3.Connection:
    """A connection of the test's own, which commits each statement at once."""
    return sqlite3.connect(Path(app.instance_path) / "tasks.db", isolation_level=None)


@contextmanager
def recorded() -> Iterator[Statements]:
    """What SQLite runs for the application meanwhile."""
    found = Statements()
    with reading():
        pass  # there is a connection now, and one is all that a single thread uses
    sessions = current_app.extensions["task_app.database"].free
    for session in sessions:
        session.driver.set_trace_callback(found.add)
    try:
        yield found
    finally:
        for session in sessions:
            session.driver.set_trace_callback(None)
