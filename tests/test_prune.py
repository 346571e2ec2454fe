"""Old events go, with their rooms and in order; newer ones stay."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from task_app.access import SYSTEM
from task_app.actions import server
from task_app.commands import execute
from tests.support import databases, statements

OLD, NEW = "2001-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"


def test_prune_in_several_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "EVENTS_AT_ONCE", 3)
    app = statements.prepared(tmp_path)
    run = partial(databases.run, tmp_path)
    run("DELETE FROM events")
    for seq in range(1, 9):
        rooms = '["user:1", "role:admin"]' if seq % 2 else "[]"
        at = OLD if seq <= 5 else NEW
        values = f"({seq}, 'x', NULL, NULL, '{{}}', '[]', '{rooms}', '{at}', NULL)".replace(
            ":", r"\:"
        )
        run(f"INSERT INTO events VALUES {values}")  # no parameter of ours begins there
        if seq % 2:
            both = f"INSERT INTO event_rooms VALUES (:alice, {seq}), (:admin, {seq})"
            run(both, alice="user:1", admin="role:admin")
    with app.app_context():
        pruned = [execute(SYSTEM, "server.prune", {}).body for _ in range(3)]
    assert pruned == [
        {"floor": 3, "pruned": 3},
        {"floor": 5, "pruned": 2},
        {"floor": 5, "pruned": 0},
    ]
    assert run("SELECT seq FROM events ORDER BY seq") == [(6,), (7,), (8,)]
    kept = run("SELECT room, seq FROM event_rooms ORDER BY room")
    assert kept == [("role:admin", 7), ("user:1", 7)]
    assert run("SELECT floor FROM log_head") == [(5,)]
