"""Clients of a server for `stress`: HTTP and WebSockets on asyncio, which take less of the
machine than the server they measure."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage
from wsproto.utilities import RemoteProtocolError

from task_app import jsonio

READ_BYTES = 65_536
SOCKET_PATH = "/api/v1/ws"


class Refused(Exception):
    """What the server answered instead of what was asked for."""


@dataclass(frozen=True)
class Where:
    """A server: its address, and how it is called in the `Host` line."""

    host: str
    port: int
    tls: bool
    name: str

    @classmethod
    def of(cls, url: str) -> Where:
        """Raises ValueError for what is no URL of a server."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write it like http://localhost:5000")
        tls = parts.scheme == "https"
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.netloc)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context() if self.tls else None
        return await asyncio.open_connection(self.host, self.port, ssl=context)


class Http:
    """One connection that is kept.  `token` goes into each request when there is one."""

    def __init__(self, where: Where, token: str | None = None) -> None:
        self.where = where
        self.token = token
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Any) -> Any:
        """The answer's JSON.  Raises `Refused` for a status that is no success."""
        if self.streams is None:
            self.streams = await self.where.connect()
        reader, writer = self.streams
        content = jsonio.dumps_bytes(body)
        lines = [f"POST {path} HTTP/1.1", f"Host: {self.where.name}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        if self.token is not None:
            lines.append(f"Authorization: Bearer {self.token}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        try:
            status, answer, last = await _answer(reader)
        except (ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise Refused(f"{self.where.name} does not answer as this server does") from error
        if last:
            self.close()
        if not 200 <= status < 300:
            raise Refused(f"POST {path} was answered {status}: {answer.get('message', '')}")
        return answer

    async def create(self, title: str) -> int:
        """Make a task; its id.  Raises as `post` does."""
        return int((await self.post("/tasks", {"title": title}))["id"])

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def _answer(reader: asyncio.StreamReader) -> tuple[int, Any, bool]:
    """The status, the body's JSON, and whether the connection ends with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    last = fields.get("connection", "").lower() == "close"
    return int(head[0].split(" ")[1]), jsonio.loads(body) if body else {}, last


class WebSocket:
    """A raw WebSocket, signed in by its header."""

    def __init__(self, where: Where, token: str) -> None:
        self.where = where
        self.token = token
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.writer: asyncio.StreamWriter | None = None
        self.waiting: asyncio.Future[int] | None = None

    async def messages(self) -> AsyncIterator[Any]:
        """Connect, and yield what the server sends until it or we close; raises `Refused` when
        it does not let us in."""
        reader, self.writer = await self.where.connect()
        header = (b"Authorization", f"Bearer {self.token}".encode())
        opening = Request(host=self.where.name, target=SOCKET_PATH, extra_headers=[header])
        self.writer.write(self.protocol.send(opening))
        text: list[str] = []
        while data := await reader.read(READ_BYTES):
            try:
                self.protocol.receive_data(data)
            except RemoteProtocolError as error:
                raise Refused(f"the WebSocket: {error}") from error
            for event in self.protocol.events():
                if isinstance(event, TextMessage):
                    text.append(event.data)
                    if event.message_finished:
                        yield jsonio.loads("".join(text).encode())
                        text.clear()
                elif isinstance(event, Ping):
                    self.writer.write(self.protocol.send(event.response()))
                elif isinstance(event, CloseConnection):
                    return
                elif not isinstance(event, AcceptConnection):
                    raise Refused(f"{SOCKET_PATH} was not opened: {type(event).__name__}")

    async def create(self, title: str) -> int:
        """Make a task; its id, once `settle` was told of it.  Raises `Refused`."""
        assert self.writer is not None  # noqa: S101 - `messages` runs
        self.waiting = asyncio.get_running_loop().create_future()
        asked = {"type": "create_task", "data": {"title": title}}
        self.writer.write(self.protocol.send(TextMessage(jsonio.dumps(asked))))
        return await self.waiting

    def settle(self, message: Any) -> None:
        """Take what may be the answer."""
        if self.waiting is None or self.waiting.done():
            return
        if message["type"] == "ack":
            self.waiting.set_result(int(message["data"]["id"]))
        elif message["type"] == "error":
            self.waiting.set_exception(Refused(f"create_task: {message['message']}"))

    def close(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
        if self.writer is not None:
            self.writer.close()
