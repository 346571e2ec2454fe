"""Clients that stop reading, or read a byte a second and say that they are alive; their kernel
takes little."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse

from tests.support.accounts import Person
from tests.support.frames import CLOSE, HANDSHAKE, PONG, TEXT, Bytes, frame, signed_in
from tests.support.server import Server

RECEIVE_BUFFER = 4096
SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"
SEQ = re.compile(rb'"seq":(\d+),"epoch"')


# Pings stand behind what was not read; that they are answered all the same is the worst case.
PONGS = {"fiber": frame(PONG), "socketio": frame(TEXT, b"3"), "sse": b""}


def resume(
    server: Server,
    transport: str,
    person: Person,
    since: str,
    epoch: str,
    receive_buffer: int = RECEIVE_BUFFER,
) -> Bytes:
    """A connection that is being brought up to date; nothing of that has been read."""
    if transport == "socketio":
        ws = Bytes(server, SOCKET_IO, receive_buffer=receive_buffer)
        credentials = {"token": person.token, "since": int(since), "epoch": epoch}
        ws.send(frame(TEXT, b"40" + json.dumps(credentials).encode()))
        return ws
    path = "/events" if transport == "sse" else "/api/v1/ws"
    headers: dict[str, str | None] = {**person.header}
    if transport == "sse":
        headers |= dict.fromkeys(HANDSHAKE)  # it is no WebSocket
    path += f"?since={since}&epoch={epoch}"
    return Bytes(server, path, headers=headers, receive_buffer=receive_buffer)


class Stuck:
    """One client.  After `ready` it reads nothing, or a byte a second, until it is asked for its
    `rest`."""

    def __init__(
        self, server: Server, transport: str, person: Person, *, trickling: bool = False
    ) -> None:
        self.transport = transport
        if transport == "sse":
            self.socket = _open_stream(server, person)
            self.response = HTTPResponse(self.socket)
            self.response.begin()
            while not self.response.readline().startswith(b"event: ready"):
                pass
            self.response.readline()  # its data
            self.response.readline()  # the end of it; the end of the chunk is still to be read
        elif transport == "socketio":
            self.ws = Bytes(server, SOCKET_IO, receive_buffer=RECEIVE_BUFFER)
            self.ws.send(frame(TEXT, b"40" + json.dumps({"token": person.token}).encode()))
            while b"ready" not in (one := self.ws.read()).payload:  # type: ignore[union-attr]
                assert one
            self.socket = self.ws.socket
        else:
            self.ws = signed_in(server, person.token, receive_buffer=RECEIVE_BUFFER)
            self.socket = self.ws.socket
        before = self.response.fp.peek(1) if trickling and transport == "sse" else b""
        self.trickle = Trickle(self.socket, transport, read=before) if trickling else None

    def rest(self) -> list[int]:
        """The seq of every event that had been sent, whole, before the end."""
        if self.trickle is not None:
            self._read_on(self.trickle.finish())
        return [int(found[1]) for piece in self._pieces() if (found := SEQ.search(piece))]

    def _pieces(self) -> Iterator[bytes]:
        try:
            if self.transport == "sse":
                while line := self.response.readline():
                    if line.startswith(b"data: ") and line.endswith(b"\n"):
                        yield line
                return
            while (one := self.ws.read()) is not None and one.opcode != CLOSE:
                yield one.payload
        except (OSError, HTTPException, AssertionError):
            return  # cut in the middle of one

    def _read_on(self, before: bytes) -> None:
        """Read what came byte by byte, then the rest."""
        stream = io.BufferedReader(_Chain(before, self.socket))
        if self.transport == "sse":
            self.response.fp = stream
        else:
            self.ws.stream = stream

    def close(self) -> None:
        self.socket.close()


class Trickle(threading.Thread):
    """Reads a byte each second, or `pause`, from a client's connection, and says there that it is
    alive; `read` is what came before, and all that has come."""

    def __init__(
        self, connection: socket.socket, transport: str, *, read: bytes = b"", pause: float = 1
    ) -> None:
        super().__init__(daemon=True)
        self.socket, self.pong, self.pause = connection, PONGS[transport], pause
        self.read = bytearray(read)
        self.stop = threading.Event()
        self.start()

    def run(self) -> None:
        try:
            while not self.stop.wait(self.pause) and (byte := self.socket.recv(1)):
                self.read += byte
                self.socket.sendall(self.pong)
        except OSError:
            pass  # the server has ended it

    def finish(self) -> bytes:
        self.stop.set()
        self.join()
        return bytes(self.read)


class _Chain(io.RawIOBase):
    """Some bytes, then those of a socket."""

    def __init__(self, before: bytes, connection: socket.socket) -> None:
        self.before, self.connection = before, connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self.before:
            return self.connection.recv_into(buffer)
        piece, self.before = self.before[: len(buffer)], self.before[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def _open_stream(server: Server, person: Person) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    connection.settimeout(5)
    connection.connect(("127.0.0.1", server.port))
    head = f"GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n\r\n"
    connection.sendall(head.encode())
    return connection
