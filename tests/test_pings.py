"""Clients are pinged often enough for whatever stands between, and closed when they do not
answer; by a server whose seconds are short."""

from __future__ import annotations

import json
import re
import threading
import time

import requests

from task_app.realtime import websocket
from tests.support.accounts import register
from tests.support.frames import PING as PING_FRAME
from tests.support.frames import TEXT, Bytes, frame, signed_in
from tests.support.impatient import INTERVAL, TIMEOUT
from tests.support.raw import raw
from tests.support.server import ROOT, Server

GOING_AWAY = 1001
LATE = 0.6  # a tick or two of the timer, and the machine's other work
SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"


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


def test_a_client_of_the_tests_answers(impatient: Server) -> None:
    """The bare one too: what it is asked for comes when it would have been closed by now."""
    ws = raw(impatient)
    ask = threading.Timer(1.5 * (INTERVAL + TIMEOUT), ws.send, ['421["echo"]'])
    ask.start()
    while not (packet := ws.recv()).startswith("431"):
        assert packet, "the connection ended"
    ws.close()


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


def test_raw_websockets(impatient: Server) -> None:
    """Not as rarely as a long patience would have it: for whoever is silent, again and again."""
    ws = signed_in(impatient, register(impatient.url, "Alice").token)
    *asked, ending = ws.until_closed()
    assert [one.opcode for one in asked] == [PING_FRAME] * len(asked)
    assert len(asked) >= 2
    assert ending.code == GOING_AWAY
    ws.end()


def test_pings_keep_the_gateways_connections() -> None:
    """Two of them come before it takes a connection for dead."""
    found = (ROOT / "deploy" / "nginx.conf").read_text().partition("(tasks|native)/?$ {")[2]
    timeout = re.search(r"proxy_read_timeout (\d+)s", found)
    assert timeout and int(timeout[1]) > 2 * websocket.PING_SECONDS
