"""Another process holds SQLite's write lock: reads and sockets go on, writes are told to come back
after five seconds, whenever and however they come."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.conftest import sqlite_only
from tests.faults import form
from tests.faults.checker import conclude
from tests.faults.figures import figure
from tests.faults.load import Load
from tests.faults.recorder import Operation, Recorder, read_log
from tests.faults.speaker import Speaker
from tests.faults.ticks import p99, ticks, until_held
from tests.support.accounts import Person, unique
from tests.support.clients import Rest
from tests.support.databases import locked
from tests.support.raw import answer, raw
from tests.support.server import Server
from tests.support.snapshots import snapshot

pytestmark = sqlite_only

LOCKED_SECONDS = 10.0 if form.SOAK else 5.5
# When writes come, in seconds from the lock on: many at once, and then one after the other.  Those
# that come late in it have it free before they would be told.
TIMES = [0.0] * 8 + [0.5 * number for number in range(1, int(LOCKED_SECONDS / 0.5))]

TITLE = "Locked"


def read_again(server: Server, alice: Person, until: float) -> list[float]:
    client = Rest(server.url, alice.token)

    def ask() -> None:
        assert client.get("/tasks?limit=1").status_code == 200

    return ticks(ask, until, server=server)


def echo(server: Server, until: float) -> list[float]:
    """A socket that is answered all along."""
    ws = raw(server)
    times = ticks(lambda: answer(ws, '421["echo"]', "431"), until, server=server)
    ws.close()
    return times


@dataclass(frozen=True)
class Written:
    """What became of a write, and how long that took, in seconds."""

    done: Operation
    seconds: float

    @property
    def told(self) -> bool:
        """To come back.  Over a socket there are no headers."""
        asked_back = self.done.retry_after is not None or self.done.transport == "socketio"
        return self.done.status == 503 and asked_back

    def made(self, freed: float) -> bool:
        """Once it was free, at that time (monotonic)."""
        return self.done.status == 201 and self.done.at + self.seconds >= freed


class Writers:
    """Makes tasks at TIMES after `began` (monotonic), by turns over REST and by socket."""

    def __init__(self, history: Recorder, server: Server, alice: Person, began: float) -> None:
        self.history, self.server, self.alice, self.began = history, server, alice, began

    def write(self, number: int) -> Written:
        threading.Event().wait(max(0.0, self.began + TIMES[number] - time.monotonic()))
        url, alice = self.server.url, self.alice
        by = Speaker(url, alice) if number % 2 else Rest(url, alice.token)
        done = self.history.send(alice, "POST", "/tasks", {"title": unique(TITLE)}, by=by)
        took = time.monotonic() - done.at
        by.hang_up()
        return Written(done, took)


def check(server: Server, alice: Person, history: Recorder, since: int) -> None:
    """What was acknowledged is there, and nothing of what was refused."""
    final = snapshot("sse", server.url, alice)[0]
    conclude("locked", history, read_log(server.instance), final, since=since)
    there = {task["title"] for task in final.values()}
    assert not [
        one for one in history.operations if one.status == 503 and one.body["title"] in there
    ]


@pytest.mark.fault("locked")
def test_locked(server: Server, alice: Person) -> None:
    told: list[float] = []
    reads: list[float] = []
    echoes: list[float] = []
    tries, other, history = 0, 0, Recorder()
    since = int(alice.rest.get("/tasks?limit=1").headers["X-Event-Seq"])
    rounds = form.rounds("locked", short=1, long=3, share=0.015)
    for _ in until_held(rounds, "locked", {"reads": reads, "echo": echoes}):
        with ThreadPoolExecutor(len(TIMES) + 2) as pool:
            with locked(server):
                began = time.monotonic()
                until = began + LOCKED_SECONDS
                looks = pool.submit(read_again, server, alice, until)
                echoed = pool.submit(echo, server, until)
                writers = Writers(history, server, alice, began)
                writes = [pool.submit(writers.write, number) for number in range(len(TIMES))]
                reads += looks.result()
                echoes += echoed.result()
                freed = time.monotonic()
            written = [one.result() for one in writes]
        told += [one.seconds for one in written if one.told]
        other += sum(not one.told and not one.made(freed) for one in written)
        assert any(one.made(freed) for one in written)
        tries += len(written)
        with Load(alice, writers=1, history=history) as load:
            load.go_on(2)  # as soon as it is free
    check(server, alice, history, since)
    figure("locked", "other", other, tries)
    figure("locked", "told", min(told), len(told))
    figure("locked", "told", max(told), 0)
    figure("locked", "reads", p99(reads), len(reads))
    figure("locked", "echo", p99(echoes), len(echoes))
