"""Clients are counted over all processes that serve one database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from task_app import commands, jobs, presence
from task_app.access import SYSTEM, Actor
from task_app.commands import execute
from task_app.models.user import ADMIN
from task_app.realtime.feeds import Subscriber, feeds
from tests.conftest import sqlite_only
from tests.support import accounts, databases, sessions, statements
from tests.support.clients import Rest
from tests.support.server import Server
from tests.support.waits import until

BOSS = Actor(1, "admin", ADMIN, "a session")
ADMIN_LOGIN = {"username": "admin", "password": "correct horse battery"}
Run = Callable[..., list[tuple[Any, ...]]]
SOON = 6  # seconds: a beat, and what a busy machine adds


def ago(seconds: float) -> str:
    moment = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clients(server: Server) -> int:
    return int(Rest(server.url).get("/health").json()["connectedClients"])


def test_two_processes(start: Callable[..., Server], listen: Callable, tmp_path: Path) -> None:
    """Health and broadcasts count both within 6 s; a process that is killed counts until it has
    been silent for too long, one that stops leaves at once."""
    one, two = start(tmp_path), start(tmp_path)
    alice, admin = accounts.register(one.url, "Alice"), accounts.admin(two)
    for server in (one, two):
        listen(alice, server.url)
    listen(url=one.url)  # signed in nowhere: counts as a client, gets no broadcast
    began = time.monotonic()
    until(lambda: clients(one) == clients(two) == 3, SOON)
    for server in (one, two):
        rest = Rest(server.url, admin.token)
        until(lambda rest=rest: recipients(rest) == 2, SOON - (time.monotonic() - began))
    two.kill()
    assert clients(one) == 3
    databases.run(tmp_path, "UPDATE processes SET seen_at = :at WHERE clients = 1", at=ago(16))
    assert clients(one) == 2
    assert recipients(Rest(one.url, admin.token)) == 1
    assert one.stop() == 0
    assert databases.run(tmp_path, "SELECT clients FROM processes") == [(1,)]  # the killed one's
    for server in (one, two):
        assert "WARNING" not in server.log and "Traceback" not in server.log


def recipients(rest: Rest) -> int:
    return int(rest.post("/api/broadcast", {"type": "note"}).json()["recipients"])


# --- what one process makes of the rows of others


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = statements.prepared(tmp_path)
    with app.app_context():
        yield app


@pytest.fixture
def run(app: Flask) -> Run:
    return partial(databases.run, Path(app.instance_path))


@pytest.fixture
def here(app: Flask) -> Iterator[None]:
    """This process has two connections; nobody is signed in on them."""
    subscribers = [Subscriber(), Subscriber()]
    for subscriber in subscribers:
        feeds.connect(subscriber)
    yield
    for subscriber in subscribers:
        feeds.disconnect(subscriber)


# id, seconds since the row was written, clients, signed in, counted.
ROWS = [
    ("just now", 0.5, 10, 1, True),
    ("a beat missed", 14, 200, 20, True),
    ("silent", 16, 3_000, 300, False),
    ("dead for long", 9_999, 40_000, 4_000, False),
    ("before the clock was put back", -3_600, 500_000, 50_000, False),
    (presence.PROCESS, 1, 6_000_000, 600_000, False),  # the row of this process is out of date
]


@pytest.fixture
def rows(run: Run) -> None:
    for name, age, connected, signed_in, _ in ROWS:
        row = {"name": name, "clients": connected, "signed_in": signed_in, "at": ago(age)}
        columns, values = "id, clients, signed_in, seen_at", ":name, :clients, :signed_in, :at"
        run(f"INSERT INTO processes ({columns}) VALUES ({values})", **row)


@pytest.mark.usefixtures("here", "rows")
@pytest.mark.parametrize("path", ["/health", "/api/health", "/api/v1/health", "/ready"])
def test_only_rows_of_the_living_count(app: Flask, path: str) -> None:
    told = app.test_client().get(path).json
    assert told is not None
    assert told["connectedClients"] == 2 + 10 + 200


@pytest.mark.usefixtures("rows")
def test_recipients_elsewhere(app: Flask) -> None:
    message = {"type": "note", "data": None}
    assert execute(BOSS, "broadcast.send", message).body["recipients"] == 1 + 20


@pytest.mark.usefixtures("rows")
def test_prune_forgets_the_silent(run: Run) -> None:
    execute(SYSTEM, "server.prune", {})
    left = {name for (name,) in run("SELECT id FROM processes")}
    assert left == {name for name, age, *_ in ROWS if age < presence.SILENT_SECONDS}


@pytest.mark.usefixtures("here")
def test_beats_are_one_row_and_no_event(app: Flask, run: Run) -> None:
    before = run("SELECT seq FROM log_head")
    jobs.run(app, jobs.beat)
    [first] = run("SELECT id, clients, signed_in, seen_at FROM processes")
    assert first[:3] == (presence.PROCESS, 2, 0)
    with (sent := Signed()):
        jobs.run(app, jobs.beat)
    [second] = run("SELECT id, clients, signed_in, seen_at FROM processes")
    assert second[:3] == (presence.PROCESS, 3, 1)
    assert run("SELECT CAST(people AS VARCHAR(99)) FROM processes") == [(f"[{BOSS.id}]",)]
    assert second[3] > first[3]
    assert run("SELECT seq FROM log_head") == before
    assert sent.actor is not None
    metrics = app.test_client().get("/metrics").text
    assert 'rule="none"' not in metrics and 'type="server' not in metrics


class Signed(Subscriber):
    """A connection on which the admin is signed in, for as long as the block."""

    def __enter__(self) -> Signed:
        feeds.connect(self)
        assert feeds.arrive(self, feeds.admit(self, BOSS), 0)
        return self

    def __exit__(self, *_: Any) -> None:
        feeds.disconnect(self)


@sqlite_only
def test_a_busy_database_fails_no_beat_and_no_stop(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    db = statements.database(app)
    monkeypatch.setattr(commands, "WRITE_PATIENCE", 0.05)
    db.execute("BEGIN IMMEDIATE")
    jobs.run(app, jobs.beat)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    monkeypatch.setattr(commands, "WRITE_PATIENCE", 2.0)
    monkeypatch.setattr(jobs, "LEAVE_SECONDS", 0.1)
    began = time.monotonic()
    jobs.stop(app)
    assert time.monotonic() - began < 1
    db.execute("ROLLBACK")
    jobs.run(app, jobs.beat)  # waits for the last word, and says nothing after it
    assert db.execute("SELECT count(*) FROM processes").fetchone() == (0,)
    db.close()


def test_without_a_database_its_own_are_counted(app: Flask, run: Run) -> None:
    run("DROP TABLE processes")
    with Signed():
        alive, ready = (app.test_client().get(path) for path in ("/health", "/ready"))
    assert (alive.status_code, ready.status_code) == (200, 503)
    assert alive.json is not None
    assert alive.json == ready.json
    assert (alive.json["status"], alive.json["database"]) == ("degraded", "unavailable")
    assert alive.json["connectedClients"] == 1


def test_a_repeated_broadcast_reaches_nobody_anew(app: Flask) -> None:
    token = execute(SYSTEM, "user.login", ADMIN_LOGIN).body["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
    message = {"type": "note", "data": None}
    client = sessions.connect(token)
    first, second = (
        app.test_client().post("/broadcast", json=message, headers=headers).json for _ in range(2)
    )
    client.close()
    assert first == {"success": True, "message": "Broadcast sent", "recipients": 1}
    assert second == {"success": True, "message": "Broadcast sent"}
