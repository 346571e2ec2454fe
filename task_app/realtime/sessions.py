"""Engine.IO sessions: python-engineio's, with WebSockets and timers of our own.

python-engineio's own keeps a reader, a writer and a sleeping pinger for each client, and its
queue; it pings each from a task of its own and looks for the lost from yet another.  A session
here has a queue while its client polls, and none once it has a WebSocket; one timer (`clock.py`)
pings everybody.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from engineio import socket as engineio_socket
from engineio.exceptions import EngineIOError, SocketIsClosedError, UnknownPacketError
from engineio.packet import CLOSE, NOOP, OPEN, PING, PONG, UPGRADE, Packet
from engineio.payload import Payload

from task_app.ids import Ids
from task_app.realtime import wire
from task_app.realtime.clock import clock
from task_app.realtime.engine import engine
from task_app.realtime.frames import NORMAL, frame
from task_app.realtime.outbox import MAX_BYTES, MAX_MESSAGES, has_room, is_full
from task_app.realtime.wire import WebSocket

log = logging.getLogger(__name__)

# Packets in one POST of the polling transport (python-engineio's own bound is 16).
Payload.max_decode_packets = 512
# What is kept of the request that opened a session: whatever else is in there, the HTTP server's
# buffers among it, would live as long as the session.
KEPT = ("QUERY_STRING", "HTTP_AUTHORIZATION")
CONNECT = "40"  # how Socket.IO's packet of that name begins
# What the clients for JavaScript and for Python ask with, when a WebSocket is all they want.
OPENING = ("EIO=4&transport=websocket", "transport=websocket&EIO=4")


# What a client can make python-engineio raise by what it sends.
UNREADABLE = (EngineIOError, ValueError, TypeError, LookupError)


def _body(environ: Mapping[str, Any], most: int) -> bytes:
    """A request's body.  Raises ValueError when it is longer than `most`."""
    length = environ.get("CONTENT_LENGTH")
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    # One that comes in chunks has no length.
    body: bytes = environ["wsgi.input"].read(min(int(length or most), most) + (not length))
    if len(body) > most or int(length or 0) > most:
        raise ValueError("too long")
    return body


class PacketFrame(bytes):
    """A packet as the WebSocket frame that becomes of it; `packet` is for clients that poll."""

    packet: Packet

    def __new__(cls, packet: Packet) -> PacketFrame:
        made = super().__new__(cls, frame(packet.encode()))
        made.packet = packet
        return made


