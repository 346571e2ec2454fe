"""Many sockets written to by one call of the kernel."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from task_app.realtime.engine import AT_ONCE, FEW
from task_app.realtime.uring import MOST, Ring, Unavailable
from tests.conftest import engine_only
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.frames import Bytes, signed_in
from tests.support.server import Server
from tests.test_engine import connected

EVENTS = 300  # more than may wait for one client, with all their frames
LISTENERS = 20  # of each kind; enough to be written to together


@pytest.fixture(scope="module")
def ring() -> Iterator[Ring]:
    try:
        made = Ring()
    except Unavailable as reason:
        pytest.skip(f"this kernel gives us no io_uring: {reason}")
    yield made
    made.close()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(300)]
    for ours, _ in made:
        ours.setblocking(False)
    yield made
    for pair in made:
        for end in pair:
            end.close()


def test_each_gets_each(ring: Ring, pairs) -> None:
    """Round the end of what is shared with the kernel, and with another length each time."""
    descriptors = [ours.fileno() for ours, _ in pairs]
    rounds = 2 * (2 * MOST) // len(pairs) + 2
    for number in range(rounds):
        frame = b"x" * number + b"%d" % number
        assert ring.send(descriptors, frame) == [len(frame)] * len(pairs)
        assert all(theirs.recv(4096) == frame for _, theirs in pairs)


def test_as_many_as_may_be(ring: Ring, pairs) -> None:
    descriptors = [ours.fileno() for ours, _ in pairs]
    asked = (descriptors * (MOST // len(pairs) + 1))[:MOST]
    assert ring.send(asked, b"ab") == [2] * MOST
    assert sum(len(theirs.recv(4096)) for _, theirs in pairs) == 2 * MOST


def test_who_takes_nothing_and_who_is_gone(ring: Ring, pairs) -> None:
    fill(pairs[3][0])
    pairs[7][1].close()
    expected = {3: -errno.EAGAIN, 7: -errno.EPIPE}
    found = ring.send([ours.fileno() for ours, _ in pairs], b"frame")
    assert {i: found[i] for i in expected} == expected
    assert all(one == 5 for i, one in enumerate(found) if i not in expected)


def fill(one: socket.socket) -> None:
    with suppress(BlockingIOError):
        while True:
            one.send(bytes(65536))


@engine_only
@pytest.mark.parametrize("io_uring", ["on", "off"])
def test_events_to_many(start: Callable[..., Server], io_uring: str) -> None:
    """Each gets every event once and in order, though one reads late and one is gone."""
    server = start(IO_URING=io_uring)
    alice = accounts.register(server.url, "Alice")
    raw = [signed_in(server, alice.token) for _ in range(LISTENERS)]
    others = [connected(server, alice) for _ in range(LISTENERS)]
    gone, late = signed_in(server, alice.token), signed_in(server, alice.token, receive_buffer=4096)
    gone.end()
    writer = threading.Thread(target=create, args=(alice,))
    writer.start()
    for ws in (*raw, *others, late):
        assert [next_title(ws) for _ in range(EVENTS)] == [f"task {i}" for i in range(EVENTS)]
        ws.end()
    writer.join()
    assert server.stop() == 0
    assert "Traceback" not in server.log


@engine_only
def test_events_to_more_than_are_written_to_at_once(server: Server, alice: Person) -> None:
    listeners = [signed_in(server, alice.token) for _ in range(AT_ONCE + FEW + 1)]
    create(alice, events=3)
    for ws in listeners:
        assert [next_title(ws) for _ in range(3)] == ["task 0", "task 1", "task 2"]
        ws.end()


def create(person: Person, events: int = EVENTS) -> None:
    tasks = [{"title": f"task {i}", "description": "d" * 3000} for i in range(events)]
    creates = [{"op": "create", "data": task} for task in tasks]
    assert person.rest.post("/tasks/bulk", {"operations": creates}).status_code == 200


def next_title(ws: Bytes) -> str:
    """Of the next event, whichever way it is written."""
    while True:
        one = ws.read()
        assert one, "the connection ended"
        if b"task_created" in one.payload:
            return one.payload.decode().partition('"title":"')[2].partition('"')[0]
