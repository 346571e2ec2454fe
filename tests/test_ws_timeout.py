"""A raw WebSocket that says nothing is asked by a ping.  Without an answer it is closed; with one
it stays, though it never sends a message: most clients only listen."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support import accounts
from tests.support.frames import PING, PONG, TEXT, frame, signed_in
from tests.support.server import Server

SECONDS = 1  # WS_TIMEOUT_SECONDS, in place of 60
GOING_AWAY = 1001


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
