"""Of the stalls that attacks cause the longest is told, however rarely it happens."""

from __future__ import annotations

import signal
import threading

from tests.conftest import eventlet_only
from tests.faults.rows import ROWS
from tests.support.accounts import Person
from tests.support.attacker import Attacker
from tests.support.attacks import HTTP, Attack
from tests.support.http import request
from tests.support.server import Server

MOST = (ROWS["never"].promises["stall"].most or 0) / 1000  # seconds
LENGTH = 16 << 20  # more than the kernel takes of what the server does not read
BODY = request("POST", "/tasks", f"Content-Length: {LENGTH}", body=bytes(LENGTH))
ATTACK = Attack("one", HTTP, BODY)


@eventlet_only
def test_one_stall_of_many_tries(server: Server, people: tuple[Person, ...]) -> None:
    """That is over as soon as all has been sent."""
    mallory, bob, _ = people
    attacker = Attacker(server, mallory, bob)
    attacker.send(ATTACK)
    assert attacker.stalls["one"] < MOST
    again = threading.Timer(2 * MOST, server.signal, [signal.SIGCONT])
    server.signal(signal.SIGSTOP)
    again.start()
    attacker.send(ATTACK)
    again.join()
    attacker.send(ATTACK)
    assert attacker.stalls["one"] > MOST
    attacker.end()
