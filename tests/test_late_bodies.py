"""A body that nobody reads, and whose end comes after the answer: the connection ends."""

from __future__ import annotations

import socket

from tests.support.accounts import Person
from tests.support.http import request
from tests.support.server import Server


def test_a_delete_with_a_late_body(server: Server, alice: Person) -> None:
    bearer = f"Authorization: Bearer {alice.token}"
    whole = request(
        "DELETE", "/tasks/1", bearer, "Connection: close", "Content-Length: 2", body=b"{}"
    )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(whole[:-1])
            client.sendall(whole[-1:])
            while client.recv(65536):
                pass
