"""One reader for every transport and dialect: what it was sent, in order, in one form.

`TRANSPORTS` names them all; `connect("gin", url, person, since=…, epoch=…)` opens one.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_websocket

from tests.support.accounts import Person
from tests.support.clients import TIMEOUT, Socket

RAW_PATHS = {"fiber": "/api/v1/ws", "gin": "/ws", "channels": "/ws/tasks/"}
TRANSPORTS = ("socketio", *RAW_PATHS, "sse")
# What is sent under a name of its own and is no event of the log.
CONTROL = ("ready", "resync", "pong", "ack", "error", "message", "connect_error", "end", "tasks")


@dataclass(frozen=True)
class Seen:
    """One event as it came, and when (monotonic): `kind` is its type as the dialect says it."""

    seq: int
    kind: str
    task_id: int | None
    body: Any
    at: float = field(default_factory=time.monotonic, compare=False)


class Reader:
    """One connection.  `events` and `notices` grow as they come; `ended` is why it ended."""

    def __init__(self) -> None:
        self.events: list[Seen] = []
        self.notices: list[tuple[str, Any]] = []
        self.ended: Any = None
        self.changed = threading.Condition()

    def keep(self, seen: Seen | None, notice: tuple[str, Any] | None = None) -> None:
        with self.changed:
            if seen is not None:
                self.events.append(seen)
            if notice is not None:
                self.notices.append(notice)
            self.changed.notify_all()

    def finish(self, why: Any) -> None:
        with self.changed:
            self.ended = why
            self.changed.notify_all()

    def wait(self, condition: Callable[[], Any], timeout: float = TIMEOUT, what: str = "") -> Any:
        with self.changed:
            found = self.changed.wait_for(condition, timeout)
            last = [(one.seq, one.kind, one.task_id) for one in self.events[-3:]]
            assert found, (what, self.notices[-3:], len(self.events), last, self.ended)
            return found

    def notice(self, name: str, timeout: float = TIMEOUT, count: int = 1) -> Any:
        """The payload of the `count`-th notice of this name."""

        def found() -> Any:
            payloads = [payload for known, payload in self.notices if known == name]
            return payloads[count - 1 : count]

        return self.wait(found, timeout, name)[0]

    def until(self, task_id: int, timeout: float = TIMEOUT) -> Seen:
        """The first event about this task, once it has come."""
        looked = 0

        def found() -> Seen | None:
            nonlocal looked  # each event once, however often this is asked
            new, looked = self.events[looked:], len(self.events)
            return next((one for one in new if one.task_id == task_id), None)

        return self.wait(found, timeout, f"task {task_id}")  # type: ignore[no-any-return]

    def until_seq(self, seq: int, timeout: float = TIMEOUT) -> None:
        self.wait(lambda: self.events and self.events[-1].seq >= seq, timeout, f"seq {seq}")

    def until_ended(self, timeout: float = TIMEOUT) -> Any:
        return self.wait(lambda: self.ended, timeout, "the end")

    @property
    def seqs(self) -> list[int]:
        with self.changed:
            return [one.seq for one in self.events]

    def close(self) -> None:
        raise NotImplementedError


class RawReader(Reader):
    """A raw WebSocket by the library `websockets`.  It signs in by its first message."""

    def __init__(self, url: str, dialect: str, token: str, where: dict[str, Any]) -> None:
        super().__init__()
        self.dialect = dialect
        address = url.replace("http", "ws", 1) + where.pop("path", RAW_PATHS[dialect])
        self.ws = open_websocket(address, proxy=None, max_queue=None, close_timeout=2)
        self.ws.send(json.dumps({"type": "auth", "token": token, **where}))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for text in self.ws:
                message = json.loads(text)
                if message["type"] in CONTROL:
                    self.keep(None, (message["type"], message))
                else:
                    self.keep(seen_raw(self.dialect, message))
            self.finish(self.ws.close_code)
        except ConnectionClosed:
            self.finish(self.ws.close_code)

    def send(self, message: dict[str, Any]) -> None:
        self.ws.send(json.dumps(message))

    def close(self) -> None:
        """Cut the connection as a lost network does: without a close frame."""
        self.ws.socket.shutdown(socket.SHUT_RDWR)
        self.until_ended()


def seen_raw(dialect: str, message: dict[str, Any]) -> Seen:
    if dialect == "channels" and message["type"] == "task_update":
        return Seen(message["seq"], message["action"], message["task"]["id"], message["task"])
    body = message["payload" if dialect == "gin" else "data"]
    kind = message["type"]
    task = body["id"] if isinstance(body, dict) and kind.startswith("task_") else body
    task_id = int(task) if kind.startswith("task_") else None
    return Seen(message["seq"], kind, task_id, body)


class SocketReader(Reader):
    """Socket.IO by python-socketio's client, which waits for the answer to its CONNECT for so many
    seconds even when the connection has ended meanwhile."""

    def __init__(
        self, url: str, token: str, where: dict[str, Any], patience: float = TIMEOUT
    ) -> None:
        super().__init__()
        self.client = Socket()
        self.client.sio.handlers["/"].clear()
        self.client.sio.on("*", self._take)
        self.client.sio.on("disconnect", lambda reason=None: self.finish(reason or "disconnect"))
        self.client.sio.connect(
            url, auth={"token": token, **where}, transports=["websocket"], wait_timeout=patience
        )
        if self.client.sio.eio.state != "connected":
            self.finish("disconnect")  # it ended before the library would have said so

    def _take(self, name: str, payload: Any = None) -> None:
        if name in CONTROL:
            self.keep(None, (name, payload))
        else:
            self.keep(Seen(payload["seq"], name, payload.get("task"), payload))

    def call(self, name: str, payload: Any) -> Any:
        return self.client.call(name, payload)

    def close(self) -> None:
        connection = self.client.sio.eio.ws
        if connection is not None and connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
            self.until_ended()
        self.client.close()


class StreamReader(Reader):
    """Server-Sent Events.  `header` resumes by `Last-Event-ID` in place of `since`."""

    def __init__(
        self,
        url: str,
        token: str | None,
        where: dict[str, Any],
        *,
        header: bool = False,
        prefix: str = "",
        ticket: str | None = None,
    ) -> None:
        super().__init__()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        query = {} if header else dict(where)
        if ticket is not None:
            query["ticket"] = ticket
        if header and "since" in where:
            headers["Last-Event-ID"] = f"{where.get('epoch', '')}-{where['since']}"
        session = requests.Session()
        session.trust_env = False
        self.response = session.get(
            f"{url}{prefix}/events?{urlencode(query)}", headers=headers, stream=True, timeout=30
        )
        assert self.response.status_code == 200, self.response.text
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for event in parse(lines(self.response)):
                self._take(event)
            self.finish("end of stream")
        except (HTTPException, OSError, AttributeError, ValueError) as error:
            self.finish(f"cut: {type(error).__name__}")

    def _take(self, event: dict[str, str]) -> None:
        body = json.loads(event["data"])
        if event["event"] in CONTROL:
            self.keep(None, (event["event"], body))
            return
        epoch, _, seq = event["id"].rpartition("-")
        assert (int(seq), epoch) == (body["seq"], body["epoch"])
        self.keep(Seen(int(seq), event["event"], body.get("task"), body))

    def close(self) -> None:
        stream = self.response.raw._fp.fp  # whether the connection is kept or not
        # There is none once the end has been read, as by who closes a second time.
        if stream is not None and stream.raw._sock is not None:
            stream.raw._sock.shutdown(socket.SHUT_RDWR)
        self.until_ended()
        self.response.close()


def lines(response: requests.Response) -> Iterator[bytes]:
    """The lines of a response as they come; `iter_lines` reads byte by byte for that."""
    return iter(response.raw._fp.readline, b"")


def parse(stream: Iterator[bytes]) -> Iterator[dict[str, str]]:
    """Events of a stream (WHATWG HTML, section 9.2.6), as far as ours use the format."""
    event: dict[str, str] = {}
    for raw_line in stream:
        line = raw_line.decode().rstrip("\n")
        name, _, value = line.partition(":")
        if not line:
            if "data" in event:
                yield event
            event = {}
        elif name:
            event[name] = value.removeprefix(" ")


def dial(transport: str, url: str, person: Person, **where: Any) -> Any:
    """Open a reader; `since` and `epoch` resume."""
    if transport == "socketio":
        return SocketReader(url, person.token, where)
    if transport == "sse":
        return StreamReader(url, person.token, where)
    return RawReader(url, transport, person.token, where)


def connect(transport: str, url: str, person: Person, **where: Any) -> Any:
    """The same, once its feed has begun: whatever it is resumed with has come."""
    reader = dial(transport, url, person, **where)
    reader.notice("ready")
    return reader
