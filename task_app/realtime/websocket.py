"""Raw WebSockets: one implementation, the path picks the dialect.

In: `{"type": "auth", "token", "since"?, "epoch"?}`, `{"type": "ping"}`, and every command of
Socket.IO as `{"type": "create_task", "data": {…}, "request_id"?}`.  Out: events in the dialect,
`ready`, `resync`, `pong`, and for each command `{"type": "ack"}` or `{"type": "error"}`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from flask import Flask

from task_app import jsonio
from task_app.access import Actor
from task_app.dialects import Dialect
from task_app.errors import AppError, invalid
from task_app.events import Event
from task_app.extensions import socketio
from task_app.realtime import replay, wire
from task_app.realtime.door import PATHS, actor_at_door, check_origin, query_of
from task_app.realtime.engine import engine
from task_app.realtime.feeds import ENDINGS, Subscriber, feeds
from task_app.realtime.messages import answer, sign_in
from task_app.realtime.outbox import DRAIN_SECONDS, FAREWELL_SECONDS, Outbox
from task_app.realtime.replay import Position
from task_app.realtime.wire import (
    CLOSE_SECONDS,
    GOING_AWAY,
    POLICY,
    Allowance,
    HandshakeError,
    WebSocket,
    accept_key,
    is_upgrade,
)

log = logging.getLogger(__name__)

AUTH_SECONDS = 10


class JsonWire:
    """An event as the frame of one message in a dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def encode(self, event: Event, epoch: str) -> bytes:
        return wire.frame(jsonio.dumps(self.dialect.event(event, epoch)))


WIRES = {dialect.name: JsonWire(dialect) for dialect in PATHS.values()}


class RawConnection(Subscriber):
    """One raw WebSocket.  Messages wait in an outbox for the connection's writer."""

    def __init__(self, websocket: WebSocket, dialect: Dialect) -> None:
        super().__init__()
        self.wire = WIRES[dialect.name]
        self.dialect = dialect
        self.websocket = websocket
        self.outbox: Outbox[bytes] = Outbox()
        self.pings = Allowance(100, 20)

    def send(self, frame: bytes) -> bool:
        if self.outbox.is_idle and engine.offer(self.websocket, frame):
            return True
        return self.outbox.put(frame)

    def tell(self, message: dict[str, Any]) -> None:
        """Send this client, and nobody else, a message; never waits.  Without room, ends it."""
        if not self.send(wire.frame(jsonio.dumps(message))):
            self.end("slow_reader")

    def reply(self, message: dict[str, Any]) -> None:
        """Answer what the client sent.  Who sends much and reads little waits for its answers."""
        frame = wire.frame(jsonio.dumps(message))
        while not self.send(frame):
            if not self.wait_for_room():
                return

    def notice(self, name: str, payload: dict[str, Any]) -> None:
        self.tell({"type": name, **payload})

    def wait_for_room(self) -> bool:
        if self.outbox.wait_for_room(DRAIN_SECONDS):
            return True
        self.end("slow_reader")
        return False

    def end(self, reason: str) -> None:
        if self.ended:
            return
        feeds.disconnect(self)
        slow = reason == "slow_reader"
        self.outbox.close(discard=slow)
        socketio.start_background_task(self._close, ENDINGS[reason], reason, slow)

    def _close(self, code: int, reason: str, slow: bool) -> None:
        """Give what is on its way a moment to get out, then close."""
        if not slow:
            self.outbox.wait_until_written(FAREWELL_SECONDS)
        until = time.monotonic() + FAREWELL_SECONDS
        while self.websocket.lock.locked() and time.monotonic() < until:
            socketio.sleep(0.05)
        if not self.websocket.lock.locked():
            self.websocket.close(code, reason)
            socketio.sleep(CLOSE_SECONDS)  # for its answer
        self.websocket.abort()

    def finish(self) -> None:
        """The client ended it, or broke the protocol: what it asked before is answered first."""
        if self.websocket.ending and not self.websocket.closed:
            feeds.disconnect(self)
            self.outbox.wait_until_written(FAREWELL_SECONDS)
            self.websocket.close()

    def write(self) -> None:
        """Write what waits until the connection ends."""
        try:
            while (messages := self.outbox.take(60)) is not None:
                for message in messages:
                    self.websocket.send_frame(message)
        except OSError:
            self.websocket.abort()


