"""Databases of a private PostgreSQL: one for each instance folder, made from a template."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg

from deploy.services import PostgreSQL
from tests.support import cli

TEMPLATE = "template_tasks"


class Databases:
    """The PostgreSQL of a test session."""

    def __init__(self) -> None:
        self.server = PostgreSQL()
        self.names: dict[Path, str] = {}

    def start(self) -> Databases:
        self.server.start()
        self.query(f"CREATE DATABASE {TEMPLATE}")
        migrate(self.server.url(TEMPLATE), self.server.folder)
        return self

    def of(self, instance: Path) -> str:
        """The URL of this instance's database, made and migrated at the first call."""
        if instance not in self.names:
            name = f"tasks_{len(self.names)}"
            self.query(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
            self.names[instance] = name
        return self.server.url(self.names[instance])

    def connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.url(name), autocommit=True)

    def query(self, statement: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser; its rows, if it has any."""
        with self.connect(name) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []


def migrate(url: str, instance: Path) -> None:
    """What an operator runs before the first start and after an upgrade."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env = kept | {"DATABASE_URL": url, "INSTANCE_PATH": str(instance / "instance")}
    cli.run(["db", "upgrade"], env).good()
