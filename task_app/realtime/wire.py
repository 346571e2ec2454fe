"""The server's end of a WebSocket (RFC 6455), for every transport and every ASYNC_MODE.

wsproto reads and writes the frames; this adds what a server owes itself: bounds, timeouts, close
codes, and one writer at a time.  Engine.IO uses it too (`install`), because the WebSockets that
Flask-SocketIO comes with unmask byte by byte, bound no fragments and negotiate deflate unasked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError

log = logging.getLogger(__name__)

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
READ_BYTES = 65536
NORMAL, GOING_AWAY, PROTOCOL_ERROR, TOO_BIG, POLICY = 1000, 1001, 1002, 1009, 1008
# Frames a client may send at once, and per second after that: an empty fragment or a pong costs
# as much as a message.
BURST, RATE = 5_000, 2_000
CLOSE_SECONDS = 5  # for the close frame to get out, and for its answer


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
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()  # noqa: S324


def frame(message: str | bytes) -> bytes:
    """One whole message as the frame a server sends (RFC 6455, section 5.2): unmasked, so that
    it is the same for every client and made once."""
    payload = message.encode() if isinstance(message, str) else message
    opcode = b"\x81" if isinstance(message, str) else b"\x82"
    if len(payload) < 126:
        return opcode + bytes((len(payload),)) + payload
    if len(payload) < 1 << 16:
        return opcode + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return opcode + b"\x7f" + len(payload).to_bytes(8, "big") + payload


class Allowance:
    """So many at once, and so many a second after that (a token bucket)."""

    def __init__(self, burst: int, rate: int) -> None:
        self.burst, self.rate = burst, rate
        self.left, self.counted_at = float(burst), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.counted_at) * self.rate) - 1
        self.counted_at = now
        return self.left >= 0


class WebSocket:
    """One connection after its handshake.  `receive` belongs to one reader; anybody may send."""

    def __init__(self, environ: Mapping[str, Any], max_message: int) -> None:
        self.socket, self.early = _taken(environ)
        self.max_message = max_message
        self.frames = Connection(ConnectionType.SERVER)
        self.lock = threading.Lock()
        self.closed = False
        self.close_code: int | None = None
        self.ending: tuple[int, str] | None = None  # the client ended it; what `close` will say
        self.heard_at = 0.0  # when the last bytes came, by `time.monotonic`
        self.allowance = Allowance(BURST, RATE)
        self.parts: list[str | bytes | bytearray] = []
        self.size = 0
        self.incoming: Any = iter(())

    def accept(self, key: str) -> None:
        """Answer the handshake."""
        self._write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n"
        )

    def send(self, message: str | bytes) -> None:
        """Send one message.  Raises `OSError` when the connection is gone."""
        self.send_frame(frame(message))

    def send_frame(self, data: bytes) -> None:
        """Send what `frame` made.  Raises `OSError` when the connection is gone."""
        with self.lock:
            if self.frames.state in (ConnectionState.CLOSED, ConnectionState.LOCAL_CLOSING):
                return
            self._write(data)

    def ping(self) -> None:
        self._send(Ping(payload=b""))

    def receive(self, timeout: float | None) -> str | bytes | None:
        """The next message; None when the connection has ended or must end: the client closed
        it, broke the protocol or went too far (`ending`).  Whoever reads then has what the client
        asked before answered, and calls `close`.

        Raises `TimeoutError` when nothing at all, not even a pong, came for `timeout` seconds.
        """
        self.socket.settimeout(timeout)
        while not self.closed and self.ending is None:
            for event in self.incoming:
                message = self._take(event)
                if message is not None:
                    return message
                if self.closed or self.ending is not None:
                    return None
            data = self._read()
            if not data:
                self.closed = True
                return None
            self.heard_at = time.monotonic()
            self.frames.receive_data(data)
            self.incoming = self.frames.events()
        return None

    def _read(self) -> bytes:
        if self.early:
            data, self.early = self.early, b""
            return data
        try:
            return bytes(self.socket.recv(READ_BYTES))
        except TimeoutError:
            raise
        except OSError:
            return b""

    def _take(self, event: Any) -> str | bytes | None:
        """What a frame means: a whole message, or None and whatever it made us do."""
        if isinstance(event, TextMessage | BytesMessage):
            if event.frame_finished and not self._within_rate():
                return None
            if event.data:
                self.parts.append(event.data)
            self.size += len(event.data)
            if self.size > self.max_message:
                self.fail(TOO_BIG, f"a message is at most {self.max_message} bytes")
            elif event.message_finished:
                return self._whole(event)
        elif isinstance(event, Ping | Pong):
            if self._within_rate() and isinstance(event, Ping):
                self._send(event.response(), quietly=True)
        elif isinstance(event, CloseConnection):
            self.close_code = event.code
            # After a fault of the client's, wsproto makes the event itself, with the right code.
            self.fail(event.code if event.code != 1005 else NORMAL, event.reason or "")
        return None

    def _whole(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        parts, self.parts, self.size = self.parts, [], 0
        if isinstance(event, TextMessage):
            text = "".join(parts)  # type: ignore[arg-type]
            if len(text) * 4 > self.max_message and len(text.encode()) > self.max_message:
                self.fail(TOO_BIG, f"a message is at most {self.max_message} bytes")
                return None
            return text
        return b"".join(parts)  # type: ignore[arg-type]

    def _within_rate(self) -> bool:
        """Whether the client keeps to the rate; ends the connection when it does not."""
        kept = self.allowance.take()
        if not kept:
            self.fail(POLICY, "too many messages")
        return kept

    def fail(self, code: int, reason: str) -> None:
        """Take nothing more from the client: the connection ends by its doing.  Its close frame
        waits for `close`, because nothing may follow it, not even an answer."""
        self.ending = self.ending or (code, reason)

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """End the connection with a close frame, once; never raises."""
        if self.closed:
            return
        self.closed = True
        code, reason = self.ending or (code, reason)
        self.close_code = self.close_code or code
        try:
            self.socket.settimeout(CLOSE_SECONDS)
            self._send(CloseConnection(code=code, reason=reason[:60]), quietly=True)
            # What the client has sent is read away, or the kernel would answer it with a reset
            # and the client would never see the close frame.
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def drain(self) -> None:
        """Read away what is still coming after a close, for a moment."""
        until = time.monotonic() + CLOSE_SECONDS
        try:
            self.socket.settimeout(1)
            while time.monotonic() < until and self.socket.recv(READ_BYTES):
                pass
        except OSError:
            pass

    def abort(self) -> None:
        """End the connection now: whoever waits in it, reader or writer, wakes up."""
        self.closed = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _send(self, event: Any, quietly: bool = False) -> None:
        try:
            with self.lock:
                if self.frames.state in (ConnectionState.CLOSED, ConnectionState.LOCAL_CLOSING):
                    return
                self._write(self.frames.send(event))
        except (OSError, LocalProtocolError) as error:
            if not quietly:
                raise ConnectionError("the WebSocket is closed") from error

    def _write(self, data: bytes) -> None:
        self.socket.sendall(data)


def connection_of(environ: Mapping[str, Any]) -> Any:
    """What can be shut down under whoever waits in the request's connection."""
    return environ.get("task_app.connection") or environ["werkzeug.socket"]


