"""Raw WebSockets, byte for byte, after Autobahn's categories 1 to 5: framing, pings, reserved
bits and opcodes, fragmentation."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.accounts import Person, register
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Bytes, frame
from tests.support.server import Server

pytestmark = pytest.mark.fault("raw")

SIZES = [125, 126, 127, 128, 65535, 65536]
PROTOCOL_ERROR = 1002


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    return register(server.url, "Alice")


@pytest.fixture
def ws(server: Server, alice: Person) -> Iterator[Bytes]:
    """A signed-in connection whose `ready` has been read."""
    connection = Bytes(server, headers=alice.header)
    assert connection.status == 101
    ready = connection.read()
    assert ready and ready.json["type"] == "ready"
    yield connection
    connection.end()


def echo(size: int) -> bytes:
    """A message of `size` bytes: an unknown command whose answer repeats its `request_id`."""
    bare = len(json.dumps({"type": "x", "request_id": ""}))
    return json.dumps({"type": "x", "request_id": "r" * (size - bare)}).encode()


def check_echo(ws: Bytes, sent: bytes) -> None:
    came = ws.read()
    assert came and came.opcode == TEXT
    assert came.json["request_id"] == json.loads(sent)["request_id"]


def check_alive(ws: Bytes) -> None:
    ws.send(frame(PING, b"alive?"))
    came = ws.read()
    assert came and (came.opcode, came.payload) == (PONG, b"alive?")


@pytest.mark.parametrize("apart", [None, 997])
@pytest.mark.parametrize("size", SIZES)
def test_text(ws: Bytes, size: int, apart: int | None) -> None:
    ws.send(frame(TEXT, echo(size)), apart=apart)
    check_echo(ws, echo(size))


@pytest.mark.parametrize("size", [0, *SIZES])
def test_binary(ws: Bytes, size: int) -> None:
    """No message is binary: it is answered with an error, and the connection goes on."""
    ws.send(frame(BINARY, b"\xfe" * size))
    came = ws.read()
    assert came and came.json["code"] == "invalid_payload"
    check_alive(ws)


def test_empty_text(ws: Bytes) -> None:
    ws.send(frame(TEXT))
    came = ws.read()
    assert came and came.json["code"] == "invalid_json"
    check_alive(ws)


def test_one_byte_at_a_time(ws: Bytes) -> None:
    ws.send(frame(TEXT, echo(130)), apart=1)
    check_echo(ws, echo(130))


@pytest.mark.parametrize("payload", [b"", b"Hello", bytes(range(0x80, 0xFD)), b"\0" * 125])
@pytest.mark.parametrize("apart", [None, 1])
def test_ping(ws: Bytes, payload: bytes, apart: int | None) -> None:
    ws.send(frame(PING, payload), apart=apart)
    came = ws.read()
    assert came and (came.opcode, came.payload) == (PONG, payload)


def test_ten_pings(ws: Bytes) -> None:
    ws.send(b"".join(frame(PING, b"%d" % i) for i in range(10)))
    assert [one and one.payload for one in (ws.read() for _ in range(10))] == [
        b"%d" % i for i in range(10)
    ]


@pytest.mark.parametrize("payload", [b"", b"never asked for"])
def test_pong_is_not_answered(ws: Bytes, payload: bytes) -> None:
    ws.send(frame(PONG, payload))
    check_alive(ws)


# What must be answered with a close frame that says 1002.
FAULTS = {
    "ping of 126 bytes": frame(PING, b"p" * 126),
    "pong of 126 bytes": frame(PONG, b"p" * 126),
    "close of 126 bytes": frame(CLOSE, b"\x03\xe8" + b"p" * 124),
    **{f"RSV {rsv} on text": frame(TEXT, echo(64), rsv=rsv) for rsv in range(1, 8)},
    "RSV 4 on binary": frame(BINARY, b"x", rsv=4),
    "RSV 1 on ping": frame(PING, rsv=1),
    "RSV 7 on close": frame(CLOSE, rsv=7),
    **{f"data opcode {code}": frame(code) for code in range(3, 8)},
    **{f"data opcode {code} with a payload": frame(code, b"x") for code in (3, 7)},
    **{f"control opcode {code}": frame(code) for code in range(11, 16)},
    "control opcode 15 with a payload": frame(15, b"x"),
    "fragmented ping": frame(PING, b"a", fin=False) + frame(CONTINUATION, b"b"),
    "fragmented pong": frame(PONG, b"a", fin=False) + frame(CONTINUATION, b"b"),
    "fragmented close": frame(CLOSE, b"\x03", fin=False) + frame(CONTINUATION, b"\xe8"),
    "orphan continuation": frame(CONTINUATION, b"x"),
    "unfinished orphan continuation": frame(CONTINUATION, b"x", fin=False),
    "text inside a text": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "binary inside a text": frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
    "unmasked text": frame(TEXT, echo(64), masked=False),
    "unmasked ping": frame(PING, masked=False),
    "unmasked close": frame(CLOSE, b"\x03\xe8", masked=False),
    # Section 5.2: the shortest form must be used, and the highest bit of a length is 0.
    "length 5 in two bytes": b"\x81\xfe\x00\x05\0\0\0\0hello",
    "length 5 in eight bytes": b"\x81\xff" + b"\0" * 7 + b"\x05\0\0\0\0hello",
    "length with the highest bit": b"\x82\xff\x80" + b"\0" * 7 + b"\0\0\0\0",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault(ws: Bytes, fault: bytes) -> None:
    """Nothing that comes after the fault is answered."""
    ws.send(frame(TEXT, echo(64)))
    check_echo(ws, echo(64))
    ws.send(fault + frame(TEXT, echo(99)) + frame(PING, b"alive?"))
    (ending,) = ws.until_closed()
    assert ending.code == PROTOCOL_ERROR


def pieces(message: bytes, size: int, between: bytes = b"") -> bytes:
    """The message in fragments of `size`, with `between` after each but the last."""
    parts = [message[i : i + size] for i in range(0, len(message), size)]
    last = len(parts) - 1
    frames = [
        frame(CONTINUATION if i else TEXT, part, fin=i == last) for i, part in enumerate(parts)
    ]
    return between.join(frames)


@pytest.mark.parametrize("apart", [None, 1])
@pytest.mark.parametrize("size", [1, 60, 119])
def test_fragments(ws: Bytes, size: int, apart: int | None) -> None:
    ws.send(pieces(echo(120), size), apart=apart)
    check_echo(ws, echo(120))


def test_pings_between_fragments(ws: Bytes) -> None:
    """They are answered at once, before the message is whole."""
    first, rest = frame(TEXT, echo(80)[:40], fin=False), frame(CONTINUATION, echo(80)[40:])
    ws.send(first + frame(PING, b"in between"))
    came = ws.read()
    assert came and (came.opcode, came.payload) == (PONG, b"in between")
    ws.send(frame(PONG, b"nobody asked") + rest)
    check_echo(ws, echo(80))


def test_empty_fragments(ws: Bytes) -> None:
    nothing = frame(CONTINUATION, fin=False)
    ws.send(frame(TEXT, fin=False) + nothing + frame(CONTINUATION, echo(64), fin=False))
    ws.send(nothing + frame(CONTINUATION))
    check_echo(ws, echo(64))


def test_orphan_after_a_whole_message(ws: Bytes) -> None:
    ws.send(pieces(echo(64), 32))
    check_echo(ws, echo(64))
    ws.send(frame(CONTINUATION, b"one more"))
    assert ws.until_closed()[-1].code == PROTOCOL_ERROR


def test_message_right_behind_a_message(ws: Bytes) -> None:
    ws.send(frame(TEXT, echo(64)) + pieces(echo(90), 7, frame(PONG)) + frame(TEXT, echo(70)))
    for size in (64, 90, 70):
        check_echo(ws, echo(size))
