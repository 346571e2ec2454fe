"""Who may open a raw WebSocket, and what Socket.IO's WebSockets, of the same class, refuse."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from task_app.realtime.door import PATHS
from tests.support.accounts import Person, register
from tests.support.clients import Rest
from tests.support.frames import (
    ACCEPT,
    BINARY,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    Bytes,
    close,
    frame,
)
from tests.support.server import Server

PATH, SOCKET_IO = "/api/v1/ws", "/socket.io/?EIO=4&transport=websocket"
UNAUTHORIZED = 4401
PING_MESSAGE = frame(TEXT, b'{"type": "ping"}')


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    return register(server.url, "Alice")


def header(name: str, lines: list[str]) -> str | None:
    found = [one for one in lines if one.lower().startswith(name.lower() + ":")]
    return found[0].partition(":")[2].strip() if found else None


@pytest.mark.parametrize("path", ["/api/v1/ws", "/api/v1/ws/", "/ws", "/ws/tasks/", "/ws/tasks"])
def test_handshake(server: Server, alice: Person, path: str) -> None:
    ws = Bytes(server, path, headers=alice.header)
    assert ws.status == 101
    assert header("Sec-WebSocket-Accept", ws.head) == ACCEPT
    assert header("Upgrade", ws.head) == "websocket"
    assert header("Connection", ws.head) == "Upgrade"
    ready = ws.read()
    assert ready and ready.json["user_id"] == alice.id
    ws.end()


def test_nothing_is_negotiated(server: Server, alice: Person) -> None:
    """Neither deflate (memory for each connection) nor a subprotocol."""
    offered = {"Sec-WebSocket-Extensions": "permessage-deflate", "Sec-WebSocket-Protocol": "x, y"}
    ws = Bytes(server, headers={**alice.header, **offered})
    assert ws.status == 101
    assert not [
        line for line in ws.head if line.lower().startswith(("sec-websocket-e", "sec-websocket-p"))
    ]
    ws.end()


# Headers in place of the right ones, and the status that must come back.
REFUSED: dict[str, tuple[dict[str, str | None], int]] = {
    "no key": ({"Sec-WebSocket-Key": None}, 400),
    "short key": ({"Sec-WebSocket-Key": "eHg="}, 400),
    "key that is no base64": ({"Sec-WebSocket-Key": "!" * 24}, 400),
    "two keys": ({"Sec-WebSocket-Key": f"{KEY}, {KEY}"}, 400),
    "no version": ({"Sec-WebSocket-Version": None}, 426),
    "version 8": ({"Sec-WebSocket-Version": "8"}, 426),
    "version 14": ({"Sec-WebSocket-Version": "14"}, 426),
    "no upgrade": ({"Upgrade": None}, 426),
    "another upgrade": ({"Upgrade": "h2c"}, 426),
    "Connection without upgrade": ({"Connection": "keep-alive"}, 426),
    "foreign origin": ({"Origin": "https://evil.example"}, 403),
    "origin null": ({"Origin": "null"}, 403),
    "origin with a suffix": ({"Origin": "http://127.0.0.1.evil.example"}, 403),
    "origin on another port": ({"Origin": "http://127.0.0.1:1"}, 403),
    "bad token": ({"Authorization": "Bearer x"}, 401),
    "another scheme": ({"Authorization": "Basic YTpi"}, 401),
    "empty header": ({"Authorization": ""}, 401),
}


@pytest.mark.fault("raw")
@pytest.mark.parametrize(("headers", "status"), REFUSED.values(), ids=REFUSED)
def test_refused(
    server: Server, alice: Person, headers: dict[str, str | None], status: int
) -> None:
    ws = Bytes(server, headers={**alice.header, **headers})
    assert ws.status == status
    assert {"error", "message", "code"} <= ws.body.keys()
    if "version" in str(headers).lower() and status == 426:
        assert header("Sec-WebSocket-Version", ws.head) == "13"
    ws.end()


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
def test_other_methods(server: Server, alice: Person, method: str) -> None:
    ws = Bytes(server, headers={**alice.header, "Content-Length": "0"}, method=method)
    assert ws.status == 400
    ws.end()


ACCEPTED: list[dict[str, str | None]] = [
    {"Connection": "keep-alive, Upgrade"},
    {"Connection": "upgrade", "Upgrade": "WebSocket"},
    {"Authorization": None},
]


@pytest.mark.parametrize("headers", ACCEPTED, ids=str)
def test_accepted(server: Server, alice: Person, headers: dict[str, str | None]) -> None:
    ws = Bytes(server, headers={**alice.header, **headers})
    assert ws.status == 101
    ws.end()


def test_own_origin(server: Server, alice: Person) -> None:
    ws = Bytes(server, headers={**alice.header, "Origin": server.url})
    assert ws.status == 101
    ws.end()


@pytest.mark.fault("url")
@pytest.mark.parametrize("name", ["token", "access_token", "jwt", "authorization"])
def test_a_token_in_the_url(server: Server, alice: Person, name: str) -> None:
    """Not even beside a good header; and no page of tasks or stream of events is had by it."""
    for path in PATHS:
        ws = Bytes(server, f"{path}?{name}={alice.token}", headers=alice.header)
        assert (ws.status, ws.body["code"]) == (400, "token_in_url")
        ws.end()
    query = {name: alice.token}
    for path, status in (("/tasks", 401), ("/users/profile", 401), ("/events", 400)):
        assert Rest(server.url).get(path, params=query).status_code == status
    assert alice.rest.get("/tasks", params=query).status_code == 400
    assert alice.rest.get("/events", params=query, stream=True).status_code == 400
    assert alice.token not in server.log


@pytest.mark.parametrize("query", ["since=x", "since=-1", "since=1.5", "since=" + "9" * 30])
def test_a_position_that_is_none(server: Server, alice: Person, query: str) -> None:
    ws = Bytes(server, f"{PATH}?{query}", headers=alice.header)
    assert ws.status == 400
    ws.end()


def test_frames_with_the_handshake(server: Server, alice: Person) -> None:
    """A client need not wait for the answer to its handshake."""
    ws = Bytes(server, headers=alice.header, early=frame(PING, b"early") + PING_MESSAGE * 2)
    came = [ws.read() for _ in range(4)]
    assert sorted(one.json["type"] for one in came if one and one.opcode == TEXT) == [
        "pong",
        "pong",
        "ready",
    ]
    assert [one.payload for one in came if one and one.opcode == PONG] == [b"early"]
    ws.end()


def test_half_a_frame_with_the_handshake(server: Server, alice: Person) -> None:
    ws = Bytes(server, headers=alice.header, early=PING_MESSAGE[:9])
    ws.send(PING_MESSAGE[9:], apart=1)
    came = [one and one.json["type"] for one in (ws.read(), ws.read())]
    assert came == ["ready", "pong"]
    ws.end()


BEFORE_AUTH = {
    "a command": frame(TEXT, b'{"type": "list_tasks"}'),
    "a ping": PING_MESSAGE,
    "no JSON": frame(TEXT, b"x"),
    "no object": frame(TEXT, b"[]"),
    "binary": frame(BINARY, b"x"),
    "a bad token": frame(TEXT, b'{"type": "auth", "token": "x"}'),
    "no token": frame(TEXT, b'{"type": "auth"}'),
    "a token that is no text": frame(TEXT, b'{"type": "auth", "token": {"a": 1}}'),
    "a position that is none": frame(TEXT, b'{"type": "auth", "token": "x", "since": "y"}'),
}


@pytest.mark.fault("raw")
@pytest.mark.parametrize("first", BEFORE_AUTH.values(), ids=BEFORE_AUTH)
def test_first_message_without_a_token(server: Server, first: bytes) -> None:
    ws = Bytes(server, early=first)
    told, ending = ws.until_closed()
    assert told.json["type"] == "error"
    assert ending.code == UNAUTHORIZED
    ws.end()


@pytest.fixture
def engine(server: Server) -> Any:
    """A WebSocket of Engine.IO whose first packet has been read."""
    ws = Bytes(server, SOCKET_IO)
    opened = ws.read()
    assert ws.status == 101 and opened and opened.payload.startswith(b"0{")
    yield ws
    ws.end()


ENGINE_FAULTS = {
    "RSV": (frame(TEXT, b"40", rsv=4), 1002),
    "unmasked": (frame(TEXT, b"40", masked=False), 1002),
    "data opcode": (frame(3), 1002),
    "control opcode": (frame(11), 1002),
    "long ping": (frame(PING, b"p" * 126), 1002),
    "orphan continuation": (frame(CONTINUATION, b"x"), 1002),
    "fragmented ping": (frame(PING, fin=False), 1002),
    "bad close code": (close(1005), 1002),
    "bad UTF-8": (frame(TEXT, b"4\xff"), 1007),
    "too big": (frame(TEXT, b"4" * ((1 << 20) + 1)), 1009),
    "unending": (b"".join([frame(TEXT, b"4" * (1 << 20), fin=False), frame(0, b"4")]), 1009),
    "flood of pings": (frame(PING) * 10_000, 1008),
    "flood of empty fragments": (frame(TEXT, fin=False) + frame(0, fin=False) * 10_000, 1008),
    "close": (struct.pack("!BB", 0x88, 0x80) + b"\0\0\0\0", 1000),
}


@pytest.mark.fault("socketio")
@pytest.mark.parametrize(("fault", "code"), ENGINE_FAULTS.values(), ids=ENGINE_FAULTS)
def test_engine_io_fault(engine: Bytes, fault: bytes, code: int) -> None:
    engine.send(fault)
    assert engine.until_closed()[-1].code == code


def test_engine_io_fragments(engine: Bytes) -> None:
    """CONNECT in fragments of one byte with a ping between."""
    engine.send(frame(TEXT, b"4", fin=False) + frame(PING, b"x") + frame(CONTINUATION, b"0"))
    pong, connected = engine.read(), engine.read()
    assert pong and (pong.opcode, pong.payload) == (PONG, b"x")
    assert connected and connected.payload.startswith(b"40{")
