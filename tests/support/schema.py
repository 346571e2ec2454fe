"""A database that has the schema and nothing else, made once for each process of the suite.

The migrations took half of the start of a server.  That of a server that starts on nothing is in
test_first_start.py, and with the program itself (`AppPy`).
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import tempfile
from contextlib import closing, suppress
from functools import cache
from pathlib import Path


@cache
def _migrated() -> tuple[bytes, bytes]:
    """The file, and the epoch of its log, which no other may have."""
    from flask_migrate import upgrade

    from config import Config
    from task_app import create_app
    from task_app.extensions import db
    from task_app.models import MIGRATIONS

    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Config({"INSTANCE_PATH": folder}, async_mode="threading"))
        with app.app_context():
            upgrade(str(MIGRATIONS))
            db.engine.dispose()
        file = Path(folder) / "tasks.db"
        with closing(sqlite3.connect(file)) as made:
            [epoch] = made.execute("SELECT epoch FROM log_head").fetchone()
        return file.read_bytes(), epoch.encode()


def lay(instance: Path) -> None:
    """Put it where SQLite's file of an instance will be, unless there is something."""
    path = instance / "tasks.db"
    if not instance.is_dir() or path.exists():
        return
    content, epoch = _migrated()
    assert content.count(epoch) == 1
    content = content.replace(epoch, secrets.token_hex(len(epoch) // 2).encode())
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
