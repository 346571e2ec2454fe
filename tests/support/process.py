"""What the system says of a server's process, and what it says itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from tests.support.clients import Rest
from tests.support.server import Server


def memory(server: Server) -> int:
    """Resident bytes."""
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


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
