"""A row of the log that cannot be read, edited by hand or half written by a failing disk: clients
are told to read their lists again, and have everything after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from task_app.access import SYSTEM
from task_app.commands import execute
from tests.support import accounts, databases, statements
from tests.support.accounts import Person
from tests.support.readers import TRANSPORTS, connect
from tests.support.server import DATABASE, Server
from tests.support.waits import until

EVERY = pytest.mark.parametrize("transport", TRANSPORTS)
# PostgreSQL looks at what it is given, but takes any JSON.
DAMAGE = {
    "data": "[]" if DATABASE == "postgresql" else '{"id": 1, "tit',
    "rooms": "7" if DATABASE == "postgresql" else "['all'",
}
WHAT = pytest.mark.parametrize("column", DAMAGE)
SUM = "cannot be read"


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose log is damaged under it."""
    server = Server(tmp_path_factory.mktemp("instance")).start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log, server.log
    server.kill()


def damage(
    server: Server, person: Person, column: str, kind: str = "task_updated", to: str = ""
) -> int:
    """Write a row as another process would have, but for one column; its number."""
    good = {"data": json.dumps({"id": 1}), "rooms": json.dumps([f"user:{person.id}"])}
    given = {**good, column: to or DAMAGE[column]}
    databases.run(server.instance, "UPDATE log_head SET seq = seq + 1")
    [(seq,)] = databases.run(server.instance, "SELECT seq FROM log_head")
    cast = "CAST(:{} AS json)" if DATABASE == "postgresql" else ":{}"
    values = ", ".join(cast.format(name) for name in ("data", "changes", "rooms"))
    databases.run(
        server.instance,
        "INSERT INTO event_rooms (room, seq) VALUES (:room, :seq)",
        room=f"user:{person.id}",
        seq=seq,
    )
    databases.run(
        server.instance,
        "INSERT INTO events (seq, type, task_id, data, changes, rooms, created_at) VALUES "
        f"(:seq, :kind, 1, {values}, :now)",
        **{**given, "seq": seq, "kind": kind, "changes": "[]"},
        now="2026-01-31T09:30:00.000000Z",
    )
    return int(seq)


@WHAT
@EVERY
def test_live(damaged: Server, transport: str, column: str) -> None:
    alice = accounts.register(damaged.url, "Alice")
    reader = connect(transport, damaged.url, alice)
    first = alice.rest.new_task()
    reader.until(first["id"])
    seq = damage(damaged, alice, column)
    resync = reader.notice("resync")
    assert (resync["reason"], resync["seq"]) == ("damaged_log", seq)
    second = alice.rest.new_task()
    reader.until(second["id"])
    assert [one.task_id for one in reader.events] == [first["id"], second["id"]]
    reader.close()
    told = [line for line in damaged.log.splitlines() if f"event {seq} " in line]
    assert len(told) == 1 and SUM in told[0] and "ERROR" in told[0]


@WHAT
@EVERY
def test_replay(damaged: Server, transport: str, column: str) -> None:
    """Over such a row there is none."""
    alice = accounts.register(damaged.url, "Alice")
    where = alice.rest.get("/tasks").headers
    position = {"since": int(where["X-Event-Seq"]), "epoch": where["X-Event-Epoch"]}
    first = alice.rest.new_task()
    seq = damage(damaged, alice, column)
    second = alice.rest.new_task()
    reader = connect(transport, damaged.url, alice, **position)
    resync, ready = reader.notice("resync"), reader.notice("ready")
    assert resync["reason"] == "damaged_log" and resync["seq"] > seq
    assert [one.task_id for one in reader.events] in ([], [first["id"]])
    third = alice.rest.new_task()
    reader.until(third["id"])
    reader.close()
    again = connect(transport, damaged.url, alice, **{**position, "since": resync["seq"]})
    again.until(third["id"])
    assert "resync" not in dict(again.notices) and ready["seq"] >= resync["seq"]
    again.close()
    if column == "data":
        listed = alice.rest.get("/activity")
        assert listed.status_code == 200
        assert [one["task_id"] for one in listed.json()] == [
            task["id"] for task in (third, second, first)
        ]


def test_a_control_event(damaged: Server) -> None:
    """It may have ended anybody's session: everybody comes back and shows their token."""
    alice = accounts.register(damaged.url, "Alice")
    reader = connect("fiber", damaged.url, alice)
    damage(damaged, alice, "data", "session_revoked")
    assert reader.wait(lambda: reader.ended) == 1012
    connect("fiber", damaged.url, alice).close()


def test_a_control_event_without_its_words(start: Callable[..., Server]) -> None:
    """It can be read, and does not say whom it is about."""
    server = start()
    alice = accounts.register(server.url, "Alice")
    reader = connect("fiber", server.url, alice)
    seq = damage(server, alice, "data", "user_changed", to="{}")
    assert reader.wait(lambda: reader.ended) == 1012
    assert f"event {seq} could not be delivered" in server.log
    connect("fiber", server.url, alice).close()
    assert server.stop() == 0


def test_it_goes_with_the_rest(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start()
    alice = accounts.register(server.url, "Alice")
    for column in DAMAGE:
        damage(server, alice, column)
    last = damage(server, alice, "data")
    until(lambda: server.log.count(SUM) == 3)
    databases.run(tmp_path, "UPDATE events SET created_at = '2001-01-01T00:00:00.000000Z'")
    with statements.prepared(tmp_path).app_context():
        assert execute(SYSTEM, "server.prune", {}).body["floor"] == last
    left = databases.run(tmp_path, "SELECT seq FROM event_rooms WHERE seq > 0")
    assert left == []
    assert server.stop() == 0
