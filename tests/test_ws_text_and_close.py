"""Raw WebSockets, byte for byte, after Autobahn's categories 6, 7 and 9: UTF-8, close frames,
and the bounds on what a client may send."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.accounts import Person, register
from tests.support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Bytes,
    close,
    frame,
    signed_in,
)
from tests.support.server import Server

PROTOCOL_ERROR, BAD_TEXT, POLICY, TOO_BIG = 1002, 1007, 1008, 1009
MOST = 65536  # WS_MAX_MESSAGE_BYTES


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    return register(server.url, "Alice")


@pytest.fixture
def ws(server: Server, alice: Person) -> Iterator[Bytes]:
    connection = signed_in(server, alice.token)
    yield connection
    connection.end()


def message(text: bytes) -> bytes:
    return b'{"type": "x", "request_id": "' + text + b'"}'


GOOD = {
    "kosme": "κόσμε",
    "two bytes": "\x80\u07ff",
    "three bytes": "\u0800\ud7ff\ue000\ufffd",
    "no characters": "\ufffe\uffff\U0001ffff",
    "four bytes": "\U00010000\U0010ffff",
    "mixed": "Hello-µ@ßöäüàá-UTF-8!! 🦦",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("apart", [None, 1])
def test_good_text(ws: Bytes, text: str, apart: int | None) -> None:
    ws.send(frame(TEXT, message(text.encode())), apart=apart)
    came = ws.read()
    assert came and came.json["request_id"] == text


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_good_text_in_fragments_of_one_byte(ws: Bytes, text: str) -> None:
    data = message(text.encode())
    ws.send(frame(TEXT, data[:1], fin=False))
    ws.send(b"".join(frame(CONTINUATION, data[i : i + 1], fin=False) for i in range(1, len(data))))
    ws.send(frame(CONTINUATION))
    came = ws.read()
    assert came and came.json["request_id"] == text


BAD = {
    "surrogate": b"\xed\xa0\x80",
    "pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong in three": b"\xe0\x80\xaf",
    "overlong in four": b"\xf0\x80\x80\xaf",
    "past U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "lone continuation": b"\x80",
    "cut character": b"\xce\xba\xcf",
    "Latin-1": "für".encode("latin-1"),
}


@pytest.mark.fault("raw")
@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_text(ws: Bytes, text: bytes) -> None:
    ws.send(frame(TEXT, message(text)))
    assert ws.until_closed()[-1].code == BAD_TEXT


@pytest.mark.fault("raw")
@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_text_in_fragments(ws: Bytes, text: bytes) -> None:
    data = message(text)
    cut = len(data) // 2
    ws.send(frame(TEXT, data[:cut], fin=False) + frame(CONTINUATION, data[cut:]))
    assert ws.until_closed()[-1].code == BAD_TEXT


def test_text_that_ends_inside_a_character(ws: Bytes) -> None:
    ws.send(frame(TEXT, b"x\xce"))
    assert ws.until_closed()[-1].code == BAD_TEXT


def test_bad_text_fails_at_once(ws: Bytes) -> None:
    """Before the message has ended."""
    ws.send(frame(TEXT, message("κόσμε".encode())[:20], fin=False))
    ws.send(frame(CONTINUATION, b"\xed\xa0\x80", fin=False))
    assert ws.until_closed()[-1].code == BAD_TEXT


GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
BAD_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", GOOD_CODES)
def test_close_is_answered_with_its_code(ws: Bytes, code: int) -> None:
    ws.send(close(code, b"bye"))
    (ending,) = ws.until_closed()
    assert ending.code == code


@pytest.mark.fault("raw")
@pytest.mark.parametrize("code", BAD_CODES)
def test_close_with_a_code_that_is_none(ws: Bytes, code: int) -> None:
    ws.send(close(code))
    (ending,) = ws.until_closed()
    assert ending.code == PROTOCOL_ERROR


# The payload of a close frame, and the code that must come back.
CLOSINGS = {
    "empty": (b"", 1000),
    "one byte": (b"\x03", PROTOCOL_ERROR),
    "the longest reason": (b"\x03\xe8" + b"r" * 123, 1000),
    "a reason in UTF-8": (b"\x03\xe8" + "tschüß".encode(), 1000),
    "a reason that is no UTF-8": (b"\x03\xe8\xce\xba\xff", BAD_TEXT),
    "a reason cut inside a character": (b"\x03\xe8\xce", BAD_TEXT),
}


@pytest.mark.fault("raw")
@pytest.mark.parametrize(("payload", "code"), CLOSINGS.values(), ids=CLOSINGS)
@pytest.mark.parametrize("apart", [None, 1])
def test_closings(ws: Bytes, payload: bytes, code: int, apart: int | None) -> None:
    ws.send(frame(CLOSE, payload), apart=apart)
    (ending,) = ws.until_closed()
    assert ending.code == code


AFTER = {
    "text": frame(TEXT, message(b"x")),
    "ping": frame(PING, b"x"),
    "another close": close(1001),
    "rubbish": b"\xff" * 50,
}


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
def test_nothing_after_a_close_counts(ws: Bytes, after: bytes) -> None:
    ws.send(close(1000) + after)
    (ending,) = ws.until_closed()
    assert ending.code == 1000


def test_close_between_fragments(ws: Bytes) -> None:
    ws.send(frame(TEXT, b'{"ty', fin=False) + close(1000) + frame(CONTINUATION, b'pe": 1}'))
    (ending,) = ws.until_closed()
    assert ending.code == 1000


OVERSIZE = {
    "text": frame(TEXT, b"x" * (MOST + 1)),
    "binary": frame(BINARY, b"x" * (MOST + 1)),
    "fragments": frame(TEXT, b"x" * MOST, fin=False) + frame(CONTINUATION, b"x"),
    "fragments without end": frame(TEXT, b"x" * MOST, fin=False)
    + frame(CONTINUATION, b"x", fin=False),
    "two-byte characters": frame(TEXT, "é".encode() * (MOST // 2 + 1)),
    "of which little comes": frame(TEXT, b"x" * (1 << 24))[: MOST + 100],
}


@pytest.mark.fault("raw")
@pytest.mark.parametrize("data", OVERSIZE.values(), ids=OVERSIZE)
def test_too_big(ws: Bytes, data: bytes) -> None:
    ws.send(data)
    (ending,) = ws.until_closed()
    assert ending.code == TOO_BIG


def test_just_not_too_big(ws: Bytes) -> None:
    text = "é" * ((MOST - len(message(b""))) // 2)
    ws.send(frame(TEXT, message(text.encode())))
    came = ws.read()
    assert came and came.json["request_id"] == text


@pytest.mark.fault("wishes")
def test_json_pings(ws: Bytes) -> None:
    """A hundred at once are answered; who sends them by the thousand is closed."""
    ping = frame(TEXT, b'{"type": "ping"}')
    ws.send(ping * 100)
    assert [one and one.json for one in (ws.read() for _ in range(100))] == [{"type": "pong"}] * 100
    ws.send(ping * 1000)
    assert ws.until_closed()[-1].code == POLICY


@pytest.mark.fault("raw")
@pytest.mark.parametrize("kind", ["pings", "texts", "pongs", "empty fragments"])
def test_flood(ws: Bytes, kind: str) -> None:
    """Thousands of frames at once, of whatever kind (2 000 a second after 5 000 are allowed).
    Ten thousand are a flood only for who looks at them in two seconds and a half, which threads
    on a busy machine did not."""
    first, each = {
        "pings": (b"", frame(PING)),
        "texts": (b"", frame(TEXT, b"x")),
        "pongs": (b"", frame(PONG)),
        "empty fragments": (frame(TEXT, fin=False), frame(CONTINUATION, fin=False)),
    }[kind]
    ws.send(first + each * 30_000)
    assert ws.until_closed()[-1].code == POLICY


def test_fragments_are_counted_once(ws: Bytes) -> None:
    """An honest message in many fragments is one message."""
    data = message(b"r" * 900)
    for _ in range(3):
        rest = b"".join(frame(CONTINUATION, bytes([byte]), fin=False) for byte in data[1:])
        ws.send(frame(TEXT, data[:1], fin=False) + rest + frame(CONTINUATION))
        came = ws.read()
        assert came and came.json["request_id"] == json.loads(data)["request_id"]


def test_a_burst_of_questions_is_answered(ws: Bytes) -> None:
    """Sent at once, they are more than may wait for one client: no reason to call it slow."""
    asked = [b'{"type": "list_tasks", "request_id": "%d"}' % i for i in range(600)]
    ws.send(b"".join(frame(TEXT, one) for one in asked))
    answers = [one and one.json for one in (ws.read() for _ in asked)]
    assert [one and one["request_id"] for one in answers] == [str(i) for i in range(600)]
    assert {one and one["type"] for one in answers} == {"ack"}
