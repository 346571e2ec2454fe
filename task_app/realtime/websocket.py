"""Raw WebSockets: one implementation, the path picks the dialect.

In: `{"type": "auth", "token", "since"?, "epoch"?}`, `{"type": "ping"}`, and every command of
Socket.IO as `{"type": "create_task", "data": {…}, "request_id"?}`.  Out: events in the dialect,
`ready`, `resync`, `pong`, and for each command `{"type": "ack"}` or `{"type": "error"}`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask

from task_app import jsonio, logs
from task_app.access import Actor
from task_app.dialects import Dialect
from task_app.errors import AppError, invalid, unauthorized
from task_app.events import Event
from task_app.realtime import frames, replay, wire
from task_app.realtime.clock import clock
from task_app.realtime.door import NO_UPGRADE, PATHS, actor_at_door, check_origin, query_of, refuse
from task_app.realtime.engine import engine
from task_app.realtime.feeds import ENDINGS, Subscriber, feeds
from task_app.realtime.frames import POLICY
from task_app.realtime.messages import answer, sign_in
from task_app.realtime.outbox import DRAIN_SECONDS
from task_app.realtime.replay import Position
from task_app.realtime.wire import (
    Allowance,
    HandshakeError,
    WebSocket,
    accept_key,
    is_upgrade,
)

log = logging.getLogger(__name__)

AUTH_SECONDS = 10
WITHOUT_AUTH = "The first message must be auth with a token"
PING_FRAME = frames.control_frame(frames.PING)
SILENCE = 0.5  # of the patience with a silent client: then it is pinged, but not less often than
PING_SECONDS = 25  # a gateway between us takes a connection for dead on which nothing goes


class JsonWire:
    """An event as the frame of one message in a dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def encode(self, event: Event, epoch: str) -> bytes:
        return frames.frame(jsonio.dumps(self.dialect.event(event, epoch)))


WIRES = {dialect.name: JsonWire(dialect) for dialect in PATHS.values()}


