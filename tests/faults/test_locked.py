"""Another process holds SQLite's write lock: reads and sockets go on, writes are told to come back
after five seconds."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import sqlite_only
from tests.faults import form
from tests.faults.figures import figure
from tests.faults.load import Load
from tests.faults.recorder import Operation, Recorder, keep, read_log
from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.databases import locked
from tests.support.raw import answer, raw
from tests.support.server import Server

pytestmark = sqlite_only

LOCKED_SECONDS = 10.0 if form.SOAK else 5.5
WRITERS = 8
PACE = 0.01  # seconds between two looks


def p99(times: list[float]) -> float:
    """In milliseconds."""
    return sorted(times)[int(len(times) * 0.99)] * 1000


def look(server: Server, alice: Person, until: float, what: str) -> list[float]:
    """Read a task list, or have a socket answer, again and again; how long each took."""
    times: list[float] = []
    pause, client, ws = threading.Event(), Rest(server.url, alice.token), raw(server)
    while time.monotonic() < until:
        began = time.monotonic()
        if what == "read":
            assert client.get("/tasks?limit=1").status_code == 200
        else:
            answer(ws, '421["echo"]', "431")
        times.append(time.monotonic() - began)
        pause.wait(PACE)
    ws.close()
    return times


def write(history: Recorder, alice: Person, number: int) -> tuple[float, Operation]:
    began = time.monotonic()
    client = Rest(alice.rest.url, alice.token)
    done = history.send(alice, "POST", "/tasks", {"title": f"Locked {number}"}, by=client)
    return time.monotonic() - began, done


@pytest.mark.fault("locked")
def test_locked(server: Server, alice: Person) -> None:
    told: list[float] = []
    reads: list[float] = []
    echoes: list[float] = []
    other, history = 0, Recorder()
    for _ in form.rounds("locked", short=1, long=3, share=0.015):
        with ThreadPoolExecutor(WRITERS + 2) as pool, locked(server):
            until = time.monotonic() + LOCKED_SECONDS
            looks = [pool.submit(look, server, alice, until, what) for what in ("read", "echo")]
            writes = [pool.submit(write, history, alice, number) for number in range(WRITERS)]
            answers = [one.result() for one in writes]
            reads += looks[0].result()
            echoes += looks[1].result()
        told += [seconds for seconds, _ in answers]
        other += sum(one.status != 503 or not one.retry_after for _, one in answers)
        with Load(alice, writers=1) as load:
            load.go_on(2)  # as soon as it is free
    keep("locked", history, read_log(server.instance))
    assert not [one for one in alice.rest.get("/tasks").json() if "Locked" in one["title"]]
    figure("locked", "other", other, len(told))
    figure("locked", "told", min(told), len(told))
    figure("locked", "told", max(told), 0)
    figure("locked", "reads", p99(reads), len(reads))
    figure("locked", "echo", p99(echoes), len(echoes))