class Session(engineio_socket.Socket):
    """One Engine.IO session.  `websocket` is None while its client polls."""

    changing = threading.Lock()  # held to put a packet for polling, and to stop polling

    def __init__(self, server: Any, sid: str) -> None:
        # Not the parent's: a queue that is never used costs as much as all the rest.
        self.server, self.sid = server, sid
        self.connected = self.upgrading = self.upgraded = self.closing = self.closed = False
        self.session: dict[str, Any] = {}
        self.websocket: WebSocket | None = None
        self.told: Callable[[WebSocket], None] | None = None
        self.packets: Any = None
        self.answered_at = time.monotonic()  # the last ping
        self.pinged = False  # and not answered yet

    @property
    def queue(self) -> Any:
        """What waits for the next poll, and how python-engineio's polling gets at it."""
        if self.packets is None:
            self.packets = self.server.create_queue()
        return self.packets

    # --- out

    def send(self, pkt: Packet) -> None:
        """Put a packet on its way, whatever waits: an answer, which its client has asked for.
        One that asks and does not read is ended at eight times what events may wait.

        Never waits.  Raises `SocketIsClosedError`.
        """
        if self.closed:
            raise SocketIsClosedError
        count, size = self.backlog()
        if (count >= 8 * MAX_MESSAGES or size >= 8 * MAX_BYTES) and not self.closing:
            self.cut()
            return
        if self.websocket is None:
            with self.changing:
                if self.websocket is None:
                    self.queue.put(pkt)
                    return
        self.websocket.put(frame(pkt.encode()), always=True)

    def give(self, encoded: PacketFrame) -> bool:
        """Put an event on its way.  False when as much waits for this client as may."""
        if self.closed:
            return True
        if self.websocket is not None:
            return self.websocket.put(encoded)
        if is_full(*self.backlog()):
            return False
        self.send(encoded.packet)
        return True

    def on_websocket(self, call: Callable[[WebSocket], None]) -> None:
        """Have `call` told the WebSocket that everything is sent on, as soon as there is one."""
        self.told = call
        if self.websocket is not None:
            call(self.websocket)

    @property
    def waiting(self) -> Collection[Any]:
        """The packets, or the frames, that have not been fetched or written yet."""
        if self.websocket is not None:
            return self.websocket.waiting
        return () if self.packets is None else list(self.packets.queue)

    def backlog(self) -> tuple[int, int]:
        """How many packets wait, and their size."""
        if self.websocket is not None:
            return self.websocket.backlog()
        waiting = self.waiting
        return len(waiting), sum(len(packet.data or "") for packet in waiting if packet)

    def wait_for_room(self, seconds: float) -> bool:
        """As `WebSocket.wait_for_room`."""
        until = time.monotonic() + seconds
        while not self.closed and time.monotonic() < until:
            if self.websocket is not None:
                return self.websocket.wait_for_room(until - time.monotonic())
            if has_room(*self.backlog()):
                return True
            self.server.sleep(0.01)
        return False

    # --- in

    def begin(self) -> None:
        """Of `wire.Client`: the client speaks first."""

    def took(self, message: str | bytes) -> bool:
        if message != "3":  # PONG, which most of what an idle client sends is
            return False
        self.schedule_ping()
        return True

    def handle(self, message: str | bytes) -> None:
        websocket = self.websocket
        if websocket is None or message[:2] != CONNECT:
            self._handle(message)
        elif not self.closing:
            websocket.hold()  # the answer, the greeting and `ready` go out together
            self.server._trigger_event("message", self.sid, message[1:])
            websocket.let_go()

    def receive(self, pkt: Packet) -> None:
        """What comes after the end of a session is nobody's: it would enter a namespace that it
        never leaves."""
        if not (self.closed or self.closing):
            super().receive(pkt)

    def _handle(self, message: str | bytes) -> None:
        try:
            self.receive(Packet(encoded_packet=message))
        except UnknownPacketError:
            pass
        except UNREADABLE as error:
            log.info("a malformed Engine.IO packet: %s", error)
            self.close(abort=True, reason=self.server.reason.TRANSPORT_ERROR)

    def gone(self) -> None:
        self.close(abort=True, reason=self.server.reason.TRANSPORT_CLOSE)

    def handle_post_request(self, environ: Mapping[str, Any]) -> None:
        """Take a POST.  One with too many packets, or that cannot be read, ends the session with
        400.

        As it comes, it is dropped, answered with 200 and logged with a traceback; or its request
        waits for ever until the client has polled what waits for it.
        """
        try:
            body = _body(environ, self.server.max_http_buffer_size)
            for pkt in Payload(encoded_payload=body.decode()).packets:
                self.receive(pkt)
                # Packets that came in one request must not keep the hub from the others.
                self.server.sleep(0)
        except UNREADABLE as error:
            self.close(abort=True)
            raise EngineIOError("the request cannot be read") from error

    # --- pings

    def schedule_ping(self) -> None:
        """The client has connected, or has answered a ping."""
        if not self.connected:
            clock.after(self.server.ping_interval, self._on_time)
        elif self.pinged:
            self.pinged, self.answered_at = False, time.monotonic()

    def _on_time(self) -> None:
        """Called when a ping may be due, and when its answer is."""
        if self.closed:
            return
        if self.pinged:
            # One that still takes what waits has perhaps not come to the ping yet.
            read_at = 0.0 if self.websocket is None else self.websocket.read_at
            left = read_at + self.server.ping_timeout - time.monotonic()
            if left > 0:
                clock.after(left, self._on_time)
            else:
                self.close(reason=self.server.reason.PING_TIMEOUT)
            return
        due = self.answered_at + self.server.ping_interval - time.monotonic()
        if due > 0:
            clock.after(due, self._on_time)
            return
        self.pinged = True
        self.send(Packet(PING))
        clock.after(self.server.ping_timeout, self._on_time)

    # --- the WebSocket

    def _upgrade_websocket(
        self, environ: Mapping[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        """Answer a polling client's request for a WebSocket.  Raises `HandshakeError`."""
        key = wire.accept_key(environ)
        websocket = engine.websocket(environ, self.server.max_http_buffer_size)
        websocket.accept(key)
        websocket.serve(Probe(self, websocket))
        return wire.finish(environ)

    def take(self, websocket: WebSocket) -> None:
        """Send what waits, and everything from now on, on this WebSocket."""
        with self.changing:
            packets, self.packets = self.packets, None
            while packets is not None and not packets.empty():
                websocket.put(frame(packets.get(block=False).encode()), always=True)
            self.websocket = websocket
        if self.told is not None:
            self.told(websocket)
        self.connected = self.upgraded = True

    # --- the end

    def close(self, wait: bool = False, abort: bool = False, reason: str | None = None) -> None:
        """End the session; `abort` leaves out Engine.IO's own word for it.  Never waits."""
        if self.closed or self.closing:
            return
        self.closing = True
        why = reason or self.server.reason.SERVER_DISCONNECT
        self.server._trigger_event("disconnect", self.sid, why, run_async=False)
        if not abort:
            self.send(Packet(CLOSE))
        self.closed = True
        self.server.sockets.pop(self.sid, None)
        if self.websocket is not None:
            self.websocket.end(NORMAL, "")
        elif self.packets is not None:
            self.packets.put(None)  # for a poll that is waiting

    def cut(self) -> None:
        """End the session and its connection now: its client does not read."""
        self.close()
        if self.websocket is not None:
            self.websocket.abort()


class Probe:
    """A WebSocket that a polling session may change to: the client asks with a ping, and changes
    with UPGRADE.  Until then, and after anything else, the session goes on polling."""

    def __init__(self, session: Session, websocket: WebSocket) -> None:
        self.session, self.websocket = session, websocket
        self.pinged = False
        session.upgrading = True  # polls are answered with nothing meanwhile
        clock.after(session.server.ping_interval + session.server.ping_timeout, self._on_time)

    def begin(self) -> None:
        """Of `wire.Client`: the client speaks first."""

    def took(self, message: str | bytes) -> bool:
        return False

    def handle(self, message: str | bytes) -> None:
        if not self.pinged and message == f"{PING}probe":
            self.pinged = True
            self.websocket.put(frame(f"{PONG}probe"))
            self.session.queue.put(Packet(NOOP))  # ends the poll that is waiting
        elif self.pinged and message == str(UPGRADE) and self._may_change():
            self.session.take(self.websocket)
            self.session.upgrading = False
            self.websocket.client = self.session
        else:
            self.websocket.end(NORMAL, "")

    def _may_change(self) -> bool:
        return self.session.websocket is None and not self.session.closed

    def gone(self) -> None:
        self.session.upgrading = False

    def _on_time(self) -> None:
        if self.session.websocket is not self.websocket:
            self.websocket.end(NORMAL, "")


def _open(
    server: Any,
    environ: Mapping[str, Any],
    start_response: Any,
    transport: str,
    jsonp_index: int | None = None,
) -> Any:
    """Open a session, as python-engineio's server does."""
    if transport != "websocket":
        session, opening = _begin(server, environ, transport)
        session.send(opening)
        session.connected = True
        return server._ok(session.poll(), jsonp_index=jsonp_index)
    if not wire.is_upgrade(environ):
        return server._bad_request("Not a WebSocket handshake")
    return open_websocket(server, environ, start_response)


def wants_websocket(environ: Mapping[str, Any]) -> bool:
    """Whether a request is, letter for letter, what opens a session by WebSocket: thousands come
    at once after a restart, and python-engineio's way to `_open` reads each from its beginning."""
    return (
        environ["QUERY_STRING"] in OPENING
        and environ["PATH_INFO"] == "/socket.io/"
        and environ["REQUEST_METHOD"] == "GET"
        and wire.is_upgrade(environ)
    )


def open_websocket(server: Any, environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
    """Open a session whose only transport is the WebSocket that this request asks for.  Raises
    `HandshakeError`."""
    key = wire.accept_key(environ)
    websocket = engine.websocket(environ, server.max_http_buffer_size)
    session, opening = _begin(server, environ, "websocket")
    websocket.accept(key)
    websocket.put(frame(opening.encode()))
    session.websocket = websocket
    session.connected = session.upgraded = True
    websocket.serve(session)
    return wire.finish(environ)


def _begin(server: Any, environ: Mapping[str, Any], transport: str) -> tuple[Session, Packet]:
    """A new session, and the packet that tells its client so."""
    sid = server.generate_id()
    session = server.sockets[sid] = Session(server, sid)
    server._trigger_event("connect", sid, {name: environ[name] for name in KEPT if name in environ})
    session.schedule_ping()
    parameters = {
        "sid": sid,
        "upgrades": server._upgrades(sid, transport),
        "pingTimeout": int(server.ping_timeout * 1000),
        "pingInterval": int(server.ping_interval * 1000),
        "maxPayload": server.max_http_buffer_size,
    }
    return session, Packet(OPEN, parameters)


def install(server: Any) -> None:
    """Make an Engine.IO server open sessions of ours."""
    server._handle_connect = partial(_open, server)
    server.generate_id = Ids(15, lambda drawn: base64.urlsafe_b64encode(drawn).decode())
