"""What the system says of a server's process, and what it says itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.faults.form import SOAK
from tests.support.clients import Rest
from tests.support.server import ASYNC_MODE, Server


def memory(server: Server) -> int:
    """Resident bytes."""
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def state(server: Server) -> str:
    """In a letter, as proc(5) has them: `T` is stopped."""
    assert server.process
    return Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(") ")[2][0]


class Lost:
    """What of a wait for a server was not its doing: the time in which it or the thread that waits
    was ready to run and the machine's other work had the cores, and that in which the latter was at
    work itself, as the collector may be.

    Nothing in a soak, which has the machine to itself: its figures are what clients waited.

    On eventlet the hub's thread serves all; those that hash passwords for it do not count, whose
    waits are none of the client's.  Where each client has a thread, one waits for what another
    holds, and all count.
    """

    def __init__(self, server: Server) -> None:
        assert server.process
        self.process = Path(f"/proc/{server.process.pid}")
        self.own = Path(f"/proc/self/task/{threading.get_native_id()}")
        self.before, self.worked = self._read(), time.thread_time()

    def _read(self) -> dict[Path, float]:
        threads = [self.process] if ASYNC_MODE == "eventlet" else (self.process / "task").iterdir()
        return {thread: queued(thread) for thread in (self.own, *threads)}

    def seconds(self) -> float:
        """Since then."""
        if SOAK:
            return 0.0
        waited = [now - self.before.get(one, 0.0) for one, now in self._read().items()]
        return sum(waited) + time.thread_time() - self.worked


def queued(thread: Path) -> float:
    """For how many seconds a thread has been ready to run without a core to run on (Linux,
    Documentation/scheduler/sched-stats.rst)."""
    with suppress(OSError):
        return int((thread / "schedstat").read_text().split()[1]) / 1e9
    return 0.0  # it has just ended


def port(client: socket.socket) -> int:
    """By which a connection is known to `holds`, also when the client has closed it."""
    return int(client.getsockname()[1])


def holds(server: Server, client: int) -> bool:
    """Whether it has its end of the connection from this port open."""
    ends = (f"0100007F:{number:04X}" for number in (server.port, client))
    # The table may be long: of what others have closed, too.
    line = Path("/proc/net/tcp").read_text().partition(" ".join(["", *ends, ""]))[2]
    fields = line.partition("\n")[0].split()
    return bool(fields) and fields[6] != "0"  # the inode: what only the kernel still has has none


def until_dropped(server: Server, clients: Iterable[int], deadline: float) -> None:
    """Until it has closed the connections from these ports; `deadline` is monotonic."""
    waiting = threading.Event()
    left = list(clients)
    while left := [client for client in left if holds(server, client)]:
        assert time.monotonic() < deadline, len(left)
        waiting.wait(0.05)


def pending(server: Server) -> int:
    """Messages that wait for its sockets' and streams' clients, in the process."""
    text = Rest(server.url).get("/metrics").text
    return int(float(text.partition("\ntask_pending_messages ")[2].split()[0]))
