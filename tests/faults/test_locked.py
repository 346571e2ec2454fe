"""Another process holds SQLite's write lock: reads and sockets go on, writes are told to come back
after five seconds, whenever and however they come."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.conftest import sqlite_only
from tests.faults import form
from tests.faults.figures import figure
from tests.faults.load import Load
from tests.faults.recorder import OK, UNKNOWN, Operation, Recorder, check_log, keep, read_log
from tests.faults.ticks import p99, ticks, until_held
from tests.support.accounts import Person, unique
from tests.support.clients import TIMEOUT, Rest
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
        asked_back = self.done.retry_after is not None or self.done.method == "create_task"
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
        by: Callable[[dict[str, str]], Operation] = (self.by_rest, self.by_socket)[number % 2]
        done = by({"title": unique(TITLE)})
        return Written(done, time.monotonic() - done.at)

    def by_rest(self, body: dict[str, str]) -> Operation:
        client = Rest(self.server.url, self.alice.token)
        return self.history.send(self.alice, "POST", "/tasks", body, by=client)

    def by_socket(self, body: dict[str, str]) -> Operation:
        ws = raw(self.server, credentials={"token": self.alice.token}, timeout=TIMEOUT)
        at = time.monotonic()
        [came] = json.loads(answer(ws, f'421["create_task", {json.dumps(body)}]', "431")[3:])
        ws.close()
        status = 201 if "id" in came else {"database_unavailable": 503}.get(came["code"], 500)
        outcome = OK if status == 201 else UNKNOWN
        return self.history.keep(
            Operation(self.alice.id, "create_task", "/tasks", body, outcome, status, came, at=at)
        )


def check(server: Server, alice: Person, history: Recorder) -> None:
    """What was acknowledged is there, and nothing of what was not."""
    log = read_log(server.instance)
    keep("locked", history, log)
    check_log(log)
    made = Counter(one.data["title"] for one in log if one.type == "task_created")
    for one in history.operations:
        if one.body["title"].startswith(TITLE):
            assert made[one.body["title"]] == (one.outcome == OK), one
    assert not history.lost(snapshot("sse", server.url, alice)[0])


@pytest.mark.fault("locked")
def test_locked(server: Server, alice: Person) -> None:
    told: list[float] = []
    reads: list[float] = []
    echoes: list[float] = []
    tries, other, history = 0, 0, Recorder()
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
    check(server, alice, history)
    figure("locked", "other", other, tries)
    figure("locked", "told", min(told), len(told))
    figure("locked", "told", max(told), 0)
    figure("locked", "reads", p99(reads), len(reads))
    figure("locked", "echo", p99(echoes), len(echoes))