def _taken(environ: Mapping[str, Any]) -> tuple[Any, bytes]:
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
    return []


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


class EngineIOWebSocket:
    """What Engine.IO asks of a WebSocket: called as a WSGI application, it upgrades and hands
    itself to `handler`; then `wait`, `send` and `close`."""

    def __init__(self, handler: Callable[[Any], Any], server: Any) -> None:
        self.handler = handler
        self.server = server
        self.connection: WebSocket | None = None
        self.patience = server.ping_interval + server.ping_timeout

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            key = accept_key(environ)
        except HandshakeError as error:
            start_response(error.status, [*error.headers, ("Content-Length", "0")])
            return []
        connection = WebSocket(environ, self.server.max_http_buffer_size)
        self.connection = connection
        engine_socket = self.handler.__self__  # type: ignore[attr-defined]
        engine_socket.transport_socket = connection
        connection.accept(key)
        try:
            self.handler(self)
        except ValueError as error:
            # A packet that is none ends Engine.IO's handler, without its own clean-up.
            log.info("a malformed Engine.IO packet: %s", error)
        finally:
            engine_socket.close(wait=False, abort=True)
            connection.close()
        return finish(environ)

    def wait(self) -> str | bytes | None:
        if self.connection is None:
            return None
        try:
            message = self.connection.receive(self.patience)
        except TimeoutError:
            return None
        if isinstance(message, str) and not "0" <= message[:1] <= "9":
            # No packet: raised over, it would end the connection before its last answers are out.
            self.connection.fail(NORMAL, "")
            return None
        return message  # after None, Engine.IO's writer writes what waits, then closes

    def send(self, message: str | bytes) -> None:
        if self.connection is not None:
            self.connection.send(message)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


def install(engine: Any) -> None:
    """Make Engine.IO use these WebSockets."""
    engine._async = {**engine._async, "websocket": EngineIOWebSocket}
