"""The SQL a piece of the server runs, caught on its way to the driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import event

from config import Config
from task_app import bootstrap, create_app
from task_app.extensions import db
from tests.support import databases


@dataclass
class Statements:
    """In order, as the driver gets them: (SQL, parameters); BEGIN, COMMIT and ROLLBACK too."""

    ran: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def verbs(self) -> str:
        """`BEGIN SELECT COMMIT`."""
        return " ".join(sql.split(None, 1)[0] for sql, _ in self.ran)


def prepared(folder: Path) -> Flask:
    """An application in this process, its database made by the migrations.  It serves nobody."""
    environ = databases.settings_of(folder) | {"ADMIN_PASSWORD": "correct horse battery"}
    app = create_app(Config(environ, async_mode="threading"))
    bootstrap.prepare(app)
    return app


def database(app: Flask) -> sqlite3.Connection:
    """A connection of the test's own, which commits each statement at once."""
    return sqlite3.connect(Path(app.instance_path) / "tasks.db", isolation_level=None)


@contextmanager
def recorded() -> Iterator[Statements]:
    """What runs on the application's engine meanwhile."""
    found = Statements()

    def execute(_: Any, __: Any, sql: str, parameters: Any, ___: Any, many: bool) -> None:
        found.ran.append((sql, parameters[0] if many else parameters))

    # The engine begins and ends transactions past the cursor: SQLAlchemy's BEGIN is
    # `database.begin`'s statement, COMMIT and ROLLBACK are calls of the driver.
    listeners: dict[str, Callable[..., None]] = {
        "before_cursor_execute": execute,
        "commit": lambda _: found.ran.append(("COMMIT", ())),
        "rollback": lambda _: found.ran.append(("ROLLBACK", ())),
    }
    for name, listener in listeners.items():
        event.listen(db.engine, name, listener)
    try:
        yield found
    finally:
        for name, listener in listeners.items():
            event.remove(db.engine, name, listener)
