"""Writers that come together share a commit, and nothing else: each has its own outcome."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing

from tests.conftest import eventlet_only, sqlite_only
from tests.faults.recorder import read_log
from tests.support import accounts, cli
from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.http import request
from tests.support.server import ASYNC_MODE, DATABASE, Server

JSON = "Content-Type: application/json"
ROUNDS = 8


def at_once(server: Server, person: Person, requests: list[tuple[str, str, str, object]]) -> list:
    """Send each request, (method, path, header, body), on a connection of its own, all together;
    status and body of each answer, in order."""
    answers = []
    with ExitStack() as stack:
        connections = []
        for method, path, header, body in requests:
            data = json.dumps(body).encode()
            headers = [JSON, f"Authorization: Bearer {person.token}", "Connection: close"]
            headers += [header] if header else []
            whole = request(method, path, *headers, f"Content-Length: {len(data)}", body=data)
            address = ("127.0.0.1", server.port)
            connection = stack.enter_context(socket.create_connection(address, timeout=20))
            connection.sendall(whole[:-1])
            connections.append((connection, whole[-1:]))
        for connection, last in connections:
            connection.sendall(last)
        for connection, _ in connections:
            came = b""
            while piece := connection.recv(65536):
                came += piece
            head, _, body = came.partition(b"\r\n\r\n")
            answers.append((int(head.split()[1]), json.loads(body)))
    return answers


def commits(server: Server) -> int:
    text = Rest(server.url).get("/metrics").text
    return int(float(re.findall(r"^task_commits_total (\S+)", text, re.M)[0]))


def test_each_has_its_own_outcome(start: Callable[..., Server]) -> None:
    server = start()
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    shared = alice.rest.new_task("Shared")
    hidden = bob.rest.new_task("Bob's own")
    given = bob.rest.new_task("For Alice", assigned_to=alice.id)
    before = commits(server)
    made = 0
    for number in range(ROUNDS):
        version = alice.rest.get(f"/tasks/{shared['id']}").json()["version"]
        change = ("PATCH", f"/tasks/{shared['id']}", f'If-Match: "{version}"')
        answers = at_once(
            server,
            alice,
            [
                ("POST", "/tasks", "", {"title": f"first {number}"}),
                (*change, {"title": f"one of two {number}"}),
                ("POST", "/tasks", "", {"title": "nobody's", "assigned_to": 10**6}),
                (*change, {"title": f"two of two {number}"}),
                ("DELETE", f"/tasks/{hidden['id']}", "", {}),
                ("DELETE", f"/tasks/{given['id']}", "", {}),
                ("POST", "/tasks", f"Idempotency-Key: key {number}", {"title": f"last {number}"}),
                ("POST", "/tasks", f"Idempotency-Key: key {number}", {"title": f"last {number}"}),
            ],
        )
        found = [status for status, _ in answers]
        won, lost = (1, 3) if found[1] == 200 else (3, 1)  # nobody knows which comes first
        winner = answers[won][1]["title"]
        assert (found[won], found[lost]) == (200, 412)
        assert answers[lost][1]["current"] == answers[won][1]
        assert [found[i] for i in (0, 2, 4, 5, 6, 7)] == [201, 400, 404, 403, 201, 201]
        assert answers[6] == answers[7]
        made += 2
    titles = [task["title"] for task in alice.rest.get("/tasks").json()]
    assert sorted(titles) == sorted(
        [winner, "For Alice"]
        + [f"{which} {number}" for which in ("first", "last") for number in range(ROUNDS)]
    )
    log = read_log(server.instance)
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert sum(event.type == "task_created" for event in log) == made + 3
    # Were each alone, these would be four commits a round: two new tasks, a change, a repetition.
    if ASYNC_MODE == "eventlet" and DATABASE == "sqlite":
        assert commits(server) - before < 4 * ROUNDS
    assert server.stop() == 0
    assert "Traceback" not in server.log


@sqlite_only
def test_what_the_database_refuses_one(start: Callable[..., Server]) -> None:
    """Whoever was in its group is done once, as if there had been none."""
    server = start()
    alice = accounts.register(server.url, "Alice")
    with closing(sqlite3.connect(server.instance / "tasks.db")) as db:
        db.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON tasks WHEN new.title = 'refused' "
            "BEGIN SELECT raise(ABORT, 'refused'); END"
        )
    refused = ("POST", "/tasks", "", {"title": "refused"})
    taken = [("POST", "/tasks", "", {"title": f"taken {number}"}) for number in range(6)]
    answers = at_once(server, alice, [*taken[:3], refused, *taken[3:], refused])
    assert [status for status, _ in answers] == [201, 201, 201, 500, 201, 201, 201, 500]
    titles = [task["title"] for task in alice.rest.get("/tasks").json()]
    assert sorted(titles) == [f"taken {number}" for number in range(6)]
    log = read_log(server.instance)
    assert [event.seq for event in log] == list(range(1, 7))


def test_who_fails_half_way(start: Callable[..., Server]) -> None:
    """Takes nothing with it, and leaves nothing behind."""
    server = start()
    alice = accounts.register(server.url, "Alice")
    half = {
        "operations": [
            {"op": "create", "data": {"title": "half"}},
            {"op": "update", "id": 10**6, "data": {"title": "nobody's"}},
        ]
    }
    whole = [("POST", "/tasks", "", {"title": f"whole {number}"}) for number in range(6)]
    failing = ("POST", "/tasks/bulk", "", half)
    answers = at_once(server, alice, [*whole[:3], failing, *whole[3:], failing])
    assert [status for status, _ in answers] == [201, 201, 201, 404, 201, 201, 201, 404]
    titles = [task["title"] for task in alice.rest.get("/tasks").json()]
    assert sorted(titles) == [f"whole {number}" for number in range(6)]
    log = read_log(server.instance)
    assert [event.seq for event in log] == list(range(1, 7))


# The database is not to be had.  The last try of the first who waits keeps the hub for a moment,
# in which the time of the second is up as well; a third one has more.
PATIENCE = """
from task_app import server
server.patch("eventlet")
import time
import eventlet, eventlet.patcher
from task_app.database import Busy
from task_app.extensions import socketio
from task_app.groups import Groups

socketio.init_app(None, async_mode="eventlet")
keep_hub = eventlet.patcher.original("time").sleep

def transact(acts, patience):
    eventlet.sleep(patience)
    keep_hub(0.02)
    raise Busy

def write(patience):
    began = time.monotonic()
    try:
        groups.run(None, patience)
    except Busy:
        return time.monotonic() - began

groups = Groups(transact)
first = eventlet.spawn(write, 0.2)
eventlet.sleep(0.05)
second, third = (eventlet.spawn(write, patience) for patience in (0.16, 5))
print(max(first.wait(), second.wait()))
"""


@eventlet_only
def test_a_leader_is_no_more_patient_than_it_said() -> None:
    assert float(cli.python(PATIENCE, {}).good()) < 2
