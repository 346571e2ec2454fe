"""A slow line is no lost connection: while its client takes what waits, it lives.  Who takes
nothing is closed as ever."""

from __future__ import annotations

import io
import re
import threading
import time
from contextlib import suppress

import pytest

from task_app.realtime.outbox import FAREWELL_SECONDS
from tests.support.accounts import Person, register
from tests.support.frames import CLOSE, PING, PONG, TEXT, Bytes, Frame, frame, signed_in
from tests.support.impatient import INTERVAL, SILENCE, TIMEOUT
from tests.support.process import holds, pending, port, until_dropped
from tests.support.server import Server
from tests.support.snapshots import Background
from tests.support.stuck import resume
from tests.support.waits import until

LONG = {"op": "create", "data": {"title": "Long", "description": "d" * 10_000}}
MEGABYTES = 2
# Four megabytes: one waits, a writer may have taken another in one go, and the kernel some more.
TOO_MANY = 4 * 90
FEW = 30  # of which the kernel takes a half
RATE = 800_000  # bytes a second: three quarters of what may wait are read within DRAIN
PIECE = 16_384  # bytes that are read at once
BUFFER = 65_536  # of the client's kernel
SLOW_READER = 4408
CLOSED_SECONDS = 10  # FAULTS
SEQ = re.compile(rb'"seq":(\d+),"epoch"')
waiting = threading.Event()  # for nothing but the time
QUESTIONS = {
    "fiber": (b'{"type": "ping"}', b'{"type":"pong"'),
    "socketio": (b'421["get_task", {"id": 0}]', b"431"),
}
EITHER = pytest.mark.parametrize("transport", ["fiber", "socketio"])


class SlowLine(io.RawIOBase):
    """What comes on a connection, no faster than RATE, after what has come before."""

    def __init__(self, ws: Bytes) -> None:
        self.connection, self.before = ws.socket, ws.stream.peek(1)  # type: ignore[attr-defined]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self.before:
            piece, self.before = self.before[: len(buffer)], self.before[len(buffer) :]
            buffer[: len(piece)] = piece
            return len(piece)
        size = self.connection.recv_into(buffer[:PIECE])
        waiting.wait(size / RATE)
        return size


def write(alice: Person, tasks: int) -> None:
    """Tasks of 10 kB."""
    for _ in range(0, tasks, 90):
        answer = alice.rest.post("/tasks/bulk", {"operations": [LONG] * min(tasks, 90)})
        assert answer.status_code == 200, answer.text


def answer_ping(ws: Bytes, one: Frame) -> None:
    if one.opcode == PING:
        ws.send(frame(PONG, one.payload))
    elif one.payload == b"2":
        ws.send(frame(TEXT, b"3"))


def is_here(person: Person) -> bool:
    """Whether the server still serves a connection of theirs."""
    here = person.rest.get("/people?here=true&limit=100").json()
    return person.id in [one["id"] for one in here]


@EITHER
def test_a_long_replay(impatient: Server, transport: str) -> None:
    """It takes many times as long as the server waits for the answer to a ping."""
    alice = register(impatient.url, "Alice")
    headers = alice.rest.get("/tasks?limit=1").headers
    since, epoch = headers["X-Event-Seq"], headers["X-Event-Epoch"]
    write(alice, MEGABYTES * 90)
    until = int(alice.rest.get("/tasks?limit=1").headers["X-Event-Seq"])
    ws = resume(impatient, transport, alice, since, epoch, BUFFER)
    began = time.monotonic()
    ws.stream = io.BufferedReader(SlowLine(ws), PIECE)  # type: ignore[assignment]
    came = []
    while not came or came[-1] < until:
        one = ws.read()
        assert one, f"closed after {len(came)} events"
        answer_ping(ws, one)
        came += [int(seq) for seq in SEQ.findall(one.payload) if b"ready" not in one.payload]
    assert came == list(range(int(since) + 1, until + 1))
    assert time.monotonic() - began > 2 * max(SILENCE, TIMEOUT)
    question, reply = QUESTIONS[transport]
    ws.send(frame(TEXT, question))
    while not (one := ws.read()) or not one.payload.startswith(reply):  # it is still connected
        assert one and one.opcode != CLOSE
        answer_ping(ws, one)
    ws.end()


@EITHER
def test_who_takes_nothing(impatient: Server, transport: str) -> None:
    """So little waits that nobody waits for room: it is its silence that ends it."""
    alice = register(impatient.url, "Alice")
    headers = alice.rest.get("/tasks?limit=1").headers
    write(alice, FEW)
    since, epoch = headers["X-Event-Seq"], headers["X-Event-Epoch"]
    ws = resume(impatient, transport, alice, since, epoch)
    began = time.monotonic()
    assert holds(impatient, port(ws.socket))
    patience = max(INTERVAL + TIMEOUT, SILENCE) + 2 * FAREWELL_SECONDS + 2
    until_dropped(impatient, [port(ws.socket)], began + patience)
    ws.end()


def test_the_code_says_resume(impatient: Server) -> None:
    """Who says that it is alive and takes nothing is told why, should it read then: 4408, after
    what was on its way, whole and in order."""
    alice = register(impatient.url, "Alice")
    ws = signed_in(impatient, alice.token, receive_buffer=BUFFER)
    over = threading.Event()

    def live() -> None:
        while not over.wait(SILENCE / 10):
            ws.send(frame(PONG))

    alive = Background(live)
    write(alice, TOO_MANY)
    assert pending(impatient)
    until(lambda: not is_here(alice), CLOSED_SECONDS)
    over.set()
    alive.finish()
    *came, ending = ws.until_closed()
    assert ending.code == SLOW_READER
    seqs = [int(seq) for one in came for seq in SEQ.findall(one.payload)]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    ws.end()


def test_nothing_follows_a_stream_that_was_cut(impatient: Server) -> None:
    """Its connection is shut down a moment later, whatever request is on it by then: the stream
    has no proper end, after which there could be one."""
    alice = register(impatient.url, "Alice")
    headers = alice.rest.get("/tasks?limit=1").headers
    write(alice, TOO_MANY)
    stream = resume(impatient, "sse", alice, headers["X-Event-Seq"], headers["X-Event-Epoch"])
    assert stream.status == 200
    until(lambda: is_here(alice))
    until(lambda: not is_here(alice), CLOSED_SECONDS)  # no more may wait for it: it is given up
    last = b""
    with suppress(ConnectionResetError):
        while piece := stream.stream.read1(BUFFER):  # type: ignore[attr-defined]
            last = (last + piece)[-5:]
    assert last and last != b"0\r\n\r\n"
    stream.end()
