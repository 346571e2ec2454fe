"""Another process holds the database's write lock: writers wait in their turn, readers do not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from http.client import HTTPConnection

from task_app.commands import WRITE_PATIENCE
from tests.conftest import sqlite_only
from tests.support.accounts import Person
from tests.support.databases import locked
from tests.support.server import Server

pytestmark = sqlite_only

WRITERS, ATTEMPTS = 30, 2
CROWD, LATER = 80, 4.0  # writers; seconds after which another one comes
READ_SECONDS = 0.1  # FAULTS: reads while SQLite is locked
READING_SECONDS, SHORT = 0.6, 0.2  # well under the five seconds that a write waits


def send(server: Server, alice: Person, title: str) -> HTTPConnection:
    """Ask for a task; the answer is still to be read.  The requests arrive in this order."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {**alice.header, "Content-Type": "application/json"}
    connection.request("POST", "/tasks", json.dumps({"title": title}), headers)
    return connection


def finish(writers: list[HTTPConnection]) -> None:
    for writer in writers:
        assert writer.getresponse().status == 201
        writer.close()


def read_for(seconds: float, alice: Person) -> list[float]:
    """Read one after the other; how long each took."""
    times: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        assert alice.rest.get("/tasks?limit=1").status_code == 200
        times.append(time.monotonic() - began)
    return times


def test_reads_while_writers_wait(
    server: Server, alice: Person, record_property: Callable[[str, object], None]
) -> None:
    with locked(server):
        writers = [send(server, alice, str(number)) for number in range(WRITERS)]
        times = read_for(READING_SECONDS, alice)
    finish(writers)
    assert len(alice.rest.get("/tasks").json()) == WRITERS
    middle, worst = sorted(times)[len(times) // 2], max(times)
    record_property("read_ms", round(middle * 1000, 1))
    print(f"reads while {WRITERS} writers wait: {middle * 1000:.0f} ms, at most {worst * 1000:.0f}")
    assert middle <= READ_SECONDS


def test_who_waits_first_writes_first(server: Server, alice: Person) -> None:
    """However many come after it."""
    for attempt in range(ATTEMPTS):
        with locked(server):
            writers = [send(server, alice, f"first {attempt}")]
            read_for(SHORT, alice)  # it waits by then
            writers += [send(server, alice, f"later {attempt}") for _ in range(WRITERS)]
            read_for(SHORT, alice)
        finish(writers)
        made = sorted(alice.rest.get("/tasks?limit=1000").json(), key=lambda task: task["id"])
        assert made[-WRITERS - 1]["title"] == f"first {attempt}"


def test_nobody_waits_for_the_patience_of_another(server: Server, alice: Person) -> None:
    """Who gives up after five seconds is told so then, whoever has come meanwhile."""
    with ThreadPoolExecutor(CROWD) as pool:
        with locked(server):
            began = time.monotonic()
            crowd = [send(server, alice, f"early {number}") for number in range(CROWD)]
            told = [pool.submit(told_after, writer, began) for writer in crowd]
            wait(told, LATER)
            late = send(server, alice, "late")
            answers = [one.result() for one in told]
        finish([late])
    assert {status for _, status in answers} == {503}
    print(f"{CROWD} writers were told to come back after {max(answers)[0]:.1f} s at most")
    assert max(answers)[0] < WRITE_PATIENCE + LATER / 2


def told_after(writer: HTTPConnection, began: float) -> tuple[float, int]:
    """When a writer was answered, in seconds, and how."""
    answer = writer.getresponse()
    assert int(answer.headers["Retry-After"]) >= 1
    told = time.monotonic() - began
    writer.close()
    return told, answer.status
