"""Beside clients that do not read, or next to nothing, the others wait no longer: neither while
those come and fill what may wait for them, nor while they keep it full and are cut."""

from __future__ import annotations

import gc
import itertools
import math
import select
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from task_app.realtime.engine import GROWTH, LONGEST_PAUSE
from tests.conftest import engine_only, eventlet_only
from tests.faults import form
from tests.faults.figures import figure
from tests.faults.rows import ROWS
from tests.faults.ticks import ticks
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.frames import Bytes
from tests.support.hurried import Hurried
from tests.support.process import pending, port, until_dropped
from tests.support.readers import Reader, connect
from tests.support.server import ASYNC_MODE, ENGINE, Server, running
from tests.support.stuck import RECEIVE_BUFFER, Trickle, resume
from tests.support.waits import until
from tests.test_slow_readers import CLOSED_SECONDS, SLOW, write

pytestmark = [pytest.mark.fault("slow"), pytest.mark.timeout(300 if form.SOAK else 120)]

RATIO = ROWS["slow"].promises["others"].most or 0
# Seconds.  FAULTS names the ratio alone, this floor is ours: a smaller difference is the machine's
# own doing.  Of phases without anybody, measured against one another, it has made 0.4 to 2 ms.
RESOLUTION = 0.001
QUANTILES = {"median": 0.5, "p99": 0.99}
STAGES = ("coming", "there")
KINDS = STUCK, TRICKLING = "who stop reading", "who read a byte a second"
WITHOUT = "who read"
LEAST, MOST = (20, 20) if form.SOAK else (2, 25)  # phases of each kind
TICK = 0.005  # seconds between two tasks of the others
COMING = 0.1  # seconds, in which the clients come and are sent what there is
DRAIN, FAREWELL = (0.5, 0.3) if form.SOAK else (0.05, 0.05)  # after it, in place of 6 and 1
PACE = 0.03  # seconds to a byte, in place of one: in a client's shorter life there are some
THERE = DRAIN + FAREWELL + 0.2  # seconds, until a tick or two after the last is cut
# Of 10 kB each: read in one piece, and more than a quarter of what may wait even without those
# that the kernel takes.  Where somebody writes for the client he may have taken as many.
TASKS = 48
WRITTEN_AT_ONCE = ("fiber", "socketio") if (ASYNC_MODE, ENGINE) == ("eventlet", "on") else ()
BUFFER = 1 << 20
CLIENTS, MOST_WAKES = 3, 80  # in a second

Come = Callable[[threading.Event], list[Bytes]]
Phase = dict[str, list[float]]


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Server]:
    """A server of their own: what other tests have left on the one they share would be measured
    as well, now with and now without."""
    with running(Hurried(tmp_path, DRAIN, FAREWELL)) as server:
        yield server


@contextmanager
def uncollected() -> Iterator[None]:
    """This process's collector, which may have half an hour's histories to walk, is no doing of
    the server's."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class Others:
    """Those who write and read while somebody else's clients come and go."""

    def __init__(self, server: Server, alice: Person, bob: Person) -> None:
        self.server, self.alice, self.bob = server, alice, bob
        self.readers: list[Reader] = [connect(one, server.url, bob) for one in SLOW]
        self.trickles: list[Trickle] = []
        self.trickled = 0  # bytes
        self.since: list[str] = []
        for _ in range(2):
            headers = alice.rest.get("/tasks?limit=1").headers
            self.since.append(headers["X-Event-Seq"])
            write(alice, TASKS, 10_000)
        self.epoch = headers["X-Event-Epoch"]

    def ask(self) -> None:
        """A task, from the request to the last of the readers."""
        task = self.bob.rest.new_task("Small")["id"]
        for reader in self.readers:
            reader.wait(lambda now=reader: now.events and now.events[-1].task_id == task)

    def phase(self, come: Come) -> Phase:
        """How long that takes beside clients, of each transport one, that come in the way
        `come` has and leave once the event is set; it returns those that wait to be cut."""
        enough = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(come, enough)
            try:
                first = ticks(self.ask, time.monotonic() + COMING, TICK, self.server)
            finally:
                enough.set()
            second = ticks(self.ask, time.monotonic() + THERE, TICK, self.server)
        clients = coming.result()
        ports = [port(client.socket) for client in clients]
        until_dropped(self.server, ports, time.monotonic() + CLOSED_SECONDS)
        while self.trickles:
            self.trickled += len(self.trickles.pop().finish())
        for client in clients:
            client.end()
        return dict(zip(STAGES, (first, second), strict=True))

    def beside(self, kind: str) -> Phase:
        come = {STUCK: self._take_nothing, TRICKLING: self._take_next_to_nothing}
        return self.phase(come.get(kind, self._read))

    def _read(self, enough: threading.Event) -> list[Bytes]:
        """As many, which are sent the same, read it and leave."""
        clients = [self._resume(transport, BUFFER) for transport in SLOW]
        came, buffer = select.poll(), bytearray(BUFFER)
        sockets = {client.socket.fileno(): client.socket for client in clients}
        for number in sockets:
            came.register(number, select.POLLIN)
        while not enough.is_set():
            for number, _ in came.poll(TICK * 1000):
                sockets[number].recv_into(buffer)
        for client in clients:
            client.end()
        return []  # a stream's end is noticed with the next that is written to it

    def _take_nothing(self, _: threading.Event) -> list[Bytes]:
        """They stay: it is the server that ends it."""
        return [self._resume(transport, RECEIVE_BUFFER) for transport in SLOW]

    def _take_next_to_nothing(self, enough: threading.Event) -> list[Bytes]:
        """And say that they are alive."""
        clients = self._take_nothing(enough)
        for transport, client in zip(SLOW, clients, strict=True):
            self.trickles.append(Trickle(client.socket, transport, pause=PACE))
        return clients

    def _resume(self, transport: str, buffer: int) -> Bytes:
        since = self.since[transport in WRITTEN_AT_ONCE]
        return resume(self.server, transport, self.alice, since, self.epoch, buffer)

    def end(self) -> None:
        for reader in self.readers:
            reader.close()


