"""What the fuzzer feeds: each target takes any bytes, and raises when something does not hold."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from engineio.exceptions import EngineIOError
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import RemoteProtocolError

from task_app import jsonio
from task_app.http.requests import BadRequest, Requests
from task_app.realtime.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    TOO_BIG,
    FrameError,
    FrameReader,
)
from tests.fuzz.world import SECRET, World

LIMIT = 300  # bytes of a message
MAX_BODY = 200
Read = tuple[list[tuple[int, Any]], int | None, int]


def pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """All but the first byte, and the same cut into pieces of that many bytes."""
    size, stream = (data[0] if data else 0) or 1, data[1:]
    return stream, [stream[start : start + size] for start in range(0, len(stream), size)]


def frames(data: bytes) -> None:
    """A WebSocket's bytes are read alike however they are cut, and as wsproto reads them."""
    stream, cut = pieces(data)
    found, code, rest = whole = read_frames([stream])
    assert read_frames(cut) == whole
    ours = [one for one in found if one[0] not in (CONTINUATION, CLOSE)]
    theirs, ended = read_by_wsproto(stream)
    if code is not None:
        assert code in (1002, 1007, TOO_BIG)
        assert theirs[: len(ours)] == ours
        return
    assert theirs == ours
    closed = bool(found) and found[-1][0] == CLOSE
    # It refuses bad text before the frame is whole; so much may still be to come here.
    assert ended == closed or (ended and rest)


def read_frames(given: list[bytes]) -> Read:
    """The frames up to the first that closes, the code of the rule that was broken, and how much
    of a frame is left."""
    reader, found = FrameReader(LIMIT), []
    try:
        for piece in given:
            reader.feed(piece)
            while (one := reader.next()) is not None:
                found.append(one if one[0] != CLOSE else (CLOSE, None))
                if one[0] == CLOSE:
                    return found, None, 0
            assert len(reader.data) <= LIMIT + 14 and reader.size <= LIMIT
    except FrameError as error:
        return found, error.code, 0
    return found, None, len(reader.data)


def read_by_wsproto(stream: bytes) -> tuple[list[tuple[int, Any]], bool]:
    """The same by an independent peer: whole messages, pings and pongs up to the end of the
    connection, and whether there was one; it ends a connection whose rules were broken."""
    connection = Connection(ConnectionType.SERVER)
    found: list[tuple[int, Any]] = []
    parts: list[Any] = []
    opcodes = {Ping: PING, Pong: PONG, TextMessage: TEXT, BytesMessage: BINARY}
    try:
        connection.receive_data(stream)
        for event in connection.events():
            if isinstance(event, CloseConnection):
                return found, True
            if isinstance(event, Ping | Pong):
                found.append((opcodes[type(event)], bytes(event.payload)))
                continue
            assert isinstance(event, TextMessage | BytesMessage)
            parts.append(event.data)
            if event.message_finished:
                empty: Any = "" if isinstance(event, TextMessage) else b""
                found.append((opcodes[type(event)], empty.join(parts)))
                parts = []
    except RemoteProtocolError:
        return found, True
    return found, False


def http(data: bytes) -> None:
    """An HTTP connection's bytes: as many requests, and the same, however they are cut."""
    stream, cut = pieces(data)
    whole = read_requests([stream])
    assert read_requests(cut) == whole
    for _, _, _, body, chunked in whole[0]:
        assert chunked or len(body) <= MAX_BODY


def read_requests(given: list[bytes]) -> tuple[list[Any], str | None, bytes]:
    """Each request, the status of the answer to what is none, and what is another protocol's."""
    found, status = Requests({}, MAX_BODY, lambda: None), None
    try:
        for piece in given:
            found.feed(piece)
    except BadRequest as error:
        status = error.status
    asked = [
        (
            *(one[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING")),
            one["wsgi.input"].read()[: MAX_BODY + 1],
            "wsgi.chunked" in one,
        )
        for one in found.ready
    ]
    return asked, status, found.rest or b""


def texts(data: bytes) -> None:
    """JSON that is taken means the same to the standard library, and can be sent again."""
    try:
        value = jsonio.loads(data)
    except jsonio.JsonError:
        return
    assert json.loads(data) == value
    try:
        again = jsonio.dumps_bytes(value)
    except TypeError:  # a number past 64 bits: the schemas refuse it
        return
    assert jsonio.loads(again) == value


class Trouble(logging.Handler):
    """Keeps what was logged as an error: a target must cause none."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


class Targets:
    """All of them.  Those that need an application share one, made in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.trouble = Trouble()
        logging.getLogger().addHandler(self.trouble)
        self.all: dict[str, Callable[[bytes], None]] = {
            "frames": frames,
            "http": http,
            "texts": texts,
            "packets": self.packets,
            "posts": self.posts,
            "messages": self.messages,
        }

    def close(self) -> None:
        logging.getLogger().removeHandler(self.trouble)

    def packets(self, data: bytes) -> None:
        """One message on a Socket.IO client's WebSocket, text or (after a byte FF) binary."""
        session = self.world.session()
        binary = data[:1] == b"\xff"
        session.handle(data[1:] if binary else data.decode(errors="ignore"))
        self.check(self.world.sent(session))

    def posts(self, data: bytes) -> None:
        """The body of a Socket.IO client's POST."""
        session = self.world.session()
        environ = {"CONTENT_LENGTH": str(len(data)), "wsgi.input": BytesIO(data)}
        try:
            session.handle_post_request(environ)
        except EngineIOError:
            assert session.closed
        self.check(self.world.sent(session))

    def messages(self, data: bytes) -> None:
        """One message on a raw WebSocket; the first byte picks the dialect, and whether its
        client has signed in."""
        first = data[0] if data else 0
        self.check(self.world.told(data[1:].decode(errors="ignore"), first))

    def check(self, sent: list[str]) -> None:
        """What came back has no trouble of the server's in it, and nothing of another user's."""
        for text in sent:
            assert "internal_error" not in text and SECRET not in text, text
        assert not self.trouble.records, self.trouble.records.pop()
