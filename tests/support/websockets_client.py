"""A client of the raw WebSockets, by the library `websockets`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

from tests.support.accounts import Person
from tests.support.server import Server

FIBER, GIN, CHANNELS = "/api/v1/ws", "/ws", "/ws/tasks/"
PATHS = pytest.mark.parametrize("path", [FIBER, GIN, CHANNELS])
ENVELOPE = {"seq", "epoch"}


class Client:
    """What a document's client does: connect, read JSON."""

    def __init__(self, server: Server, path: str, person: Person | None = None) -> None:
        headers = None if person is None else person.header
        address = f"ws://127.0.0.1:{server.port}{path}"
        self.ws: ClientConnection = open_websocket(address, additional_headers=headers, proxy=None)
        if person is not None:
            assert self.read()["type"] == "ready"

    def read(self) -> dict[str, Any]:
        message = json.loads(self.ws.recv(timeout=5))
        return {key: value for key, value in message.items() if key not in ENVELOPE}

    def task_event(self) -> dict[str, Any]:
        """The next message that is no notification."""
        while (message := self.read())["type"] == "notification_created":
            pass
        return message

    def send(self, message: Any) -> None:
        self.ws.send(json.dumps(message))

    def code(self) -> int:
        """The close code, once the server has closed."""
        try:
            while True:
                self.ws.recv(timeout=5)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return closed.rcvd.code
