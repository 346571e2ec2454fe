"""The door of Socket.IO's URL: who is turned away, and in which words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Flask

from task_app import logs
from task_app.errors import AppError
from task_app.extensions import socketio
from task_app.realtime import sessions
from task_app.realtime.door import NO_UPGRADE, check_origin, refusal, refuse
from task_app.realtime.wire import HandshakeError

PATH = "/socket.io"
# What python-engineio refuses, by how it begins to say so: the code and the words for it here.
# Whatever else it cannot use is a bad request in its own words.
REFUSED = {
    "Invalid session": ("unknown_session", "There is no such session: connect anew"),
    "Invalid transport": ("unknown_transport", "The transports are polling and websocket"),
    "The client is using": ("unsupported_protocol", "This server speaks Engine.IO 4: send EIO=4"),
}


def _bad_request(message: str = "The request cannot be read") -> dict[str, Any]:
    """Of an Engine.IO server: its 400, as the error that every transport has.  No client reads
    more of it than the status: socket.io-client shows the body to whoever asks, python-socketio
    hands it to `connect_error`."""
    known = [told for begin, told in REFUSED.items() if message.startswith(begin)]
    code, text = known[0] if known else ("bad_request", message)
    return _answer(AppError(code, 400, text))


def _method_not_found() -> dict[str, Any]:
    """Its 405."""
    error = AppError("method_not_allowed", 405, "Use GET or POST")
    return _answer(error, ("Allow", "GET, POST, OPTIONS"))


def _answer(error: AppError, *headers: tuple[str, str]) -> dict[str, Any]:
    status, own, body = refusal(error)
    return {"status": status, "headers": [*own, *headers], "response": body}


class Door:
    """WSGI: turns pages of other sites away from Socket.IO, with 403 like everything else; 400 is
    what python-engineio would say.  And its own answers have the id of their request.

    What is not Socket.IO's goes on to `rest`: its middleware would copy each environment."""

    def __init__(self, app: Flask, following: Any, rest: Any) -> None:
        self.app = app
        self.following = following
        self.rest = rest

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        passed: Iterable[bytes]
        if not environ.get("PATH_INFO", "").startswith(PATH):
            passed = self.rest(environ, start_response)
            return passed
        try:
            check_origin(environ, self.app.config["ALLOWED_ORIGINS"])
        except AppError as error:
            return refuse(start_response, error)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            identified = [*headers, (logs.HEADER, logs.request_id())]
            return start_response(status, identified, *rest)

        try:
            if sessions.wants_websocket(environ):
                return sessions.open_websocket(socketio.server.eio, environ, start)
            passed = self.following(environ, start)
        except HandshakeError as error:
            return refuse(start_response, NO_UPGRADE, error.status, error.headers)
        return passed


def install(app: Flask, rest: Any) -> None:
    """Stand before Socket.IO's middleware; `rest` answers all that is not Socket.IO's."""
    engineio = socketio.server.eio
    engineio._bad_request, engineio._method_not_found = _bad_request, _method_not_found
    # What a client did wrong is in its answer.  The log would repeat what it wrote, lines and all.
    engineio._log_error_once = lambda message, key: None
    app.wsgi_app = Door(app, app.wsgi_app, rest)  # type: ignore[method-assign]
