"""What Engine.IO's own packets can be abused for: no client may fill the memory, leave anything
behind, or hold a connection that belongs to nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
import requests
import websocket

from tests.conftest import sqlite_only
from tests.support import accounts, databases
from tests.support.frames import signed_in
from tests.support.http import request, send
from tests.support.polling import SEPARATOR, Polling
from tests.support.raw import raw
from tests.support.server import Server, running

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose log must stay without a traceback."""
    with running(Server(tmp_path_factory.mktemp("instance"))) as server:
        yield server


def sent_until_cut(ws: websocket.WebSocket, message: str, most: int) -> int:
    """How often the message could be sent before the connection was gone."""
    for number in range(most):
        try:
            ws.send(message)
        except (OSError, websocket.WebSocketException):
            return number
    return most


def test_answers_nobody_reads(own: Server) -> None:
    """A refused namespace is echoed: a megabyte for a megabyte.  The kernel takes some."""
    ws = raw(own)
    assert ws.recv().startswith("40{")
    assert sent_until_cut(ws, "40/" + "x" * MEGABYTE + ",", 60) < 60
    ws.shutdown()


def test_answers_nobody_polls(own: Server) -> None:
    polling = Polling(own)
    assert polling.post("40").text == "OK"
    upgrades = ["5"] * 512
    assert [polling.post(*upgrades).status_code for _ in range(8)][-1] == 400


def test_a_connect_after_the_close(own: Server) -> None:
    """It would enter the namespace without a connection, and stay there for good."""
    for _ in range(3):
        Polling(own).post("1", "40")
    ws = raw(own)
    assert ws.recv().startswith("40{")
    ws.close()


def test_an_upgrade_of_a_session_that_has_ended(own: Server) -> None:
    polling = Polling(own)
    assert polling.post("40").text == "OK"
    address = polling.address.replace("http://", "ws://").replace("=polling", "=websocket")
    ws = websocket.create_connection(address, timeout=5)
    ws.send("2probe")
    assert ws.recv() == "3probe"
    polling.post("1")
    ws.send("5")
    assert ws.recv_data()[0] == 8  # a close frame


def test_a_post_in_chunks(own: Server) -> None:
    alice = accounts.register(own.url, "Alice")
    polling = Polling(own)
    polling.connect(alice)
    pieces = SEPARATOR.join(['42["create_task",{"title":"In chunks"}]']).encode()
    answer = requests.post(polling.address, data=iter([pieces[:9], pieces[9:]]), timeout=5)
    assert answer.text == "OK"
    assert [task["title"] for task in alice.rest.get("/tasks").json()] == ["In chunks"]


@pytest.mark.parametrize("body", ["d=", "d", "\x1e", "4" + "\x1e" * 600])
def test_a_post_that_is_none(own: Server, body: str) -> None:
    polling = Polling(own)
    answer = requests.post(polling.address, data=body.encode(), timeout=5)
    assert answer.status_code in (200, 400)


def test_half_a_handshake(own: Server) -> None:
    path = "/socket.io/?EIO=4&transport=websocket"
    half = request("GET", path, "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    assert send(own, half, close=True) == [400]


@sqlite_only
@pytest.mark.parametrize("path", ["/ws", "/socket.io/"])
def test_a_database_that_is_away_is_no_bad_token(start: Callable[..., Server], path: str) -> None:
    """Whoever comes with a good token is told to come again, not to bring another."""
    server = start()
    alice = accounts.register(server.url, "Alice")
    databases.run(server.instance, "ALTER TABLE users RENAME TO away")
    if path == "/ws":
        ws = websocket.create_connection(f"ws://127.0.0.1:{server.port}{path}", timeout=5)
        ws.send(json.dumps({"type": "auth", "token": alice.token}))
        assert json.loads(ws.recv())["status"] == 503
        opcode, data = ws.recv_data()
        assert (opcode, int.from_bytes(data[:2], "big")) == (8, 1012)
    else:
        ws = raw(server, credentials={"token": alice.token})
        assert ws.recv() in ("1", "")  # Engine.IO's close, after which clients come back
    databases.run(server.instance, "ALTER TABLE away RENAME TO users")
    signed_in(server, alice.token, "/ws").end()
