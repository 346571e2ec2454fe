"""Clients of the three transports that keep all they send and are sent, for a document to judge.

Each names what it keeps as the AsyncAPI document does: on Socket.IO by the event, on a raw
WebSocket by what is in the message, on a stream by the field `event`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import requests
import websocket

from tests.support.accounts import Person
from tests.support.clients import TIMEOUT, Socket


class Tap:
    """`sent` is what the server sent, `asked` what we sent: (name, payload, headers) each."""

    channel = ""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any, Any]] = []
        self.asked: list[tuple[str, Any, Any]] = []
        self.changed = threading.Condition()

    def keep(self, name: str, payload: Any, headers: Any = None) -> None:
        with self.changed:
            self.sent.append((name, payload, headers))
            self.changed.notify_all()

    def wait(self, wanted: Callable[[str, Any], bool]) -> Any:
        def found() -> list[Any]:
            return [payload for name, payload, _ in self.sent if wanted(name, payload)]

        with self.changed:
            assert self.changed.wait_for(found, TIMEOUT), f"it did not come: {self.sent}"
            return found()[0]

    def ask(self, event: str, data: dict[str, Any]) -> None:
        """Send a command and wait for its answer."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class SocketIOTap(Tap):
    """`ask` keeps the acknowledgement."""

    channel = "socketio"

    def __init__(self, url: str, person: Person, **where: Any) -> None:
        super().__init__()
        self.socket = Socket()
        self.socket.sio.on("*", self._heard)
        credentials = {"token": person.token, **where}
        self.asked.append(("authenticate", credentials, None))
        self.socket.sio.connect(url, auth=credentials, transports=["websocket"])
        self.wait(lambda name, _: name == "ready")

    def _heard(self, name: str, payload: Any = None) -> None:
        self.keep(name, payload)

    def ask(self, event: str, data: dict[str, Any]) -> None:
        self.asked.append((event, data, None))
        answer = self.socket.call(event, data)
        failed = "code" in answer
        name = "error" if failed else "ready" if event == "authenticate" else f"ack.{event}"
        self.keep(name, answer)

    def close(self) -> None:
        self.socket.close()


class RawTap(Tap):
    """A raw WebSocket; the answer to a command is known by its `request_id`."""

    def __init__(self, url: str, path: str, dialect: str, person: Person, **where: Any) -> None:
        super().__init__()
        self.channel = f"websocket-{dialect}"
        address = url.replace("http", "ws", 1) + path
        self.socket = websocket.create_connection(address, timeout=TIMEOUT)
        threading.Thread(target=self._read, daemon=True).start()
        self._send({"type": "auth", "token": person.token, **where})
        self.wait(lambda name, _: name == "ready")

    def _send(self, message: dict[str, Any]) -> None:
        self.asked.append((message["type"], message, None))
        self.socket.send(json.dumps(message))

    def _read(self) -> None:
        try:
            while text := self.socket.recv():
                message = json.loads(text)
                name = message["type"]
                if name == "ack":
                    name = f"ack.{message['request_id'].partition(' ')[0]}"
                self.keep(name, message)
        except (OSError, websocket.WebSocketException):
            pass

    def ask(self, event: str, data: dict[str, Any]) -> None:
        if event in ("ping", "authenticate"):
            self._send({"type": event, **data})
            return
        key = f"{event} {uuid4()}"
        self._send({"type": event, "data": data, "request_id": key})
        self.wait(lambda _, payload: payload.get("request_id") == key)

    def close(self) -> None:
        self.socket.close()


class StreamTap(Tap):
    """Server-Sent Events.  What is asked goes over a Socket.IO connection beside it."""

    def __init__(self, url: str, path: str, dialect: str, person: Person, **where: Any) -> None:
        super().__init__()
        self.channel = f"stream-{dialect}"
        self.beside = SocketIOTap(url, person)
        self.answer = requests.get(
            url + path, headers=person.header, params=where, stream=True, timeout=TIMEOUT
        )
        assert self.answer.status_code == 200, self.answer.text
        threading.Thread(target=self._read, daemon=True).start()
        self.wait(lambda name, _: name == "ready")

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.answer.iter_lines(chunk_size=1, decode_unicode=True):
                name, _, value = line.partition(": ")
                if line and name:
                    fields[name] = value
                elif fields:
                    data = json.loads(fields.pop("data"))
                    self.keep(fields.get("event", ""), data, fields)
                    fields = {}
        except (OSError, requests.RequestException):
            pass

    def ask(self, event: str, data: dict[str, Any]) -> None:
        self.beside.ask(event, data)

    def close(self) -> None:
        self.answer.close()
        self.beside.close()
