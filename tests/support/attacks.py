"""What must harm nobody, as bytes: one list for HTTP, Socket.IO and raw WebSockets.

The tests of each transport say what must come back.  Here it is all of it, sent to one server by
one person, to see what must never be (FAULTS): `tests/test_bad_input.py`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.frames import TEXT, frame
from tests.support.http import request
from tests.test_errors import BAD_FIELDS, BAD_JSON
from tests.test_http_bodies import AMBIGUOUS, BODY
from tests.test_socketio_malformed import MALFORMED
from tests.test_ws_conformance import FAULTS
from tests.test_ws_handshake import ENGINE_FAULTS
from tests.test_ws_text_and_close import BAD, OVERSIZE

HTTP, SOCKETIO, RAW = "http", "Socket.IO", "raw WebSocket"
JSON, CLOSE = "Content-Type: application/json", "Connection: close"
MIB = 1 << 20
PATHS = ("/tasks", "/login", "/tasks/bulk", "/api/v1/tasks")
QUERIES = (
    *(f"limit={value}" for value in (0, -1, 10**9, 10**30, "x")),
    *("sort=odd", "sort=id;drop", "cursor=%00", "cursor=W10", "q=", "colour=red"),
    *("%00=1", "a=%ed%a0%80", "since=" + "9" * 5000),
)


@dataclass(frozen=True)
class Attack:
    """`data` goes out on a new connection: over HTTP as it stands (`{token}` is the attacker's
    token), else behind a handshake of somebody who has signed in."""

    name: str
    over: str
    data: bytes


def bad_payloads() -> dict[str, bytes]:
    """Bodies that are no JSON we take, or no task."""
    texts = {name: json.dumps(body).encode() for name, (body, _) in BAD_FIELDS.items()}
    return {**BAD_JSON, **texts, "null": b"null", "array": b"[]", "text": b'"x"'}


def _post(path: str, body: bytes, *headers: str) -> bytes:
    length = f"Content-Length: {len(body)}"
    given = headers or (JSON,)
    return request("POST", path, *given, BEARER, length, CLOSE, body=body)


BEARER = "Authorization: Bearer {token}"


def _over_http() -> Iterator[Attack]:
    for name, body in bad_payloads().items():
        for path in PATHS:
            yield Attack(f"POST {path}: {name}", HTTP, _post(path, body))
    for query in QUERIES:
        lone = request("GET", f"/tasks?{query}", BEARER, CLOSE)
        yield Attack(f"GET /tasks?{query[:40]}", HTTP, lone)
    for kind in ("text/plain", "application/jsonx", ";;", ""):
        data = _post("/tasks", BODY, f"Content-Type: {kind}")
        yield Attack(f"content type {kind!r}", HTTP, data)
    bomb = gzip.compress(b" " * (50 * MIB) + BODY)
    yield Attack("gzip bomb", HTTP, _post("/tasks", bomb, JSON, "Content-Encoding: gzip"))
    yield Attack("over 1 MiB", HTTP, _post("/tasks", b" " * (MIB + 1)))
    megabyte = f"Authorization: Bearer {'e' * MIB}"
    yield Attack("1 MB of token", HTTP, request("GET", "/tasks", megabyte, CLOSE))
    second = _post("/tasks", BODY)
    for name, headers in AMBIGUOUS.items():
        first = request("POST", "/tasks", JSON, BEARER, *headers, body=b"0\r\n\r\n")
        yield Attack(f"where a request ends: {name}", HTTP, first + second)


def _over_socketio() -> Iterator[Attack]:
    for name, (data, _) in ENGINE_FAULTS.items():
        yield Attack(name, SOCKETIO, data)
    for text in MALFORMED:
        yield Attack(text[:30], SOCKETIO, frame(TEXT, text.encode()))
    for name, body in bad_payloads().items():
        packet = b'42["create_task",' + body + b"]"
        yield Attack(f"create_task: {name}", SOCKETIO, frame(TEXT, packet))


def _over_raw() -> Iterator[Attack]:
    for table in (FAULTS, OVERSIZE):
        for name, data in table.items():
            yield Attack(name, RAW, data)
    for name, text in BAD.items():
        yield Attack(f"bad text: {name}", RAW, frame(TEXT, b'{"type": "' + text + b'"}'))
    for name, body in bad_payloads().items():
        message = b'{"type": "create_task", "data": ' + body + b"}"
        yield Attack(f"create_task: {name}", RAW, frame(TEXT, message))
    yield Attack("pings by the thousand", RAW, frame(TEXT, b'{"type": "ping"}') * 2000)
    # Ten thousand are no flood for threads that take five seconds to look at them.
    yield Attack("empty frames by the thousand", RAW, frame(TEXT) * 30_000)


def attacks() -> list[Attack]:
    """All of them, each with a name of its own."""
    found = [*_over_http(), *_over_socketio(), *_over_raw()]
    assert len({(one.over, one.name) for one in found}) == len(found)
    return found