def typical(phases: list[Phase], stage: str, part: float) -> float:
    """The quantile of a phase, as it is in the middle one of these."""
    found = [sorted(phase[stage]) for phase in phases]
    return median(waits[int(len(waits) * part)] for waits in found)


def ratio(beside: list[Phase], without: list[Phase], stage: str, part: float) -> float:
    """With slow readers against without."""
    before, now = typical(without, stage, part), typical(beside, stage, part)
    return times(now, before) if now - before > RESOLUTION else 1.0


def times(now: float, before: float) -> float:
    """Of a loaded machine a phase may be so late that its ticks wait for nothing at all."""
    return now / before if before else math.inf


def worst(beside: list[Phase], without: list[Phase], part: float) -> float:
    return max(ratio(beside, without, stage, part) for stage in STAGES)


class Phases:
    """What was measured beside each kind, and without any: `found` holds them all in their order,
    and of a kind that is done no more are added."""

    def __init__(self, others: Others) -> None:
        self.found: dict[str, list[Phase]] = {WITHOUT: [], **{kind: [] for kind in KINDS}}
        self.slower = set(KINDS)
        while self.slower and len(self.found[WITHOUT]) < MOST:
            self.add(others)

    def add(self, others: Others) -> None:
        wanted = [kind for kind in self.found if kind == WITHOUT or kind in self.slower]
        # What a phase leaves to the next is not always left by the same kind.
        for kind in wanted if len(self.found[WITHOUT]) % 2 else reversed(wanted):
            self.found[kind].append(others.beside(kind))
        if len(self.found[WITHOUT]) >= LEAST:
            parts = QUANTILES.values()
            self.slower -= {
                kind
                for kind in self.slower
                if all(worst(*self.pair(kind), part) <= RATIO for part in parts)
            }

    def pair(self, kind: str) -> tuple[list[Phase], list[Phase]]:
        """Those beside this kind, and as many without, measured at the same time."""
        beside = self.found[kind]
        return beside, self.found[WITHOUT][: len(beside)]

    def say(self, kind: str) -> None:
        """The times themselves: the promise is about their ratio alone."""
        for stage, (name, part) in itertools.product(STAGES, QUANTILES.items()):
            now, before = (typical(one, stage, part) * 1000 for one in self.pair(kind))
            said = f"{now:.2f} ms, {before:.2f} without, {times(now, before):.2f} ×"
            print(f"others' {name}, those {kind} {stage}: {said}")


@eventlet_only  # threads that catch a client up compete with the others' for the interpreter
def test_others_wait_no_longer(hurried: Server) -> None:
    """Measured now with and now without, as often as it takes for the machine's other work to
    fall on both alike."""
    others = Others(hurried, *accounts.people(hurried.url, "Alice", "Bob"))
    with uncollected():
        others.beside(WITHOUT)  # the first does what is done but once
        phases = Phases(others)
    for kind in KINDS:
        phases.say(kind)
        beside, without = phases.pair(kind)
        figure("slow", "others", worst(beside, without, QUANTILES["p99"]), len(beside))
    assert not phases.slower, f"after {MOST} phases of each kind"
    assert others.trickled >= LEAST * len(SLOW), "nobody has read a byte"
    others.end()


def wakes(server: Server) -> int:
    """How often its main thread has waited for something."""
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("voluntary_ctxt_switches:")[2].split()[0])


@engine_only
def test_who_takes_nothing_is_seldom_looked_at(server: Server, alice: Person) -> None:
    """Each a hundred times a second, and a thousand of them would have the process to
    themselves."""
    headers = alice.rest.get("/tasks?limit=1").headers
    where = headers["X-Event-Seq"], headers["X-Event-Epoch"]
    write(alice, TASKS, 10_000)
    clients = [resume(server, "fiber", alice, *where) for _ in range(CLIENTS)]
    until(lambda: pending(server) >= CLIENTS * TASKS / 2)
    waiting = threading.Event()
    waiting.wait(LONGEST_PAUSE / (GROWTH - 1))  # the sum of all the pauses that are shorter
    before = wakes(server)
    waiting.wait(1)
    assert wakes(server) - before < MOST_WAKES
    assert pending(server) >= CLIENTS * TASKS / 2
    for client in clients:
        client.end()
