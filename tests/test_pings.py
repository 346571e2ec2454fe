"""Engine.IO's clients are pinged, and closed when they do not answer; its 25 and 20 seconds made
short, through its public attributes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
import requests

from tests.support.frames import TEXT, Bytes, frame
from tests.support.server import Server

INTERVAL, TIMEOUT = 0.4, 0.5
LATE = 0.6  # a tick or two of the timer, and the machine's other work
SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"
IMPATIENT = f"""
import sys
from app import main, server
serve = server.serve
def serve_impatiently(app):
    from task_app.extensions import socketio
    socketio.server.eio.ping_interval, socketio.server.eio.ping_timeout = {INTERVAL}, {TIMEOUT}
    serve(app)
server.serve = serve_impatiently
sys.exit(main())
"""


class Impatient(Server):
    program = ("-c", IMPATIENT)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Impatient(tmp_path_factory.mktemp("instance"))
    try:
        yield server.start()
        assert server.stop() == 0
        assert "Traceback" not in server.log, server.log
    finally:
        server.kill()


def check_took(began: float, seconds: float) -> None:
    assert seconds - 0.05 <= time.monotonic() - began <= seconds + LATE


def opened(server: Server) -> Bytes:
    ws = Bytes(server, SOCKET_IO)
    first = ws.read()
    assert first and first.payload.startswith(b"0{")
    ws.send(frame(TEXT, b"40"))
    while b'42["message"' not in (one := ws.read()).payload:  # type: ignore[union-attr]
        assert one
    return ws


def test_engine_io(impatient: Server) -> None:
    """Each ping comes an interval after the answer to the one before; after the last, the end."""
    ws = opened(impatient)
    for _ in range(2):
        began = time.monotonic()
        ping = ws.read()
        assert ping and ping.payload == b"2"
        check_took(began, INTERVAL)
        ws.send(frame(TEXT, b"3"))
    ping, began = ws.read(), time.monotonic()
    assert ping and ping.payload == b"2"
    ws.send(frame(TEXT, b'42["list_tasks", {}]'))  # which is no answer to it
    assert ws.until_closed()[-2].payload == b"1"
    check_took(began, TIMEOUT)
    ws.end()


def test_engine_io_by_polling(impatient: Server) -> None:
    address = f"{impatient.url}/socket.io/?EIO=4&transport=polling"
    address += "&sid=" + json.loads(requests.get(address, timeout=5).text[1:])["sid"]
    requests.post(address, data="40", timeout=5)
    found = ""
    while "\x1e2" not in f"\x1e{found}":
        found = requests.get(address, timeout=5).text
    requests.post(address, data="3", timeout=5)
    assert requests.get(address, timeout=5).text == "2"
    began = time.monotonic()
    assert requests.get(address, timeout=5).text == "1"
    check_took(began, TIMEOUT)
    assert requests.get(address, timeout=5).status_code == 400
