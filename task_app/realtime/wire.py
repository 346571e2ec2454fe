"""The server's end of a WebSocket (RFC 6455): what every transport and every ASYNC_MODE shares.

`WebSocket` has the protocol's rules and what a server owes itself: bounds, rates, close codes.
`BlockingWebSocket` moves the bytes with a reader and a writer, each a thread or a greenlet of its
own; `engine.py` has the one that needs neither.  Engine.IO uses them too, because the WebSockets
that Flask-SocketIO comes with unmask byte by byte, bound no fragments and negotiate deflate
unasked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import socket
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from task_app.extensions import socketio
from task_app.realtime.clock import clock
from task_app.realtime.frames import (
    BINARY,
    CLOSE,
    NORMAL,
    PING,
    POLICY,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    close_frame,
    control_frame,
)
from task_app.realtime.outbox import FAREWELL_SECONDS, Outbox

log = logging.getLogger(__name__)

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
READ_BYTES = 65536
# Frames a client may send at once, and per second after that: an empty fragment or a pong costs
# as much as a message.
BURST, RATE = 5_000, 2_000
CLOSE_SECONDS = 5  # for the answer to a close frame
WAITED = 0.05  # seconds: what takes longer to write has waited for its client


class HandshakeError(Exception):
    """The request is no WebSocket handshake we accept; `status` is the HTTP status."""

    def __init__(self, status: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(status)
        self.status = status
        self.headers = list(headers)


def is_upgrade(environ: Mapping[str, Any]) -> bool:
    """Whether the request asks to become a WebSocket."""
    connection = environ.get("HTTP_CONNECTION", "").lower()
    wants = [word.strip() for word in connection.split(",")]
    return "upgrade" in wants and environ.get("HTTP_UPGRADE", "").strip().lower() == "websocket"


def accept_key(environ: Mapping[str, Any]) -> str:
    """The answer to the handshake's key.  Raises `HandshakeError` (RFC 6455, section 4.2.1)."""
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip() != "13":
        raise HandshakeError("426 Upgrade Required", [("Sec-WebSocket-Version", "13")])
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    try:
        good = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        good = False
    if not good or environ["REQUEST_METHOD"] != "GET":
        raise HandshakeError("400 Bad Request")
    # SHA-1 because RFC 6455 says so; nothing is kept secret by it.
    digest = hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


class Allowance:
    """So many at once, and so many a second after that (a token bucket)."""

    __slots__ = ("burst", "counted_at", "left", "rate")

    def __init__(self, burst: int, rate: int) -> None:
        self.burst, self.rate = burst, rate
        self.left, self.counted_at = float(burst), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.counted_at) * self.rate) - 1
        self.counted_at = now
        return self.left >= 0


class Client(Protocol):
    """Who is served on a WebSocket.  Only `took` and `gone` may be called side by side with the
    others, of which each waits for the one before."""

    def begin(self) -> None:
        """The handshake is done, nothing has been read yet.  May wait; must not raise."""

    def took(self, message: str | bytes) -> bool:
        """Handle a message if that can neither wait nor take long; else False."""

    def handle(self, message: str | bytes) -> None:
        """Handle a message.  May wait; must not raise."""

    def gone(self) -> None:
        """The client has closed the connection, or lost it.  May wait; must not raise."""


class Nobody:
    """Who is served on a connection that has ended: the two would hold one another."""

    def begin(self) -> None:
        """Nothing begins."""

    def took(self, message: str | bytes) -> bool:
        return True

    def handle(self, message: str | bytes) -> None:
        """Nothing is heard."""

    def gone(self) -> None:
        """It is known."""


NOBODY = Nobody()