class RawConnection(Subscriber):
    """One raw WebSocket, and who is served on it (`wire.Client`).

    `invited` is who signed in at the door; without anybody there, the first message must bring a
    token.
    """

    def __init__(
        self,
        app: Flask,
        websocket: WebSocket,
        dialect: Dialect,
        invited: Actor | None,
        where: Position,
    ) -> None:
        super().__init__()
        self.app = app
        self.outbox = websocket
        self.send = websocket.put
        self.wire = WIRES[dialect.name]
        self.dialect = dialect
        self.invited = invited
        self.where = where
        self.expected = invited is None  # a token, before anything else
        self.pings = Allowance(100, 20)

    # --- out

    def tell(self, message: dict[str, Any]) -> None:
        """Send this client, and nobody else, a message; never waits.  Without room, ends it."""
        if not self.send(frames.frame(jsonio.dumps(message))):
            self.end("slow_reader")

    def reply(self, message: dict[str, Any]) -> None:
        """Answer what the client sent.  Who sends much and reads little waits for its answers."""
        frame = frames.frame(jsonio.dumps(message))
        while not self.send(frame):
            if not self.wait_for_room():
                return

    def notice(self, name: str, payload: dict[str, Any]) -> None:
        self.tell({"type": name, **payload})

    def remark(self, name: str, payload: dict[str, Any]) -> None:
        self.send(frames.frame(jsonio.dumps({"type": name, **payload})))

    def wait_for_room(self) -> bool:
        if self.outbox.wait_for_room(DRAIN_SECONDS):
            return True
        self.end("slow_reader")
        return False

    def end(self, reason: str) -> None:
        if self.ended:
            return
        feeds.disconnect(self)
        self.outbox.end(ENDINGS[reason], reason, discard=reason == "slow_reader")

    # --- in

    def begin(self) -> None:
        feeds.connect(self)
        clock.after(self._ping_interval(), self._look_for_life)
        if self.invited is None:
            clock.after(AUTH_SECONDS, self._lose_patience)
            return
        with self.app.app_context(), self._or_refuse():
            replay.start(self, self.invited, self.where)

    def took(self, message: str | bytes) -> bool:
        return self.ended  # what still comes is nobody's

    def handle(self, message: str | bytes) -> None:
        with self.app.app_context():
            if self.expected:
                with self._or_refuse():
                    self._sign_in(_parse(message))
            else:
                _respond(self, message)

    def gone(self) -> None:
        feeds.disconnect(self)

    def _sign_in(self, message: dict[str, Any]) -> None:
        """The first message must bring a token.  Raises 401."""
        if message.get("type") not in ("auth", "authenticate"):
            raise unauthorized(WITHOUT_AUTH)
        if self.where.seq is not None and "since" not in message:
            message |= {"since": self.where.seq, "epoch": self.where.epoch}
        self.expected = False
        sign_in(self, message)

    @contextmanager
    def _or_refuse(self) -> Iterator[None]:
        """Tell who could not sign in why, and end the connection."""
        try:
            yield
        except AppError as error:
            self._refuse(error)
        except Exception:
            log.exception("a connection could not be set up")
            self.end("server_stopping")  # its client comes back

    def _refuse(self, error: AppError) -> None:
        self.tell({"type": "error", "status": error.status, **logs.identified(error)})
        # Trouble of ours is no fault of the token's: the client is to come back with it.
        self.end("unauthorized" if error.status < 500 else "server_stopping")

    # --- patience

    def _lose_patience(self) -> None:
        if self.expected and not self.ended:
            self._refuse(unauthorized(WITHOUT_AUTH))

    def _look_for_life(self) -> None:
        """Called when a ping may be due, and when its answer is."""
        if self.ended or self.outbox.closed:
            return
        patience = self.app.config["WS_TIMEOUT_SECONDS"]
        silent = time.monotonic() - max(self.outbox.heard_at, self.outbox.read_at)
        interval = self._ping_interval()
        if silent >= patience:
            self.end("timeout")
        elif silent < interval:
            clock.after(interval - silent, self._look_for_life)
        else:
            self.outbox.put(PING_FRAME)
            clock.after(min(interval, patience - silent), self._look_for_life)

    def _ping_interval(self) -> float:
        return min(self.app.config["WS_TIMEOUT_SECONDS"] * SILENCE, PING_SECONDS)


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
                connection = self._open(environ, dialect)
            except HandshakeError as error:
                return refuse(start_response, NO_UPGRADE, error.status, error.headers)
            except AppError as error:
                return refuse(start_response, error)
        connection.outbox.serve(connection)
        return wire.finish(environ)

    def _open(self, environ: dict[str, Any], dialect: Dialect) -> RawConnection:
        """The handshake.  Raises `HandshakeError`, `AppError`."""
        if not is_upgrade(environ):
            raise HandshakeError("426 Upgrade Required", [("Upgrade", "websocket")])
        key = accept_key(environ)
        check_origin(environ, self.app.config["ALLOWED_ORIGINS"])
        query = query_of(environ)
        actor = actor_at_door(environ, query)
        where = replay.position(query.get("since"), query.get("epoch"))
        websocket = engine.websocket(environ, self.app.config["WS_MAX_MESSAGE_BYTES"])
        websocket.accept(key)
        return RawConnection(self.app, websocket, dialect, actor, where)


def _respond(connection: RawConnection, text: str | bytes) -> None:
    """Answer one message."""
    logs.begin_request()
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
                connection.outbox.close(POLICY, "too many pings")
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
        body = logs.identified(error)
        if "current" in body:
            body["current"] = connection.dialect.task(body["current"])
        reply = {"type": "error", "status": error.status, **body}
    except Exception:
        log.exception("a message failed")
        failure = AppError("internal_error", 500, "The server could not do this")
        reply = {"type": "error", "status": 500, **logs.identified(failure)}
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


def register(app: Flask) -> None:
    """Put the gateway in front of the application.  Call after Socket.IO was bound."""
    app.wsgi_app = Gateway(app, app.wsgi_app)  # type: ignore[method-assign]
