"""What a client sent before its connection had to end is answered before it ends, also when one
segment brought both."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support import accounts
from tests.support.accounts import Person
from tests.support.frames import CLOSE, PING, TEXT, Bytes, close, frame, signed_in
from tests.support.server import Server

COMMANDS = 20
ENGINE_IO = "/socket.io/?EIO=4&transport=websocket"
# What ends a connection, and the code of the close frame that answers it.
ENDS = {
    "unmasked": (frame(TEXT, b"x", masked=False), 1002),
    "reserved bit": (frame(PING, rsv=4), 1002),
    "bad UTF-8": (frame(TEXT, b"\xff"), 1007),
    "too big": (frame(TEXT, b"x" * ((1 << 20) + 1)), 1009),
    "flood": (frame(PING) * 10_000, 1008),
    "close": (close(1000), 1000),
}
ENGINE_IO_ENDS = {
    **ENDS,
    "no packet": (frame(TEXT, b"x"), 1000),
    "empty packet": (frame(TEXT), 1000),
}


@pytest.fixture(scope="module", params=["on", "off"])
def served(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """With the engine and without it: then every frame waits for the connection's writer."""
    if request.param == "on":
        yield server
        return
    own = Server(tmp_path_factory.mktemp("instance"), ENGINE="off").start()
    try:
        yield own
        assert own.stop() == 0
        assert "Traceback" not in own.log, own.log
    finally:
        own.kill()


@pytest.fixture(scope="module")
def alice(served: Server) -> Person:
    return accounts.register(served.url, "Alice")


def check_written(alice: Person, title: str) -> None:
    titles = [task["title"] for task in alice.rest.get("/tasks?limit=1000").json()]
    assert titles.count(title) == COMMANDS


@pytest.mark.parametrize("end", ENDS)
def test_raw(served: Server, alice: Person, end: str) -> None:
    ws = signed_in(served, alice.token)
    command = {"type": "create_task", "data": {"title": f"raw {end}"}}
    texts = [json.dumps(command | {"request_id": f"{end} {i}"}) for i in range(COMMANDS)]
    fault, code = ENDS[end]
    ws.send(b"".join(frame(TEXT, text.encode()) for text in texts) + fault)
    *came, ending = ws.until_closed()
    told = [one.json for one in came if one.opcode == TEXT]
    answered = [one["request_id"] for one in told if one["type"] == "ack"]
    assert answered == [f"{end} {i}" for i in range(COMMANDS)]
    assert ending.code == code
    check_written(alice, f"raw {end}")
    ws.end()


@pytest.mark.parametrize("end", ENGINE_IO_ENDS)
def test_socket_io(served: Server, alice: Person, end: str) -> None:
    ws = Bytes(served, ENGINE_IO)
    ws.send(frame(TEXT, b"40" + json.dumps({"token": alice.token}).encode()))
    while b"ready" not in (one := ws.read()).payload:  # type: ignore[union-attr]
        assert one
    body = json.dumps({"title": f"socket.io {end}"})
    texts = [f'42{i}["create_task", {body}]' for i in range(COMMANDS)]
    fault, code = ENGINE_IO_ENDS[end]
    ws.send(b"".join(frame(TEXT, text.encode()) for text in texts) + fault)
    *came, ending = ws.until_closed()
    packets = [one.payload.decode().partition("[")[0] for one in came if one.opcode == TEXT]
    assert [one for one in packets if one.startswith("43")] == [f"43{i}" for i in range(COMMANDS)]
    assert ending.code == code
    check_written(alice, f"socket.io {end}")
    ws.end()


def test_too_many_json_pings(served: Server, alice: Person) -> None:
    """Those that were allowed are answered before the connection is closed."""
    ws = signed_in(served, alice.token)
    ws.send(frame(TEXT, b'{"type": "ping"}') * 200)
    *came, ending = ws.until_closed()
    assert len([one for one in came if one.opcode == TEXT]) >= 100
    assert (ending.opcode, ending.code) == (CLOSE, 1008)
    ws.end()
