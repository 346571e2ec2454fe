"""A stop fails no request of whoever had connected before it."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.conftest import eventlet_only
from tests.support.server import Server


def refused(port: int) -> bool:
    """Whether nobody listens any more.  Who was on the way at that very moment is told so by a
    reset in place of a refusal: the kernel's, whose connection nobody had taken yet."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


@eventlet_only
def test_connected_and_about_to_ask(start: Callable[..., Server]) -> None:
    """As a gateway that connects for each request: it learns of the stop from no answer."""
    server = start()
    gateway = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    server.signal()
    while not refused(server.port):
        pass
    gateway.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert gateway.recv(12) == b"HTTP/1.1 200"
    gateway.close()
    assert server.wait() == 0
