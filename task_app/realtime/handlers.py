"""Socket.IO: connections in, commands in, events out.

A client may connect with a token (`auth={"token": …}` or an `Authorization` header), bring one
later (`authenticate`), or carry one in each payload.  Without a token a connection joins no room
and receives nothing but the answers to what it sends.  Every command of `COMMANDS` that has an
`event` name is an event here; its answer goes to the acknowledgement, and what went wrong also
as an `error` event.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import socketio as python_socketio
from engineio import packet as engineio_packet
from engineio.exceptions import SocketIsClosedError
from flask import Flask
from flask_socketio import Namespace
from socketio import packet
from socketio.exceptions import ConnectionRefusedError as Refused

from task_app import auth, jsonio, logs
from task_app.access import Actor
from task_app.commands import authenticate
from task_app.dialects import NATIVE
from task_app.errors import AppError, unauthorized
from task_app.events import Event
from task_app.extensions import socketio
from task_app.realtime import replay, sessions, socketio_door, whereabouts
from task_app.realtime.door import origin_allowed, query_of
from task_app.realtime.feeds import Subscriber, feeds
from task_app.realtime.messages import Answer, answer, is_curious
from task_app.realtime.outbox import DRAIN_SECONDS, MAX_BYTES, MAX_MESSAGES
from task_app.realtime.packets import ATTACHMENT, UNREADABLE, Packet
from task_app.realtime.relay import relay
from task_app.realtime.replay import Position
from task_app.realtime.sessions import PacketFrame, Session
from task_app.realtime.wire import WebSocket

log = logging.getLogger(__name__)

ROOT = "/"  # the namespace
WELCOME = {"data": "Connected to the server"}
FAREWELL = {"data": "Disconnected from the server"}
# After these endings a client should come back: its transport is closed, and Socket.IO clients
# reconnect by themselves then; after the others it is told to stay away until it signs in.
COME_BACK = ("server_stopping", "slow_reader")


class SocketIOWire:
    """An event as Socket.IO clients get it."""

    def encode(self, event: Event, epoch: str) -> PacketFrame:
        # Encoded once for everybody, which the public `emit` cannot do.
        return PacketFrame(_packet(event.type, NATIVE.event(event, epoch)))


class Connection(Subscriber):
    """One Socket.IO client."""

    wire = SocketIOWire()

    def __init__(
        self, sid: str, eio_sid: str, session: Session, actor: Actor | None, where: Position
    ) -> None:
        super().__init__()
        self.sid = sid
        self.eio_sid = eio_sid
        self.outbox = session
        self.send = session.give
        session.on_websocket(self._write_to)
        self.invited = actor  # who signs in once the client knows it is connected
        self.where = where
        self.curious = False  # whether it wants to know who is here, then

    def _write_to(self, websocket: WebSocket) -> None:
        self.send = websocket.put

    def notice(self, name: str, payload: dict[str, Any]) -> None:
        self.emit(name, payload)

    def remark(self, name: str, payload: dict[str, Any]) -> None:
        if self.has_room():
            self.emit(name, payload)

    def emit(self, name: str, payload: Any) -> None:
        """Send this client, and nobody else, an event."""
        if not self.outbox.closed:
            self.outbox.send(_packet(name, payload))

    def has_room(self) -> bool:
        """Whether more answers may wait: four times what events may, since a polling client can
        ask 512 things in one POST before it fetches an answer."""
        count, size = self.outbox.backlog()
        return count < 4 * MAX_MESSAGES and size < 4 * MAX_BYTES

    def wait_for_room(self) -> bool:
        if self.outbox.wait_for_room(DRAIN_SECONDS):
            return not self.ended
        self.end("slow_reader")
        return False

    def end(self, reason: str) -> None:
        if self.ended:
            return
        feeds.disconnect(self)
        self.emit("message", FAREWELL)
        if reason == "slow_reader":
            self.outbox.cut()
        elif reason in COME_BACK:
            self.outbox.close()
        else:
            socketio.server.disconnect(self.sid, namespace=ROOT)


def _packet(name: str, payload: Any) -> engineio_packet.Packet:
    """An event as an Engine.IO packet."""
    text = Packet(packet.EVENT, data=[name, payload], namespace=ROOT).encode()
    return engineio_packet.Packet(engineio_packet.MESSAGE, text)


GREETING = PacketFrame(_packet("message", WELCOME))


def _answer_connect(eio_sid: str, kind: int, data: Any, namespace: str = ROOT) -> None:
    session = socketio.server.eio.sockets.get(eio_sid)
    if session is not None and not session.closed:
        text = Packet(kind, data, namespace=namespace).encode()
        session.send(engineio_packet.Packet(engineio_packet.MESSAGE, text))


class Manager(python_socketio.Manager):
    """python-socketio's manager without its rooms: every client is in one of its own there, and
    each that leaves is looked for in every room.  Ours are those of `feeds`."""

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        if room is None:  # that of everybody in the namespace, which knows who is connected
            super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)


class TaskNamespace(Namespace):
    """The one namespace.  Every event of every client passes `trigger_event`."""

    app: Flask  # set by `register`

    def __init__(self) -> None:
        super().__init__(ROOT)
        self.connections: dict[str, Connection] = {}
        self.nameless: set[str] = set()  # Engine.IO connections without a Socket.IO one, once seen

    def trigger_event(self, event: str, sid: str, *args: Any) -> Any:
        """Called by python-socketio.  What is returned is the acknowledgement."""
        if event == "connect" or (event == "disconnect" and self._is_live(sid)):
            return None  # a client's own event under a reserved name: not for us
        with self.app.app_context():
            if event == "disconnect":
                return self._disconnect(sid)
            return self._receive(sid, event, args)

    def connect(self, eio_sid: str, namespace: str | None, credentials: Any) -> None:
        """Let a client into the namespace, greet it and start its feed.

        In place of python-socketio's own, which calls nobody once it has answered: what is sent
        before that is lost on some clients.
        """
        server, namespace = socketio.server, namespace or ROOT
        sid = server.manager.pre_connect(eio_sid, ROOT) if namespace == ROOT else None
        if sid is None:
            _answer_connect(eio_sid, packet.CONNECT_ERROR, "Unable to connect", namespace)
            return
        with self.app.app_context():
            try:
                connection = self._connect(sid, eio_sid, credentials or None)
            except Refused as refused:
                _answer_connect(eio_sid, packet.CONNECT_ERROR, refused.error_args)
                server.manager.disconnect(sid, ROOT)
                return
            with suppress(SocketIsClosedError):
                _answer_connect(eio_sid, packet.CONNECT, {"sid": sid})
            server.manager.connect(sid, ROOT)
            if connection.outbox.closed:
                # By the answer itself, which one that reads none got no more, or by another
                # thread: python-socketio did not know of it yet, and has told nobody.
                server._handle_disconnect(eio_sid, ROOT)
                return
            connection.outbox.give(GREETING)
            if connection.invited is not None:
                with replay.or_end(connection):
                    replay.start(connection, connection.invited, connection.where)
                    if connection.curious:
                        whereabouts.watch(connection)

    def reap(self) -> None:
        """Close the connections that have not entered the namespace since the last time."""
        here = {connection.eio_sid for connection in list(self.connections.values())}
        nameless = set(socketio.server.eio.sockets) - here
        for eio_sid in nameless & self.nameless:
            session = socketio.server.eio.sockets.get(eio_sid)
            if session is not None:
                session.cut()
        self.nameless = nameless

    def _is_live(self, sid: str) -> bool:
        return bool(socketio.server.manager.is_connected(sid, ROOT))

    def _connect(self, sid: str, eio_sid: str, credentials: Any) -> Connection:
        """Raises `Refused`."""
        try:
            token, where = _credentials(socketio.server.environ[eio_sid], credentials)
            actor = None if token is None else authenticate(token)
        except AppError as error:
            if error.status >= 500:  # a refusal would keep the client away; this brings it back
                self._hang_up(eio_sid)
            raise Refused(error.message, logs.identified(error)) from error
        except Exception as error:
            # Anything but a refusal would leave the client half connected in the namespace.
            log.exception("a connection could not be set up")
            raise Refused("The server could not set up the connection") from error
        session = socketio.server.eio.sockets.get(eio_sid)
        if session is None:
            raise Refused("The connection has ended meanwhile")
        connection = self.connections[sid] = Connection(sid, eio_sid, session, actor, where)
        connection.curious = is_curious(credentials)
        feeds.connect(connection)
        return connection

    def _hang_up(self, eio_sid: str) -> None:
        session = socketio.server.eio.sockets.get(eio_sid)
        if session is not None:
            session.close()

    def _disconnect(self, sid: str) -> None:
        connection = self.connections.pop(sid, None)
        if connection is not None:
            feeds.disconnect(connection)

    def _receive(self, sid: str, event: str, args: tuple[Any, ...]) -> Any:
        connection = self.connections.get(sid)
        if connection is None or event == ATTACHMENT:
            return None
        # A client that reads no answers must not fill the memory with them.
        if not connection.has_room() and not connection.wait_for_room():
            return None
        try:
            if event == UNREADABLE or len(args) > 1:
                logs.begin_request()
                raise AppError("invalid_payload", 400, "The payload must be one JSON object")
            return _reply(connection, answer(connection, event, args[0] if args else {}, NATIVE))
        except AppError as error:
            body = logs.identified(error)
        except Exception:
            log.exception("the event %r failed", event)
            failure = AppError("internal_error", 500, "The server could not do this")
            body = logs.identified(failure)
        connection.emit("error", body)
        return body


def _credentials(environ: Mapping[str, Any], credentials: Any) -> tuple[str | None, Position]:
    """The token a client connects with, if any, and where it stands.  Raises 401 and 400."""
    query_of(environ)  # refuses a token in the URL
    given = credentials if isinstance(credentials, Mapping) else {}
    where = replay.position(given.get("since"), given.get("epoch"))
    token = given.get("token")
    if token is None:
        header = environ.get("HTTP_AUTHORIZATION")
        return None if header is None else auth.token_in_header(header), where
    if not isinstance(token, str):
        raise unauthorized()
    return token, where


def _reply(connection: Connection, done: Answer) -> Any:
    """The acknowledgement; and, to a sender whose feed does not carry it, the event itself."""
    for event in [event for event in done.events if event.task_id is not None][:1]:
        payload = NATIVE.event(event, relay.epoch)
        # By right and not by the rooms joined: one that is catching up gets it from the log.
        feed = connection.actor.rooms if connection.actor else frozenset()
        if not feed.intersection(event.rooms):
            connection.emit(event.type, payload)
        return payload
    if done.kind:
        # A list comes as an event too, for clients that use no acknowledgements.
        connection.emit(done.kind, done.body)
    return done.body


handlers = TaskNamespace()


def register(app: Flask) -> None:
    """Bind Socket.IO to the application."""
    handlers.app = app
    handlers.connections.clear()
    feeds.clear()
    rest = app.wsgi_app
    socketio.init_app(
        app,
        async_mode=app.config["ASYNC_MODE"],
        client_manager=Manager(),
        json=jsonio,
        serializer=Packet,
        # A client's events are handled one after the other, in the order it sent them.
        async_handlers=False,
        manage_session=False,
        cors_allowed_origins=lambda origin, environ: origin_allowed(
            origin, environ, app.config["ALLOWED_ORIGINS"]
        ),
        max_http_buffer_size=app.config["MAX_CONTENT_LENGTH"],
    )
    sessions.install(socketio.server.eio)
    socketio.server._handle_connect = handlers.connect
    socketio.on_namespace(handlers)
    socketio_door.install(app, rest)
