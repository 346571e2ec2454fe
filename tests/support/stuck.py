"""Clients that stop reading: their kernel takes little, and they take nothing from it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse

from tests.support.accounts import Person
from tests.support.frames import CLOSE, TEXT, Bytes, frame, signed_in
from tests.support.server import Server

RECEIVE_BUFFER = 4096
SEQ = re.compile(rb'"seq":(\d+),"epoch"')


class Stuck:
    """One client.  After `ready` it reads nothing until it is asked for its `rest`."""

    def __init__(self, server: Server, transport: str, person: Person) -> None:
        self.transport = transport
        if transport == "sse":
            self.socket = _open_stream(server, person)
            self.response = HTTPResponse(self.socket)
            self.response.begin()
            while not self.response.readline().startswith(b"event: ready"):
                pass
            self.response.readline()  # its data
        elif transport == "socketio":
            path = "/socket.io/?EIO=4&transport=websocket"
            self.ws = Bytes(server, path, receive_buffer=RECEIVE_BUFFER)
            self.ws.send(frame(TEXT, b"40" + json.dumps({"token": person.token}).encode()))
            while b"ready" not in (one := self.ws.read()).payload:  # type: ignore[union-attr]
                assert one
            self.socket = self.ws.socket
        else:
            self.ws = signed_in(server, person.token, receive_buffer=RECEIVE_BUFFER)
            self.socket = self.ws.socket

    def rest(self) -> list[int]:
        """The seq of every event that had been sent, whole, before the end."""
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

    def close(self) -> None:
        self.socket.close()


def _open_stream(server: Server, person: Person) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    connection.settimeout(5)
    connection.connect(("127.0.0.1", server.port))
    head = f"GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n\r\n"
    connection.sendall(head.encode())
    return connection
