"""An application in this process, with somebody signed in and somebody who has a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from task_app.access import ANONYMOUS
from task_app.commands import authenticate, execute
from task_app.dialects import CHANNELS, FIBER, GIN, NATIVE
from task_app.realtime.replay import Position
from task_app.realtime.sessions import Session
from task_app.realtime.websocket import RawConnection
from task_app.realtime.wire import WebSocket
from tests.support import sessions, statements

PASSWORD = "correct horse battery"
SECRET = "Nobody else may read this"
DIALECTS = (NATIVE, FIBER, GIN, CHANNELS)


class Kept(WebSocket):
    """A WebSocket whose frames are kept in `sent`, and written nowhere."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        super().__init__(65_536, b"")
        self.sent: list[bytes] = []

    def put(self, frame: bytes, *, always: bool = False) -> bool:
        self.sent.append(frame)
        return True

    def wait_for_room(self, seconds: float) -> bool:
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = True

    def end(self, code: int, reason: str, *, discard: bool = False) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class World:
    def __init__(self, folder: Path) -> None:
        self.app = statements.prepared(folder)
        with self.app.app_context():
            self.alice, self.bob = self._sign_up("alice"), self._sign_up("bob")
            execute(authenticate(self.bob), "task.create", {"title": SECRET})
            execute(authenticate(self.alice), "task.create", {"title": "Water the plants"})
            self.actor = authenticate(self.alice)
        self._session: Session | None = None

    def _sign_up(self, name: str) -> str:
        account = {"username": name, "password": PASSWORD}
        execute(ANONYMOUS, "user.register", account)
        token: str = execute(ANONYMOUS, "user.login", account).body["access_token"]
        return token

    def session(self) -> Session:
        """Alice's session on Socket.IO: the last, unless what came before has ended it."""
        if self._session is None or self._session.closed:
            self._session = sessions.connect(self.alice)
        return self._session

    def sent(self, session: Session) -> list[str]:
        """What waits for her, taken."""
        found = []
        while session.packets is not None and not session.packets.empty():
            packet = session.packets.get(block=False)
            if packet is not None:  # the end
                found.append(str(packet.encode(b64=True)))
        return found

    def told(self, text: str, first: int) -> list[str]:
        """What a new raw WebSocket's client is told when this is its first message."""
        kept, dialect = Kept(), DIALECTS[first % len(DIALECTS)]
        actor = self.actor if first & 4 else None
        connection = RawConnection(self.app, kept, dialect, actor, Position(None, None))
        if actor is not None:
            connection.begin()
        if not connection.took(text):
            connection.handle(text)
        connection.gone()
        return [_payload(frame) for frame in kept.sent]


def _payload(frame: bytes) -> str:
    """The JSON of a frame of ours; pings and the like are empty."""
    length = frame[1]
    text = frame[{126: 4, 127: 10}.get(length, 2) :].decode()
    found: Any = json.loads(text) if text else {}
    assert isinstance(found, dict)
    return text
