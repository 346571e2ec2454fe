"""PostgreSQL goes away under load and comes back: nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from task_app.postgres import CONNECT_SECONDS, GRACE_SECONDS
from tests.faults import form
from tests.faults.checker import finish
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import Lives
from tests.faults.reads import Reads
from tests.faults.recorder import Operation
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.postgres import Databases
from tests.support.server import Server

HEALTHY_SECONDS = 30  # to wait for it at most: what is promised is in tests/faults/rows.py


def ready_again(person: Person) -> float:
    """Seconds until the server says that it can be used."""
    began, pause = time.monotonic(), threading.Event()
    while person.rest.get("/ready").status_code != 200:
        assert time.monotonic() < began + HEALTHY_SECONDS
        pause.wait(0.02)
    return time.monotonic() - began


def unforeseen(one: Operation) -> bool:
    """Neither done, nor refused in words that say when to come back."""
    return one.status not in (200, 201) and not (one.status == 503 and one.retry_after)


@pytest.mark.fault("postgresql")
def test_restarted_at_once(
    postgresql: Databases, start: Callable[..., Server], tmp_path: Path
) -> None:
    """As by `pg_ctl restart -m immediate`, again and again, while others write and read."""
    url = postgresql.of(tmp_path)
    server = start(DATABASE_URL=url)
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    followers = [Follower("sse", server.url, alice), Follower("gin", server.url, bob)]
    healed: list[float] = []
    with (
        Lives(alice, 3) as load,
        Lives(bob, 1, history=load.history) as his,
        Reads(alice) as reads,
    ):
        for _ in form.rounds("PostgreSQL restarted", short=2, long=30, share=0.10):
            load.go_on(10)
            his.go_on(2)
            reads.go_on(4, status=200)
            postgresql.server.stop_at_once()
            for one in (load, his, reads):
                one.go_on(4, status=503)
            health: Any = alice.rest.get("/health").json()
            assert (health["status"], health["database"]) == ("degraded", "unavailable")
            postgresql.server.start()
            healed.append(ready_again(alice))
            load.go_on(10)
            his.go_on(2)
            reads.go_on(4, status=200)
    tries = len(healed)
    finish("postgresql", load.history, followers, tmp_path, url, tries=tries)
    figure("postgresql", "healthy", max(healed), tries)
    answers = [*load.history.operations, *reads.history.operations]
    other = [one for one in answers if unforeseen(one)]
    print([(one.method, one.path, one.status, one.answer) for one in other[:3]])
    figure("postgresql", "other", len(other), len(answers))
    assert server.stop() == 0
    assert "Traceback" not in server.log


def freeze(postgresql: Databases, number: signal.Signals) -> None:
    """Stop every process of it, or let them go on: connections are taken, nothing is answered."""
    assert postgresql.server.process
    root = postgresql.server.process.pid
    os.kill(root, number)  # it makes no others then
    for child in Path(f"/proc/{root}/task/{root}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), number)


def test_frozen(postgresql: Databases, start: Callable[..., Server], tmp_path: Path) -> None:
    """It answers nothing, its kernel acknowledges all: no request waits for ever, and all goes on
    once it does."""
    url, bound = postgresql.of(tmp_path), 1
    server = start(DATABASE_URL=url, DATABASE_TIMEOUT_SECONDS=str(bound))
    alice = accounts.register(server.url, "Alice")
    follower = Follower("gin", server.url, alice)
    alice.rest.new_task("Before")
    freeze(postgresql, signal.SIGSTOP)
    try:
        began, other = time.monotonic(), Rest(server.url, alice.token)
        with ThreadPoolExecutor(2) as pool:
            reading = pool.submit(alice.rest.get, "/tasks")
            key = {"Idempotency-Key": "of a write that is not looked for when it has failed"}
            writing = pool.submit(other.post, "/tasks", {"title": "Meanwhile"}, headers=key)
        for answer in (reading.result(), writing.result()):
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert answer.headers["Retry-After"]
        # Its bound, the grace, and a try to connect anew.
        assert time.monotonic() - began < bound + GRACE_SECONDS + CONNECT_SECONDS + 2
        assert alice.rest.get("/health").json()["database"] == "unavailable"
    finally:
        freeze(postgresql, signal.SIGCONT)
    ready_again(alice)
    after = alice.rest.new_task("After")
    follower.until(int(alice.rest.get("/tasks").headers["X-Event-Seq"]))
    follower.close()
    assert after["title"] == "After"
    assert server.stop() == 0
    assert "Traceback" not in server.log, server.log
