"""Socket.IO clients that are gone by the time they are let in leave nothing behind."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from tests.conftest import engine_only
from tests.support.clients import Rest
from tests.support.frames import HANDSHAKE
from tests.support.polling import Polling
from tests.support.server import Server, running
from tests.support.waits import until

# Its session is closed when eight times what events may wait does: by the answer to its CONNECT.
REFUSED, POSTS = 512, 4


def connected(server: Server) -> int:
    number: int = Rest(server.url).get("/health").json()["connectedClients"]
    return number


def test_the_answer_was_one_too_many(start: Callable[..., Server]) -> None:
    """It fetches nothing, and asks for so much that its own CONNECT is what ends it."""
    server = start()
    polling = Polling(server)
    for _ in range(POSTS):
        assert polling.post(*["40/nowhere,"] * REFUSED).text == "OK"
    polling.post("40")
    assert polling.get().status_code == 400  # the session is gone
    until(lambda: connected(server) == 0, seconds=3)
    assert server.stop() == 0


class Reset(Server):
    """One whose clients are gone when their WebSocket is answered."""

    source = """
import socket, sys
from app import main
from task_app.realtime import sessions
begin = sessions._begin
def begin_without_client(server, environ, transport):
    environ["task_app.connection"].socket.shutdown(socket.SHUT_RDWR)
    return begin(server, environ, transport)
sessions._begin = begin_without_client
sys.exit(main())
"""


@engine_only
def test_the_handshake_reached_nobody(tmp_path: Path) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    asked = f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n{fields}\r\n"
    with running(Reset(tmp_path)) as server:  # whose log must have no traceback
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as gone:
            gone.sendall(asked.encode())
            assert gone.recv(1) == b""
        assert Rest(server.url).get("/health").status_code == 200
