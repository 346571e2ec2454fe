"""Old events go, with their rooms and in order; newer ones stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_app.access import SYSTEM
from task_app.actions import server
from task_app.commands import execute
from tests.support import statements

OLD, NEW = "2001-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"


def test_prune_in_several_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "EVENTS_AT_ONCE", 3)
    app = statements.prepared(tmp_path)
    db = statements.database(app)
    db.execute("DELETE FROM events")
    for seq in range(1, 9):
        rooms = '["user:1", "role:admin"]' if seq % 2 else "[]"
        at = OLD if seq <= 5 else NEW
        event = (seq, "x", "{}", "[]", rooms, at)
        db.execute("INSERT INTO events VALUES (?, ?, NULL, NULL, ?, ?, ?, ?)", event)
        if seq % 2:
            rows = [("user:1", seq), ("role:admin", seq)]
            db.executemany("INSERT INTO event_rooms VALUES (?, ?)", rows)
    with app.app_context():
        pruned = [execute(SYSTEM, "server.prune", {}).body for _ in range(3)]
    assert pruned == [
        {"floor": 3, "pruned": 3},
        {"floor": 5, "pruned": 2},
        {"floor": 5, "pruned": 0},
    ]
    assert db.execute("SELECT seq FROM events").fetchall() == [(6,), (7,), (8,)]
    rooms = db.execute("SELECT room, seq FROM event_rooms ORDER BY room").fetchall()
    assert rooms == [("role:admin", 7), ("user:1", 7)]
    assert db.execute("SELECT floor FROM log_head").fetchone() == (5,)
    db.close()
