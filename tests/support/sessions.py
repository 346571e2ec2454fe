"""A Socket.IO client without a server around it: a session of its own, in this process."""

from __future__ import annotations

import json

from task_app.extensions import socketio
from task_app.realtime.sessions import Session


def connect(token: str) -> Session:
    """A signed-in client of the application that was made last.  `handle` takes its packets,
    `poll` gives what it was sent, `close` ends it."""
    engine = socketio.server.eio
    session = engine.sockets["one"] = Session(engine, "one")
    engine.handlers["connect"]("one", {})
    session.handle("40" + json.dumps({"token": token}))
    return session
