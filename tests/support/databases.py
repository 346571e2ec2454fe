"""An instance's database from beside its server, whichever engine it is on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from config import Config
from tests.support import server


def settings_of(instance: Path) -> dict[str, str]:
    """The settings by which an application of this process uses the instance's database."""
    settings = {"INSTANCE_PATH": str(instance), "RATELIMIT_ENABLED": "0"}
    settings["HASH_COST"] = server.HASH_COST
    if server.database_of is not None:
        settings["DATABASE_URL"] = server.database_of(instance)
    return settings


def run(
    instance: Path, statement: str, *, database: str | None = None, **values: Any
) -> list[tuple[Any, ...]]:
    """Run one statement and commit it; `:name` stands for a value.  `database` is the
    URL of one that the server was told of.  Returns its rows; for a change one row for each it
    changed."""
    settings = settings_of(instance) | ({"DATABASE_URL": database} if database else {})
    url = Config(settings, async_mode="threading").SQLALCHEMY_DATABASE_URI
    wait = {"timeout": 10} if url.startswith("sqlite") else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=wait)
    with engine.begin() as connection:
        done = connection.execute(text(statement), values)
        return [tuple(row) for row in done] if done.returns_rows else [()] * done.rowcount


@contextmanager
def locked(served: server.Server) -> Iterator[None]:
    """Meanwhile nobody else can write to the server's SQLite file."""
    database = sqlite3.connect(served.instance / "tasks.db", isolation_level=None, timeout=10)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        database.execute("ROLLBACK")
        database.close()
