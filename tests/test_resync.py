"""When the log does not lead from where a client stands to now, it is told to read its list
again; and the ways in which a position is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from task_app.access import SYSTEM
from task_app.commands import execute
from tests.faults.recorder import bare
from tests.support import accounts, databases, statements
from tests.support.accounts import Person
from tests.support.readers import RAW_PATHS, TRANSPORTS, Reader, StreamReader, connect, lines, parse
from tests.support.server import Server
from tests.support.snapshots import snapshot

EVERY = pytest.mark.parametrize("transport", TRANSPORTS)
RAW = pytest.mark.parametrize("transport", list(RAW_PATHS))


def check_resync(reader: Reader, reason: str, person: Person) -> None:
    """One `resync`, before `ready`, with the seq from which to go on; then the feed is live."""
    told = [(name, body) for name, body in reader.notices if name in ("ready", "resync")]
    assert [name for name, _ in told] == ["resync", "ready"]
    resync, ready = told[0][1], told[1][1]
    assert resync["reason"] == reason
    assert ready["replayed"] == 0
    assert (resync["seq"], resync["epoch"]) == (ready["seq"], ready["epoch"])
    task = person.rest.new_task()
    reader.until(task["id"])
    assert [one.task_id for one in reader.events] == [task["id"]]
    reader.close()


@EVERY
def test_another_log(server: Server, alice: Person, transport: str) -> None:
    alice.rest.new_task()
    reader = connect(transport, server.url, alice, since=0, epoch="0123456789abcdef")
    check_resync(reader, "another_log", alice)


@EVERY
def test_ahead_of_the_log(server: Server, alice: Person, transport: str) -> None:
    """A backup without the last events was restored, and kept its epoch."""
    _, seq, epoch = snapshot(transport, server.url, alice)
    reader = connect(transport, server.url, alice, since=seq + 1000, epoch=epoch)
    check_resync(reader, "ahead_of_log", alice)


@EVERY
def test_another_role(server: Server, admin: Person, alice: Person, transport: str) -> None:
    """What the events since say no longer matches what the person may see."""
    _, seq, epoch = snapshot(transport, server.url, alice)
    for role in ("admin", "member"):
        assert admin.rest.put(f"/users/{alice.id}", {"role": role}).status_code == 200
    reader = connect(transport, server.url, alice, since=seq, epoch=epoch)
    check_resync(reader, "sight_changed", alice)


def grow_old(instance: Path) -> None:
    """Make every event so far as old as can be."""
    databases.run(instance, "UPDATE events SET created_at = '2001-01-01T00:00:00.000000Z'")


def test_too_old(start: Callable[..., Server], tmp_path: Path) -> None:
    """After a prune by the default EVENT_RETENTION_DAYS, here by another process."""
    server = start(tmp_path)
    alice = accounts.register(server.url, "Alice")
    _, seq, epoch = snapshot("socketio", server.url, alice)
    alice.rest.new_task()
    floor = int(alice.rest.get("/tasks").headers["X-Event-Seq"])
    grow_old(tmp_path)
    kept = alice.rest.new_task("Young")
    with statements.prepared(tmp_path).app_context():
        assert execute(SYSTEM, "server.prune", {}).body["floor"] == floor
    for transport in TRANSPORTS:
        check_resync(
            connect(transport, server.url, alice, since=seq, epoch=epoch), "too_old", alice
        )
        at_floor = connect(transport, server.url, alice, since=floor, epoch=epoch)
        assert "resync" not in dict(at_floor.notices)
        assert at_floor.until(kept["id"]).kind == "task_created"
        at_floor.close()
    assert server.stop() == 0


@EVERY
def test_since_without_epoch(server: Server, alice: Person, transport: str) -> None:
    """It is believed to be of this log."""
    _, seq, _ = snapshot(transport, server.url, alice)
    missed = alice.rest.new_task()
    reader = connect(transport, server.url, alice, since=seq)
    reader.until(missed["id"])
    assert reader.notice("ready")["replayed"] == 1
    reader.close()


def test_last_event_id(server: Server, alice: Person) -> None:
    """As EventSource sends it: the id of the last event, or of `ready`, that came."""
    first = connect("sse", server.url, alice)
    ready = first.notice("ready")
    first.close()
    missed = [alice.rest.new_task()["id"] for _ in range(3)]
    position = {"since": ready["seq"], "epoch": ready["epoch"]}
    reader = StreamReader(server.url, alice.token, position, header=True)
    assert reader.notice("ready")["replayed"] == 3
    assert [one.task_id for one in reader.events] == missed
    again = StreamReader(
        server.url, alice.token, {**position, "since": reader.events[1].seq}, header=True
    )
    again.notice("ready")
    assert [one.task_id for one in again.events] == missed[2:]
    reader.close()
    again.close()


def test_last_event_id_goes_before_since(server: Server, alice: Person) -> None:
    """EventSource reconnects with the URL it had at first."""
    alice.rest.new_task()
    _, seq, epoch = snapshot("sse", server.url, alice)
    answer = requests.get(
        f"{server.url}/events?since=0&epoch={epoch}",
        headers={**alice.header, "Last-Event-ID": f"{epoch}-{seq}"},
        stream=True,
        timeout=5,
    )
    first = next(parse(lines(answer)))
    assert (first["event"], json.loads(first["data"])["replayed"]) == ("ready", 0)
    answer.close()


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1"])
def test_stream_by_ticket(server: Server, alice: Person, prefix: str) -> None:
    """EventSource can send no header; the ticket is good once."""
    ticket = alice.rest.post(f"{prefix}/ws/ticket").json()["ticket"]
    reader = StreamReader(server.url, None, {}, prefix=prefix, ticket=ticket)
    assert reader.notice("ready")["user_id"] == alice.id
    task = alice.rest.new_task()
    reader.wait(lambda: reader.events)
    shown = alice.rest.get(f"{prefix}/tasks/{task['id']}").json()
    body = reader.events[0].body
    assert {"": bare(body), "/api": body.get("task"), "/api/v1": body.get("data")}[prefix] == shown
    used = requests.get(f"{server.url}{prefix}/events?ticket={ticket}", timeout=5)
    assert used.status_code == 401
    reader.close()


BAD_POSITIONS: list[dict[str, Any]] = [
    {"params": {"since": "x"}},
    {"params": {"since": "-1"}},
    {"params": {"since": str(2**70)}},
    {"headers": {"Last-Event-ID": "no position"}},
]


@pytest.mark.parametrize("options", BAD_POSITIONS, ids=str)
def test_a_position_that_is_none(alice: Person, options: dict[str, Any]) -> None:
    assert alice.rest.get("/events", **options).status_code == 400


@pytest.mark.parametrize("token", [None, "x"])
def test_a_stream_needs_a_token(server: Server, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    assert requests.get(f"{server.url}/events", headers=headers, timeout=5).status_code == 401


def test_a_token_in_a_streams_url(server: Server, alice: Person) -> None:
    answer = requests.get(f"{server.url}/events?token={alice.token}", timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (400, "token_in_url")


@RAW
def test_position_in_the_url(server: Server, alice: Person, transport: str) -> None:
    """`?since=` of the upgrade holds for a token that comes in the first message."""
    _, seq, epoch = snapshot(transport, server.url, alice)
    missed = alice.rest.new_task()
    path = RAW_PATHS[transport] + f"?since={seq}&epoch={epoch}"
    reader = connect(transport, server.url, alice, path=path)
    reader.until(missed["id"])
    assert reader.notice("ready")["replayed"] == 1
    reader.close()
