"""Who stops reading, or reads a byte a second, is closed within ten seconds of reaching its bound;
memory stays flat, and the slow one resumes whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from task_app.realtime.outbox import DRAIN_SECONDS, FAREWELL_SECONDS, MAX_MESSAGES
from tests.faults import form
from tests.faults.figures import figure
from tests.faults.recorder import Session, astray, check_log, read_log
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.hurried import Hurried
from tests.support.process import holds, memory, pending, port, until_dropped
from tests.support.readers import Reader, connect
from tests.support.server import Server
from tests.support.stuck import Stuck

CLOSED_SECONDS = 10  # after the bound was reached
SLOW = ("fiber", "socketio", "sse")
pytestmark = [pytest.mark.fault("slow"), pytest.mark.timeout(300 if form.SOAK else 60)]
# To each client that does not read so many megabytes are sent; the kernel takes an eighth of one,
# one waits and one may be being written.
MEGABYTES, BEFORE = (9, 8) if form.SOAK else (3, 2)
OF_A_MEGABYTE = 90  # tasks of 10 kB: not quite as much as may wait
# To some others so many messages, of a kilobyte: all of them are less than a mebibyte, so that it
# is their number of which no more wait.  The kernel takes some 130, and as many as may wait may be
# being written.
MANY, TIMES = 400, 2
# How long such a client has: as it is in the long form, made shorter in the short one.
DRAIN = DRAIN_SECONDS if form.SOAK else 2
MOST_WAITING = 110  # messages of 10 kB: a mebibyte, and those that nobody may be refused
FEW = 5  # messages that nobody may be refused
GROWTH = 20 << 20  # of nine megabytes for each; the allocator has its own ideas about the rest


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Server]:
    # With many threads glibc keeps many arenas: 90 MB that nothing is in, 8 with two arenas.
    server = Hurried(tmp_path, DRAIN, FAREWELL_SECONDS, MALLOC_ARENA_MAX="2")
    try:
        yield server.start()
        assert server.stop() == 0
    finally:
        server.kill()


def write(person: Person, tasks: int, size: int) -> int:
    """So many tasks with a description of so many bytes; the id of the last."""
    one = {"op": "create", "data": {"title": "Long", "description": "d" * size}}
    answer = person.rest.post("/tasks/bulk", {"operations": [one] * tasks})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["results"][-1]["id"])


def write_a_megabyte(alice: Person) -> int:
    return write(alice, OF_A_MEGABYTE, 10_000)


def check_undisturbed(alice: Person, healthy: list[Reader]) -> float:
    """A task reaches all of them in good time; how long it took."""
    began = time.monotonic()
    task = alice.rest.new_task("Small")
    for reader in healthy:
        reader.until(task["id"])
    return time.monotonic() - began


class Slow:
    """One person's clients that take nothing, or next to nothing; `first` is the last event before
    theirs."""

    def __init__(
        self, server: Server, person: Person, transports: tuple[str, ...], *kinds: bool
    ) -> None:
        self.server, self.person = server, person
        self.first = int(person.rest.get("/tasks?limit=1").headers["X-Event-Seq"])
        self.clients = [
            Stuck(server, transport, person, trickling=trickling)
            for transport in transports
            for trickling in kinds
        ]
        assert all(holds(server, one) for one in self.ports)

    @property
    def ports(self) -> list[int]:
        return [port(client.socket) for client in self.clients]

    def closed(self) -> float:
        """How long it takes until all have been, in seconds from now on: from before they can
        have reached their bound."""
        began = time.monotonic()
        until_dropped(self.server, self.ports, began + CLOSED_SECONDS - DRAIN_SECONDS + DRAIN)
        return time.monotonic() - began

    def check_resume(self, epoch: str) -> None:
        """What each had before the end and what it gets on its return are everything, once."""
        log = read_log(self.server.instance)
        seqs = [one.seq for one in log if one.may_see(self.person.id, "member")]
        seqs = [seq for seq in seqs if seq > self.first]
        wrong = 0
        for client in self.clients:
            had = client.rest()
            client.close()
            assert had == seqs[: len(had)] and had != seqs
            position = had[-1] if had else self.first  # of 4 kB no event may have been whole
            url = self.server.url
            again = connect(client.transport, url, self.person, since=position, epoch=epoch)
            again.until_seq(seqs[-1])
            wrong += had + again.seqs != seqs
            again.close()
        figure("slow", "events", wrong, len(seqs) * len(self.clients))


def send_many(bob: Person, slow: Slow, pool: ThreadPoolExecutor) -> Future[float]:
    """More messages than may wait for each; when the clients are closed."""
    closed = pool.submit(slow.closed)
    for _ in range(TIMES):
        write(bob, MANY, 300)
        assert pending(slow.server) <= (MAX_MESSAGES + FEW) * len(slow.clients)
    return closed


def test_clients_that_stop_reading(hurried: Server) -> None:
    server = hurried
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    healthy = [connect(transport, server.url, alice) for transport in SLOW]
    base = healthy[0].notice("ready")
    for _ in range(BEFORE):  # memory grows what it must
        last = write_a_megabyte(alice)
    for reader in healthy:
        reader.until(last)
    resident = memory(server)
    few = Slow(server, bob, ("fiber", "sse"), False)
    stuck = Slow(server, alice, SLOW, False, True)
    delays, most = [], MOST_WAITING * len(stuck.clients) + (MAX_MESSAGES + FEW) * len(few.clients)
    with ThreadPoolExecutor(2) as pool:
        closing = [send_many(bob, few, pool)]
        write_a_megabyte(alice)
        closing.append(pool.submit(stuck.closed))  # of one megabyte there is still room for more
        for _ in range(1, MEGABYTES):
            write_a_megabyte(alice)
            delays.append(check_undisturbed(alice, healthy))
            assert pending(server) <= most
        closed = [one.result() for one in closing]
    figure("slow", "closed", max(closed), len(few.clients) + len(stuck.clients))
    grown = memory(server) - resident
    print(f"memory grew by {grown >> 20} MiB")
    assert grown < GROWTH
    print(f"others: {sorted(delays)[len(delays) // 2]:.3f} s, at most {max(delays):.3f} s")
    stuck.check_resume(base["epoch"])
    few.check_resume(base["epoch"])
    log, wrong = read_log(server.instance), 0
    check_log(log)
    for reader in healthy:
        assert reader.ended is None
        session = Session(alice.id, "member", base["seq"], reader.events)
        wrong += sum(len(seqs) for seqs in astray(log, session, log[-1].seq).values())
        reader.close()
    figure("slow", "events", wrong, len(log) * len(healthy))
