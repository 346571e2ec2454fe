"""Fifty logins at once: hashing passwords stalls no socket.

The server's own threads that hash are among the work that the short form leaves out (`Lost`), as
nothing tells them from another's; the soak leaves out nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.conftest import eventlet_only
from tests.faults import form
from tests.faults.figures import figure
from tests.faults.ticks import p99, ticks, until_held
from tests.support import accounts
from tests.support.accounts import PASSWORD
from tests.support.http import connect, read, request
from tests.support.raw import answer, raw
from tests.support.server import Server

LOGINS = 50
PATIENCE = 50  # seconds; a machine with other work takes its time for so many hashes


@eventlet_only
@pytest.mark.fault("logins")
def test_logins_do_not_stall_sockets(start: Callable[..., Server]) -> None:
    server = start(HASH_COST="15")  # as it is for users
    alice = accounts.register(server.url, "Alice")
    body = json.dumps({"username": alice.username, "password": PASSWORD}).encode()
    headers = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    login = request("POST", "/login", *headers, body=body)
    ws = raw(server)
    assert ws.recv().startswith("40{")
    times: list[float] = []
    rounds = form.rounds("logins", short=1, long=10, share=0.01)
    for _ in until_held(rounds, "logins", {"echo": times}):
        held = [connect(server) for _ in range(LOGINS)]
        for connection in held:
            connection.settimeout(PATIENCE)
            connection.sendall(login)
        until = time.monotonic() + 1.5  # 50 hashes take longer than that on two threads
        times += ticks(lambda: answer(ws, '421["echo"]', "431"), until, server=server)
        assert [read(connection)[0] for connection in held] == [200] * LOGINS
        for connection in held:
            connection.close()
    ws.close()
    figure("logins", "echo", p99(times), len(times))
