"""Who stops reading, or reads a byte a second, is closed within ten seconds of reaching its bound;
the others notice nothing, memory stays flat, and the slow one resumes whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from task_app.realtime.outbox import DRAIN_SECONDS
from tests.faults import form
from tests.faults.figures import figure
from tests.faults.recorder import Session, astray, read_log
from tests.faults.rows import ROWS
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.process import holds, memory, pending, port, until_dropped
from tests.support.readers import Reader, connect
from tests.support.server import Server
from tests.support.stuck import Stuck, resume

CLOSED_SECONDS = 10  # after the bound was reached
SLOW = ("fiber", "socketio", "sse")
pytestmark = [pytest.mark.fault("slow"), pytest.mark.timeout(300 if form.SOAK else 60)]
# To each client that does not read so many megabytes are sent; the kernel takes an eighth of one,
# one waits and one may be being written.
MEGABYTES, BEFORE = (9, 8) if form.SOAK else (3, 1)
# How long such a client has: as it is in the long form, made shorter in the short one.
DRAIN = DRAIN_SECONDS if form.SOAK else 2
MOST_WAITING = 110  # messages of 10 kB: a mebibyte, and those that nobody may be refused
GROWTH = 20 << 20  # of nine megabytes for each; the allocator has its own ideas about the rest
LONG = {"op": "create", "data": {"title": "Long", "description": "d" * 10_000}}


class Hurried(Server):
    program = (
        "-c",
        "import sys; from app import main; from task_app.realtime import outbox;"
        f"outbox.DRAIN_SECONDS = {DRAIN}; sys.exit(main())",
    )


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Server]:
    # With many threads glibc keeps many arenas: 90 MB that nothing is in, 8 with two arenas.
    server = Hurried(tmp_path, MALLOC_ARENA_MAX="2")
    try:
        yield server.start()
        assert server.stop() == 0
    finally:
        server.kill()


def write_a_megabyte(alice: Person) -> int:
    """90 tasks of 10 kB; the id of the last."""
    answer = alice.rest.post("/tasks/bulk", {"operations": [LONG] * 90})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["results"][-1]["id"])


def check_undisturbed(alice: Person, healthy: list[Reader]) -> float:
    """A task reaches all of them in good time; how long it took."""
    began = time.monotonic()
    task = alice.rest.new_task("Small")
    for reader in healthy:
        reader.until(task["id"], timeout=3)
    return time.monotonic() - began


def test_clients_that_stop_reading(hurried: Server) -> None:
    server = hurried
    alice = accounts.register(server.url, "Alice")
    healthy = [connect(transport, server.url, alice) for transport in SLOW]
    base = healthy[0].notice("ready")
    for _ in range(BEFORE):  # memory grows what it must
        last = write_a_megabyte(alice)
    for reader in healthy:
        reader.until(last)
    resident = memory(server)
    first = int(alice.rest.get("/tasks?limit=1").headers["X-Event-Seq"])
    stuck = [
        Stuck(server, transport, alice, trickling=trickling)
        for transport in SLOW
        for trickling in (False, True)
    ]
    assert all(holds(server, port(client.socket)) for client in stuck)
    delays = []
    for _ in range(MEGABYTES):
        write_a_megabyte(alice)
        delays.append(check_undisturbed(alice, healthy))
        assert pending(server) <= MOST_WAITING * len(stuck)
    full = time.monotonic()  # each has reached its bound by now
    deadline = full + CLOSED_SECONDS - DRAIN_SECONDS + DRAIN
    until_dropped(server, [port(client.socket) for client in stuck], deadline)
    figure("slow", "closed", time.monotonic() - full, len(stuck))
    grown = memory(server) - resident
    print(f"memory grew by {grown >> 20} MiB")
    assert grown < GROWTH
    print(f"others: {sorted(delays)[len(delays) // 2]:.3f} s, at most {max(delays):.3f} s")
    check_resumes(server, alice, stuck, first, base["epoch"])
    log, wrong = read_log(server.instance), 0
    for reader in healthy:
        assert reader.ended is None
        session = Session(alice.id, "member", base["seq"], reader.events)
        wrong += sum(len(seqs) for seqs in astray(log, session, log[-1].seq).values())
        reader.close()
    figure("slow", "events", wrong, len(log) * len(healthy))


def check_resumes(
    server: Server, alice: Person, stuck: list[Stuck], first: int, epoch: str
) -> None:
    """What each had before the end and what it gets on its return are everything, once."""
    log = [one.seq for one in read_log(server.instance) if one.seq > first]
    wrong = 0
    for client in stuck:
        had = client.rest()
        client.close()
        assert had == log[: len(had)] and had != log
        position = had[-1] if had else first  # of 4 kB not one event may have been whole
        again = connect(client.transport, server.url, alice, since=position, epoch=epoch)
        again.until_seq(log[-1])
        wrong += had + again.seqs != log
        again.close()
    figure("slow", "events", wrong, len(log) * len(stuck))


RATIO = ROWS["slow"].promises["others"].most or 0
QUANTILES = {"median": 0.5, "p99": 0.99}
RESOLUTION = 0.001  # seconds: a smaller difference is the machine's own doing
SAMPLES = 200 if form.SOAK else 40  # of one phase
SETTLING = 10
LEAST, MOST = (20, 20) if form.SOAK else (3, 15)  # phases of each kind
FULL = 26  # messages of 10 kB: past a quarter of what may wait, more wait for room


def delay(alice: Person, healthy: list[Reader]) -> float:
    """How long a task takes from the request to the last of the readers."""
    began = time.perf_counter()
    task = alice.rest.new_task("Small")["id"]
    for reader in healthy:
        reader.wait(lambda now=reader: now.events and now.events[-1].task_id == task)
    return time.perf_counter() - began


def delays(alice: Person, healthy: list[Reader]) -> list[float]:
    """Those of one phase, once what began it is over."""
    return [delay(alice, healthy) for _ in range(SETTLING + SAMPLES)][SETTLING:]


def delays_beside(
    server: Server, alice: Person, healthy: list[Reader], since: str, epoch: str
) -> list[float]:
    """The same beside clients of each transport that take nothing, and have no room for more."""
    slow = [resume(server, transport, alice, since, epoch) for transport in SLOW]
    deadline = time.monotonic() + CLOSED_SECONDS
    while pending(server) < FULL * len(slow):
        assert time.monotonic() < deadline
    times = delays(alice, healthy)
    assert pending(server) >= FULL * len(slow)  # they were there all the time
    ports = [port(client.socket) for client in slow]
    for client in slow:
        client.end()  # with a reset, since something was not read
    until_dropped(server, ports, time.monotonic() + CLOSED_SECONDS)
    return times


def typical(phases: list[list[float]], part: float) -> float:
    """The quantile of a phase, as it is in the middle one of these."""
    return median(sorted(times)[int(len(times) * part)] for times in phases)


def ratio(beside: list[list[float]], without: list[list[float]], part: float) -> float:
    """With slow readers against without."""
    before, now = typical(without, part), typical(beside, part)
    return now / before if now - before > RESOLUTION else 1.0


def test_others_wait_no_longer(server: Server, alice: Person) -> None:
    """Measured now with and now without, as often as it takes for the machine's other work to
    fall on both alike: a phase takes a quarter of a second."""
    headers = alice.rest.get("/tasks?limit=1").headers
    where = headers["X-Event-Seq"], headers["X-Event-Epoch"]
    for _ in range(3):
        write_a_megabyte(alice)
    healthy = [connect(transport, server.url, alice) for transport in SLOW]
    delays(alice, healthy)
    without: list[list[float]] = []
    beside: list[list[float]] = []
    slower = True
    while slower and len(beside) < MOST:
        without.append(delays(alice, healthy))
        beside.append(delays_beside(server, alice, healthy, *where))
        if len(beside) >= LEAST:
            slower = any(ratio(beside, without, part) > RATIO for part in QUANTILES.values())
    for name, part in QUANTILES.items():
        before, now = (typical(phases, part) * 1000 for phases in (without, beside))
        print(f"others' {name}: {now:.1f} ms with slow readers, {before:.1f} without")
    figure("slow", "others", ratio(beside, without, QUANTILES["p99"]), len(beside))
    assert not slower, f"after {len(beside)} phases of each kind"
    for reader in healthy:
        reader.close()