class Gateway:
    """WSGI: takes the WebSocket paths, hands everything else on."""

    def __init__(self, app: Flask, following: Any) -> None:
        self.app = app
        self.following = following

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        dialect = PATHS.get(path.rstrip("/"))
        if dialect is None:
            passed: Iterable[bytes] = self.following(environ, start_response)
            return passed
        with self.app.app_context():
            try:
                opened = self._open(environ, dialect)
            except HandshakeError as error:
                return _refuse(start_response, error.status, error.headers, "upgrade_required")
            except AppError as error:
                status = f"{error.status} {HTTPStatus(error.status).phrase}"
                return _refuse(start_response, status, [], error)
            self._serve(*opened)
        return wire.finish(environ)

    def _open(
        self, environ: dict[str, Any], dialect: Dialect
    ) -> tuple[RawConnection, Actor | None, Position]:
        """The handshake.  Raises `HandshakeError`, `AppError`."""
        if not is_upgrade(environ):
            raise HandshakeError("426 Upgrade Required", [("Upgrade", "websocket")])
        key = accept_key(environ)
        check_origin(environ, self.app.config["ALLOWED_ORIGINS"])
        query = query_of(environ)
        actor = actor_at_door(environ, query)
        where = replay.position(query.get("since"), query.get("epoch"))
        websocket = WebSocket(environ, self.app.config["WS_MAX_MESSAGE_BYTES"])
        websocket.accept(key)
        return RawConnection(websocket, dialect), actor, where

    def _serve(self, connection: RawConnection, actor: Actor | None, where: Position) -> None:
        feeds.connect(connection)
        socketio.start_background_task(connection.write)
        try:
            if actor is None:
                self._await_token(connection, where)
            else:
                replay.start(connection, actor, where)
            if not connection.ended:
                self._converse(connection)
            connection.finish()
        except AppError as error:
            connection.tell({"type": "error", "status": error.status, **error.to_dict()})
            connection.end("unauthorized")
        finally:
            connection.outbox.close()
            feeds.disconnect(connection)
            connection.websocket.drain()
            connection.websocket.abort()

    def _await_token(self, connection: RawConnection, where: Position) -> None:
        """The first message must bring a token.  Raises 401."""
        try:
            text = connection.websocket.receive(AUTH_SECONDS)
        except TimeoutError:
            text = None
        if connection.websocket.closed or connection.websocket.ending:
            connection.ended = True
            return
        message = _parse(text)
        if message.get("type") not in ("auth", "authenticate"):
            raise AppError("unauthorized", 401, "The first message must be auth with a token")
        if where.seq is not None and "since" not in message:
            message |= {"since": where.seq, "epoch": where.epoch}
        sign_in(connection, message)

    def _converse(self, connection: RawConnection) -> None:
        """Serve the client until it, or the server, ends the connection."""
        # Half of the time for silence, half for the answer to a ping, which need not be a message.
        patience = self.app.config["WS_TIMEOUT_SECONDS"] / 2
        pinged_at: float | None = None
        while not connection.ended:
            try:
                text = connection.websocket.receive(patience)
            except TimeoutError:
                if pinged_at is not None and connection.websocket.heard_at < pinged_at:
                    connection.websocket.close(GOING_AWAY, "timeout")
                    return
                pinged_at = time.monotonic()
                connection.websocket.ping()
                continue
            if text is None:
                return
            pinged_at = None
            _respond(connection, text)
            # Messages that came in one segment must not keep the hub from the others.
            socketio.sleep(0)


def _respond(connection: RawConnection, text: str | bytes) -> None:
    """Answer one message."""
    request_id = None
    try:
        message = _parse(text)
        request_id = message.get("request_id")
        if request_id is not None and not isinstance(request_id, str):
            request_id = None
            raise invalid({"request_id": ["Must be a text."]})
        kind = message.get("type")
        if kind == "ping":
            if connection.pings.take():
                connection.reply({"type": "pong"})
            else:
                connection.websocket.fail(POLICY, "too many pings")
            return
        if kind in ("auth", "authenticate"):
            sign_in(connection, message)
            return
        data = message.get("data", {})
        if isinstance(data, dict) and request_id is not None:
            data = {**data, "request_id": request_id}
        done = answer(connection, str(kind), data, connection.dialect)
        reply: dict[str, Any] = {"type": "ack", "status": done.status, "data": done.body}
    except AppError as error:
        body = error.to_dict()
        if "current" in body:
            body["current"] = connection.dialect.task(body["current"])
        reply = {"type": "error", "status": error.status, **body}
    except Exception:
        log.exception("a message failed")
        failure = AppError("internal_error", 500, "The server could not do this")
        reply = {"type": "error", "status": 500, **failure.to_dict()}
    if request_id is not None:
        reply["request_id"] = request_id
    connection.reply(reply)


def _parse(text: str | bytes | None) -> dict[str, Any]:
    """The message.  Raises 400 for what is no JSON object."""
    if not isinstance(text, str):
        raise AppError("invalid_payload", 400, "Messages are JSON objects as text")
    try:
        message = jsonio.loads(text)
    except jsonio.JsonError as error:
        raise AppError("invalid_json", 400, f"The message is not usable JSON: {error}") from error
    if not isinstance(message, dict):
        raise AppError("invalid_payload", 400, "Messages are JSON objects")
    return message


def _refuse(
    start_response: Any,
    status: str,
    headers: list[tuple[str, str]],
    why: AppError | str,
) -> Iterable[bytes]:
    if isinstance(why, str):
        why = AppError(why, 426, "This address speaks WebSocket: send an upgrade")
    body = jsonio.dumps_bytes(why.to_dict())
    length = ("Content-Length", str(len(body)))
    start_response(status, [("Content-Type", "application/json"), length, *headers])
    return [body]


def register(app: Flask) -> None:
    """Put the gateway in front of the application.  Call after Socket.IO was bound."""
    app.wsgi_app = Gateway(app, app.wsgi_app)  # type: ignore[method-assign]
