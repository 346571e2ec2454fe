"""Ten thousand sockets; a thousand connections that never get anywhere: honest requests are served
all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deploy.services import allow_many_files
from tests.conftest import eventlet_only, unable
from tests.faults import form
from tests.faults.checker import conclude, finish
from tests.faults.crowd import Loop, gather, idle, level, linger
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import PAUSE as LOAD_PAUSE
from tests.faults.load import Newcomers
from tests.faults.recorder import read_log
from tests.support import accounts
from tests.support.frames import HANDSHAKE
from tests.support.http import request
from tests.support.server import AppPy, Server
from tests.support.snapshots import snapshot

pytestmark = eventlet_only

MANY = 10_000 if form.SOAK else 300
LISTENERS = 20  # of these are concerned by what happens, the others are idle
OWN_FILES = 500  # descriptors that the server and this process need beside the connections
REQUESTS = 3_000 if form.SOAK else 60
LINGERING = 1_000 if form.SOAK else 100
PATIENCE = 45  # seconds: how long a connection may linger before the test gives up
PACE = LOAD_PAUSE if form.SOAK else 1.0  # seconds between two tasks, in the end
PAUSE = 2  # seconds between two drops: no pause that a timeout would see


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """With as many descriptors as the system allows."""
    files = allow_many_files()
    if files < MANY + OWN_FILES:
        unable(f"this machine allows {files} open files")
    running = AppPy(tmp_path) if form.SOAK else Server(tmp_path)
    try:
        yield running.start()
        assert running.stop() == 0
        assert "Traceback" not in running.log, running.log
    finally:
        running.kill()


def check_served(row: str, *loads: Newcomers) -> None:
    """The share of the requests that succeeded, in percent."""
    statuses = sum((one.statuses for one in loads), Counter[int | None]())
    requests = sum(statuses.values())
    figure(row, "served", 100 * (statuses[200] + statuses[201]) / requests, requests)


@pytest.mark.fault("crowd")
def test_many_sockets(server: Server) -> None:
    """While they arrive and once they are there; those of Alice and Charlie, who work, get what is
    theirs, and those of Bob, who does not, get nothing."""
    alice, bob, charlie = accounts.people(server.url, "Alice", "Bob", "Charlie")
    who = [bob] * MANY
    who[:LISTENERS] = [alice, charlie] * (LISTENERS // 2)
    with Loop() as loop:
        with Newcomers(alice, 1) as load, Newcomers(charlie, 1, history=load.history) as other:
            load.go_on(10)
            makers = [partial(idle, server.port, person) for person in who]
            idlers = loop.run(gather(makers), 120)
            load.go_on(REQUESTS, status=200, seconds=120)
            other.go_on(10)
        log = read_log(server.instance)
        loop.run(level(idlers[:LISTENERS], log), 30)
        assert not [one for one in idlers if one.ended]
        final = snapshot("sse", server.url, alice)[0] | snapshot("sse", server.url, charlie)[0]
        sessions = [one.session for one in idlers[:LISTENERS]]
        conclude("crowd", load.history, log, final, sessions, tries=MANY)
        check_served("crowd", load, other)
        assert not [one for one in idlers[LISTENERS:] if one.session.seen]


TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\n"
UPGRADE = request("GET", "/api/v1/ws", *(f"{name}: {value}" for name, value in HANDSHAKE.items()))
# What somebody sends who never comes to an end: the first bytes, then drops; and how the answer
# begins that they get.
NEVER = {
    "nothing": (b"", b"", b""),
    "half a head": (request("GET", "/tasks")[:-2], b"", TIMED_OUT),
    "a head in drops": (b"GET /tasks HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a" * 100, TIMED_OUT),
    "a body in drops": (
        request("POST", "/tasks", "Content-Length: 500"),
        b"{" * 100,
        TIMED_OUT,
    ),
    "a handshake, then silence": (UPGRADE, b"", b"HTTP/1.1 101 "),
}


@pytest.mark.fault("half_open")
def test_half_open_and_slow_loris(server: Server) -> None:
    """Honest clients come before, meanwhile, and until the last of them is gone."""
    alice = accounts.register(server.url, "Alice")
    follower = Follower("sse", server.url, alice)
    kinds = [list(NEVER.values())[number % len(NEVER)] for number in range(LINGERING)]
    makers = [partial(linger, server.port, first, drops, PAUSE) for first, drops, _ in kinds]
    with Loop() as loop, Newcomers(alice, 2) as load:
        load.go_on(10)
        lingering = loop.begin(gather(makers, LINGERING))
        load.go_on(REQUESTS, status=200, seconds=PATIENCE)
        load.pause = PACE  # honest requests cost what other tests need
        ends = lingering.result(PATIENCE)
    for (_, came), (_, _, wanted) in zip(ends, kinds, strict=True):
        assert came.startswith(wanted) if wanted else not came
    finish("half_open", load.history, [follower], server.instance, tries=LINGERING)
    check_served("half_open", load)
    figure("half_open", "reaped", max(seconds for seconds, _ in ends), len(ends))
