"""The write-ahead log of SQLite reaches the file without a commit that waits for the disk."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from task_app import database
from task_app.access import SYSTEM, Actor
from task_app.commands import execute
from task_app.extensions import offload
from task_app.models.user import ADMIN
from tests.conftest import sqlite_only
from tests.support import statements

pytestmark = sqlite_only

BOSS = Actor(1, "admin", ADMIN, "session")
FRAMES = 1200  # SQLite as it comes moves the log at the commit that makes it 1 000 long


def log_length(app: Flask) -> int:
    """Pages in the write-ahead log."""
    return (Path(app.instance_path) / "tasks.db-wal").stat().st_size // 4096


def in_file(app: Flask) -> int:
    """Tasks in the database file itself, without its log."""
    copy = Path(app.instance_path) / "copy.db"
    copy.write_bytes((Path(app.instance_path) / "tasks.db").read_bytes())
    with closing(sqlite3.connect(copy)) as db:
        return int(db.execute("SELECT count(*) FROM tasks").fetchone()[0])


def test_trouble_is_told_on_the_thread_that_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not on one of the pool's: logging has a lock of eventlet's, which holds up the hub for ever
    when two threads meet at it."""
    app = statements.prepared(tmp_path)
    (tmp_path / "tasks.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "tasks.db").mkdir()
    with ThreadPoolExecutor(1) as pool, app.app_context():
        monkeypatch.setattr(offload, "runner", lambda *call: pool.submit(*call).result())
        database.checkpoint()
    [told] = caplog.records
    assert "unable to open" in told.message and told.thread == threading.get_ident()


def test_commits_leave_the_file_alone(tmp_path: Path) -> None:
    app = statements.prepared(tmp_path)
    with app.app_context():
        database.checkpoint()
        made = 0
        while log_length(app) < FRAMES:
            execute(BOSS, "task.create", {"title": "Sow"})
            made += 1
        assert in_file(app) == 0
        database.checkpoint()
        assert in_file(app) == made
        execute(SYSTEM, "server.prune", {})  # it begins the log anew, and all is still there
        assert len(execute(BOSS, "task.list", {"limit": 1000}).body) == min(made, 1000)
