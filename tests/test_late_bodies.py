"""A body that nobody reads, and whose end is late: it is answered, and the connection ends."""

from __future__ import annotations

import select
import socket

from tests.support.accounts import Person
from tests.support.http import request
from tests.support.server import Server

CLIENTS = 8
EARLY = 0.2  # seconds: an answer that does not wait for the body takes a tenth of it
PATIENCE = 2  # seconds; a server that waits for more of the body waits for ever


def test_a_delete_with_a_late_body(server: Server, alice: Person) -> None:
    """Each sends its last byte the moment it is answered, or after a while without an answer: a
    server that answers first, and reads the rest away then, meets it in the middle of that."""
    bearer = f"Authorization: Bearer {alice.token}"
    whole = request(
        "DELETE", "/tasks/1", bearer, "Connection: close", "Content-Length: 2", body=b"{}"
    )
    address = ("127.0.0.1", server.port)
    clients = [socket.create_connection(address, timeout=PATIENCE) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(whole[:-1])
    late = list(clients)
    while late:
        for client in select.select(late, (), (), EARLY)[0] or list(late):
            client.sendall(whole[-1:])
            late.remove(client)
    for client in clients:
        came = b""
        while piece := client.recv(65536):
            came += piece
        assert came.startswith(b"HTTP/1.1 404 ")
        client.close()
