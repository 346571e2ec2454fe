"""A database that an earlier version has made, with what people have in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from task_app.models import MIGRATIONS
from tests.conftest import sqlite_only
from tests.support import accounts, cli
from tests.support.clients import Rest
from tests.support.databases import run
from tests.support.readers import connect
from tests.support.server import Server

NEWEST, *EARLIER = [one.revision for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]


def revision_of(instance: Path) -> str:
    [(revision,)] = run(instance, "SELECT version_num FROM alembic_version")
    return str(revision)


@sqlite_only  # elsewhere an administrator does it, before the first server starts
@pytest.mark.parametrize("earlier", EARLIER)
def test_nothing_is_lost(start: Callable[..., Server], tmp_path: Path, earlier: str) -> None:
    server = start()
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    stood = alice.rest.get("/tasks").headers
    made = [alice.rest.new_task(assigned_to=bob.id)["id"], alice.rest.new_task()["id"]]
    assert alice.rest.put(f"/tasks/{made[0]}", {"done": True}).status_code == 200
    listed, notices = alice.rest.get("/tasks").json(), bob.rest.get("/notifications").json()
    assert server.stop() == 0
    cli.flask(tmp_path, "db", "downgrade", earlier).good()
    assert revision_of(tmp_path) == earlier
    server.start()
    assert revision_of(tmp_path) == NEWEST
    hers, his = Rest(server.url, alice.token), Rest(server.url, bob.token)
    assert hers.get("/tasks").json() == listed
    assert his.get("/notifications").json() == notices
    where = {"since": int(stood["X-Event-Seq"]), "epoch": stood["X-Event-Epoch"]}
    reader = connect("socketio", server.url, alice, **where)
    again = hers.new_task("After it")["id"]
    reader.until(again)
    assert [one.task_id for one in reader.events] == [*made, made[0], again]
    reader.close()
    assert server.stop() == 0