class WebSocket:
    """One connection after its handshake; `client` is served on it and may be exchanged.

    `closed` is set once nothing more is read from it or sent on it, but the close frame;
    `heard_at` is the time (monotonic) at which something last came; `read_at` that at which the
    client last made room, for what waited or for who did.  Either is a sign of life: a ping stands
    behind all that waits, and while the client is brought up to date no answer is read.
    """

    __slots__ = ("__weakref__", "allowance", "client", "closed", "heard_at", "read_at", "reader")
    client: Client

    def __init__(self, max_message: int, early: bytes) -> None:
        self.reader = FrameReader(max_message)
        self.allowance = Allowance(BURST, RATE)
        self.closed = False
        self.heard_at = self.read_at = time.monotonic()
        self.reader.feed(early)

    def accept(self, key: str) -> None:
        """Answer the handshake, when the client is served: before that nobody could be told that
        it has gone.  `key` is that of `accept_key`."""
        self.hold()
        self.put(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n"
        )

    def serve(self, client: Client) -> None:
        """Give the client's messages to `client`, one after the other, until the connection ends.
        May return before that."""
        raise NotImplementedError

    def hold(self) -> None:
        """Hold back the frames to come until `let_go`, so that they go out in one piece.  A hint,
        for moments in which nobody waits for anything."""

    def let_go(self) -> None:
        """The end of `hold`; so is every wait for the client."""

    def put(self, frame: bytes, *, always: bool = False) -> bool:
        """Put a frame on its way; neither waits nor raises.

        False when as much waits for this client as may; the frame is not put then, unless
        `always`.
        """
        raise NotImplementedError

    @property
    def waiting(self) -> Collection[bytes]:
        """The frames that have not been written yet."""
        raise NotImplementedError

    def backlog(self) -> tuple[int, int]:
        """How many frames wait, and their bytes."""
        raise NotImplementedError

    def wait_for_room(self, seconds: float) -> bool:
        """Wait until less than a quarter of what may wait does.  False when that took too long, or
        at the end."""
        raise NotImplementedError

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close once what waits has been written, or has had a moment to be: a close frame, then
        what the client still sends is read away for a while (or the kernel would answer it with a
        reset, and the client never see the close frame).  May wait; never raises."""
        raise NotImplementedError

    def end(self, code: int, reason: str, *, discard: bool = False) -> None:
        """The same without waiting; what waits may be discarded."""
        raise NotImplementedError

    def abort(self) -> None:
        """End the connection now; whoever waits in it, reader or writer, wakes up."""
        raise NotImplementedError

    def _next_message(self) -> str | bytes | None:
        """The next whole message of what has been read; None when there is none, or the
        connection is closed.  Does what control frames ask, and closes who breaks a rule."""
        while not self.closed:
            try:
                found = self.reader.next()
            except FrameError as error:
                self.close(error.code, error.reason)
                return None
            if found is None:
                return None
            if not self.allowance.take():
                self.close(POLICY, "too many messages")
                return None
            opcode, content = found
            if opcode in (TEXT, BINARY):
                return content  # type: ignore[no-any-return]
            if opcode == PING:
                self.put(control_frame(PONG, content))  # who reads none may go without
            elif opcode == CLOSE:
                self.close(content)
        return None


class BlockingWebSocket(WebSocket):
    """One that is served by whoever calls `serve`, and written to by a background task."""

    def __init__(self, connection: Any, max_message: int, early: bytes) -> None:
        super().__init__(max_message, early)
        self.socket = connection
        self.outbox: Outbox[bytes] = Outbox()
        self.lock = threading.Lock()  # of the socket's writing end
        self.closing = threading.Lock()  # taken by who closes, for good

    def serve(self, client: Client) -> None:
        self.client = client
        self.socket.settimeout(None)
        socketio.start_background_task(self._write)
        try:
            self.client.begin()
            self._read()
        finally:
            self.closed = True
            self.client.gone()
            self.outbox.close()
            self._drain()
            self.abort()

    def put(self, frame: bytes, *, always: bool = False) -> bool:
        return self.closed or self.outbox.put(frame, always=always)

    @property
    def waiting(self) -> Collection[bytes]:
        return self.outbox.waiting

    def backlog(self) -> tuple[int, int]:
        return len(self.outbox.waiting), self.outbox.bytes

    def wait_for_room(self, seconds: float) -> bool:
        found = self.outbox.wait_for_room(seconds)
        if found:
            self.read_at = time.monotonic()
        return found

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        if not self.closing.acquire(blocking=False):
            return
        # What the client asked before is answered first; nothing may follow the close frame.
        self.outbox.close()
        self.outbox.wait_until_written(FAREWELL_SECONDS)
        if self.closed:
            return
        self.closed = True
        # A writer that waits for the client keeps the lock: no close frame can get past it.
        if self.lock.acquire(timeout=FAREWELL_SECONDS):
            with suppress(OSError):
                self.socket.settimeout(CLOSE_SECONDS)
                self._write_at_once(close_frame(code, reason))
                self.socket.shutdown(socket.SHUT_WR)
            self.lock.release()
            clock.after(CLOSE_SECONDS, self.abort)
        else:
            self.abort()

    def end(self, code: int, reason: str, *, discard: bool = False) -> None:
        self.outbox.close(discard)
        socketio.start_background_task(self.close, code, reason)

    def abort(self) -> None:
        self.closed = True
        self.outbox.close(discard=True)
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        while not self.closed:
            message = self._next_message()
            if message is not None:
                if not self.client.took(message):
                    self.client.handle(message)
                    # Messages that came in one segment must not keep the hub from the others.
                    socketio.sleep(0)
                continue
            data = b"" if self.closed else self._receive()
            if not data:
                return
            self.heard_at = time.monotonic()
            self.reader.feed(data)

    def _receive(self) -> bytes:
        try:
            return bytes(self.socket.recv(READ_BYTES))
        except OSError:
            return b""

    def _drain(self) -> None:
        """Read away what is still coming after a close, for a moment."""
        until = time.monotonic() + CLOSE_SECONDS
        with suppress(OSError):
            self.socket.settimeout(1)
            while time.monotonic() < until and self.socket.recv(READ_BYTES):
                pass

    def _write(self) -> None:
        """Write what waits until the connection ends."""
        try:
            while (messages := self.outbox.take(60)) is not None:
                began = time.monotonic()
                for message in messages:
                    with self.lock:
                        if self.closed:
                            return
                        self._write_at_once(message)
                    if (now := time.monotonic()) > began + WAITED:
                        began = self.read_at = now
        except OSError:
            self.abort()

    def _write_at_once(self, data: bytes) -> None:
        self.socket.sendall(data)


def connection_of(environ: Mapping[str, Any]) -> Any:
    """What can be shut down under whoever waits in the request's connection."""
    return environ.get("task_app.connection") or environ["werkzeug.socket"]


def taken(environ: Mapping[str, Any]) -> tuple[Any, bytes]:
    """The request's socket, from now on ours alone, and what was read past the request."""
    connection = environ.get("task_app.connection")
    if connection is not None:
        socket, early = connection.take()
        return socket, early
    return environ["werkzeug.socket"], _already_read(
        environ["wsgi.input"], environ["werkzeug.socket"]
    )


def finish(environ: Mapping[str, Any]) -> Iterable[bytes]:
    """End a request whose connection became a WebSocket: no response may be written to it.

    Our own server knows; werkzeug's takes a ConnectionError for it.
    """
    if "task_app.connection" not in environ:
        raise ConnectionError("the connection was a WebSocket")
    return ()


def _already_read(reader: Any, connection: Any) -> bytes:
    """What werkzeug's server has read past the request: a client need not wait for our answer."""
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        waiting = reader.peek(1)
        return bytes(reader.read(len(waiting))) if waiting else b""
    except (OSError, AttributeError):
        return b""
    finally:
        connection.settimeout(timeout)
