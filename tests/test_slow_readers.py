"""Who stops reading, or reads a byte a second, is closed within ten seconds of reaching its bound;
the others notice nothing, memory stays flat, and the slow one resumes whole."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.readers import Reader, connect
from tests.support.recorder import Session, check_delivery, read_log
from tests.support.server import Server
from tests.support.stuck import Stuck

CLOSED_SECONDS = 10  # FAULTS
SLOW = ("fiber", "socketio", "sse")
# To each client that does not read nine megabytes are sent; the kernel takes four of them, one
# waits and one is being written.  The allocator has its own ideas about the rest.
MEGABYTES = 9
GROWTH = 20 << 20
LONG = {"op": "create", "data": {"title": "Long", "description": "d" * 10_000}}


def write_a_megabyte(alice: Person) -> int:
    """90 tasks of 10 kB; the id of the last."""
    answer = alice.rest.post("/tasks/bulk", {"operations": [LONG] * 90})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["results"][-1]["id"])


def memory(server: Server) -> int:
    """Resident bytes of the server."""
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def connections(server: Server) -> int:
    """Sockets the server's process has open."""
    assert server.process
    folder = f"/proc/{server.process.pid}/fd"
    found = 0
    for name in os.listdir(folder):
        with suppress(OSError):  # closed meanwhile
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
    return found


def until_gone(server: Server, wanted: int, deadline: float) -> None:
    """Until the server holds no more than `wanted` connections."""
    waiting = threading.Event()
    while connections(server) > wanted:
        assert time.monotonic() < deadline, (connections(server), wanted)
        waiting.wait(0.05)


def check_undisturbed(alice: Person, healthy: list[Reader]) -> float:
    """A task reaches all of them in good time; how long it took."""
    began = time.monotonic()
    task = alice.rest.new_task("Small")
    for reader in healthy:
        reader.until(task["id"], timeout=1)
    return time.monotonic() - began


def test_clients_that_stop_reading(start: Callable[..., Server], tmp_path: Path) -> None:
    # With many threads glibc keeps many arenas: 90 MB that nothing is in, 8 with two arenas.
    server = start(tmp_path, MALLOC_ARENA_MAX="2")
    alice = accounts.register(server.url, "Alice")
    healthy = [connect(transport, server.url, alice) for transport in SLOW]
    base = healthy[0].notice("ready")
    for _ in range(8):  # as much as the test writes later, so that memory has grown what it must
        last = write_a_megabyte(alice)
    for reader in healthy:
        reader.until(last)
    before, resident = connections(server), memory(server)
    first = int(alice.rest.get("/tasks?limit=1").headers["X-Event-Seq"])
    stuck = [
        Stuck(server, transport, alice, trickling=trickling)
        for transport in SLOW
        for trickling in (False, True)
    ]
    assert connections(server) == before + len(stuck)
    delays = []
    for _ in range(MEGABYTES):
        write_a_megabyte(alice)
        delays.append(check_undisturbed(alice, healthy))
    full = time.monotonic()  # each has reached its bound by now
    until_gone(server, before, full + CLOSED_SECONDS)
    grown = memory(server) - resident
    print(f"closed within {time.monotonic() - full:.1f} s; memory grew by {grown >> 20} MiB")
    assert grown < GROWTH
    print(f"others: {sorted(delays)[len(delays) // 2]:.3f} s, at most {max(delays):.3f} s")
    check_resumes(server, alice, stuck, first, base["epoch"])
    for reader in healthy:
        assert reader.ended is None
        session = Session(alice.id, "member", base["seq"], reader.events)
        check_delivery(read_log(tmp_path), session, reader.events[-1].seq)
        reader.close()
    assert server.stop() == 0


def check_resumes(
    server: Server, alice: Person, stuck: list[Stuck], first: int, epoch: str
) -> None:
    """What each had before the end and what it gets on its return are everything, once."""
    log = [one.seq for one in read_log(server.instance) if one.seq > first]
    for client in stuck:
        had = client.rest()
        client.close()
        assert had == log[: len(had)] and had != log
        position = had[-1] if had else first  # of 4 kB not one event may have been whole
        again = connect(client.transport, server.url, alice, since=position, epoch=epoch)
        again.until_seq(log[-1])
        assert had + again.seqs == log
        again.close()


SAMPLES = 150
RATIO = 1.2  # FAULTS: the others' p99 with slow readers, against without
# What a busy machine does to one sample in a hundred is no matter of who reads slowly.
FLOOR_MIDDLE, FLOOR_P99 = 0.005, 0.1
FILL = 6  # megabytes: what the kernel takes for each connection, the bound, and one more


def delays(alice: Person, healthy: list[Reader], count: int) -> list[float]:
    """How long each of so many tasks takes from the request to the last of the readers."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        task = alice.rest.new_task("Small")["id"]
        for reader in healthy:
            reader.wait(lambda one=reader, last=task: one.events and one.events[-1].task_id == last)
        times.append(time.perf_counter() - began)
    return times


def pending(server: Server) -> int:
    """Messages that wait for a client of a raw WebSocket or a stream."""
    text = Rest(server.url).get("/metrics").text
    return int(float(text.partition("\ntask_pending_messages ")[2].split()[0]))


def quantile(times: list[float], part: float) -> float:
    return sorted(times)[int(len(times) * part)]


def test_others_wait_no_longer(
    server: Server, alice: Person, record_property: Callable[[str, object], None]
) -> None:
    """Measured before, beside and after readers that have reached their bound."""
    healthy = [connect(transport, server.url, alice) for transport in SLOW]
    delays(alice, healthy, 20)
    without = delays(alice, healthy, SAMPLES // 2)
    slow = [Stuck(server, transport, alice, trickling=True) for transport in SLOW]
    for _ in range(FILL):
        last = write_a_megabyte(alice)
    for reader in healthy:
        reader.until(last)
    assert pending(server) > 0
    beside = delays(alice, healthy, SAMPLES)
    for client in slow:
        client.close()
    without += delays(alice, healthy, SAMPLES // 2)
    for name, part, floor in (("median", 0.5, FLOOR_MIDDLE), ("p99", 0.99, FLOOR_P99)):
        before, now = quantile(without, part), quantile(beside, part)
        record_property(f"others_{name}_ratio", round(now / before, 2))
        print(f"others' {name}: {now * 1000:.1f} ms with slow readers, {before * 1000:.1f} without")
        assert now <= max(RATIO * before, before + floor)
    for reader in healthy:
        reader.close()
