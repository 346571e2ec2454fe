"""Ten thousand sockets; a thousand connections that never get anywhere: honest requests are served
all the same."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deploy.services import allow_many_files
from tests.conftest import eventlet_only
from tests.faults import form
from tests.faults.crowd import Idler, Loop, gather, idle, level, linger
from tests.faults.figures import figure
from tests.faults.load import Lives
from tests.faults.recorder import Logged, read_log
from tests.support import accounts
from tests.support.frames import HANDSHAKE
from tests.support.http import request
from tests.support.server import AppPy, Server

pytestmark = eventlet_only

MANY = 10_000 if form.SOAK else 300
LISTENERS = 20  # of these are concerned by what happens, the others are idle
OWN_FILES = 500  # descriptors that the server and this process need beside the connections
REQUESTS = 3_000 if form.SOAK else 150
LINGERING = 1_000 if form.SOAK else 100
PATIENCE = 45  # seconds: how long a connection may linger before the test gives up
PAUSE = 2  # seconds between two drops: no pause that a timeout would see


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """With as many descriptors as the system allows."""
    files = allow_many_files()
    if files < MANY + OWN_FILES:
        pytest.skip(f"this machine allows {files} open files")
    running = AppPy(tmp_path) if form.SOAK else Server(tmp_path)
    try:
        yield running.start()
        assert running.stop() == 0
        assert "Traceback" not in running.log, running.log
    finally:
        running.kill()


def served(load: Lives) -> float:
    """The share of the requests that succeeded, in percent."""
    succeeded = load.statuses[200] + load.statuses[201]
    return 100 * succeeded / sum(load.statuses.values())


def missed(idlers: list[Idler], log: list[Logged], since: int) -> int:
    """Events that did not come once and in order to each of them."""
    expected = [one.seq for one in log if one.seq > since and one.type.startswith("task_")]
    wrong = 0
    for idler in idlers:
        wrong += len(set(expected) ^ set(idler.seqs)) + (idler.seqs != sorted(set(idler.seqs)))
    return wrong


@pytest.mark.fault("crowd")
def test_many_sockets(server: Server) -> None:
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    since = int(alice.rest.get("/tasks?limit=1").headers["X-Event-Seq"])
    who = [alice if number < LISTENERS else bob for number in range(MANY)]
    with Loop() as loop:
        makers = [partial(idle, server.port, person) for person in who]
        idlers = loop.run(gather(makers), 120)
        with Lives(alice, 2) as load:
            load.go_on(REQUESTS, status=200, seconds=120)
        log = read_log(server.instance)
        concerned = idlers[:LISTENERS]
        loop.run(level(concerned, log[-1].seq), 30)
        assert not [one for one in idlers if one.ended]
        figure("crowd", "served", served(load), sum(load.statuses.values()))
        figure("crowd", "events", missed(concerned, log, since), MANY)
        assert not [one for one in idlers[LISTENERS:] if one.seqs]


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
    alice = accounts.register(server.url, "Alice")
    kinds = [list(NEVER.values())[number % len(NEVER)] for number in range(LINGERING)]
    makers = [partial(linger, server.port, first, drops, PAUSE) for first, drops, _ in kinds]
    with Loop() as loop:
        lingering = loop.begin(gather(makers, LINGERING))
        with Lives(alice, 2) as load:
            load.go_on(REQUESTS, status=200, seconds=PATIENCE)
            if not form.SOAK:
                load.over.set()  # honest requests cost what other tests need
            ends = lingering.result(PATIENCE)
    for (_, came), (_, _, wanted) in zip(ends, kinds, strict=True):
        assert came.startswith(wanted) if wanted else not came
    figure("half_open", "served", served(load), sum(load.statuses.values()))
    figure("half_open", "reaped", max(seconds for seconds, _ in ends), len(ends))
