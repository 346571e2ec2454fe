"""A raw WebSocket that says nothing is asked by a ping.  Without an answer it is closed; with one
it stays, though it never sends a message: most clients only listen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.support import accounts
from tests.support.frames import PING, PONG, TEXT, frame, signed_in
from tests.support.server import Server

SECONDS = 1  # WS_TIMEOUT_SECONDS, in place of 60
GOING_AWAY = 1001
PING_SECONDS = 0.4  # in place of 25
PATIENT = f"""
import sys
from app import main, server
serve = server.serve
def serve_patiently(app):
    from task_app.realtime import websocket
    websocket.PING_SECONDS = {PING_SECONDS}
    serve(app)
server.serve = serve_patiently
sys.exit(main())
"""


class Patient(Server):
    source = PATIENT


def test_silence(start: Callable[..., Server]) -> None:
    server = start(WS_TIMEOUT_SECONDS=str(SECONDS))
    alice = accounts.register(server.url, "Alice")
    began = time.monotonic()
    silent, answering, talking = (signed_in(server, alice.token) for _ in range(3))
    while time.monotonic() < began + 2.2 * SECONDS:
        asked = answering.read()
        assert asked is not None and asked.opcode == PING
        answering.send(frame(PONG, asked.payload))
        talking.send(frame(TEXT, b'{"type": "ping"}'))
    *asked_too, ending = silent.until_closed()
    assert [one.opcode for one in asked_too] == [PING]
    assert ending.code == GOING_AWAY
    for ws in (answering, talking):
        ws.send(frame(TEXT, b'{"type": "ping"}'))
        while (came := ws.read()) and came.opcode == PING:
            pass
        assert came and came.json == {"type": "pong"}
    for ws in (silent, answering, talking):
        ws.end()
    assert server.stop() == 0


def test_pings_of_a_patient_server(tmp_path: Path) -> None:
    """However long a client may be silent, something goes over its connection now and then: a
    gateway in between gives up after 90 s."""
    server = Patient(tmp_path, WS_TIMEOUT_SECONDS="3600")
    try:
        alice = accounts.register(server.start().url, "Alice")
        ws = signed_in(server, alice.token)
        for _ in range(3):  # never answered
            began = time.monotonic()
            asked = ws.read()
            assert asked is not None and asked.opcode == PING
            assert time.monotonic() - began <= PING_SECONDS + 1
        ws.end()
        assert server.stop() == 0
    finally:
        server.kill()
