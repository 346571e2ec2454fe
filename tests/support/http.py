"""HTTP as bytes, to send what no client would."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

from tests.support.server import Server

TIMEOUT = 5


def send(server: Server, *pieces: bytes, close: bool = False) -> list[int]:
    """Send bytes and read to the end: the status of each answer that came.

    The last request must ask for the connection to be closed; `close` ends our side of it.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as connection:
        for piece in pieces:
            connection.sendall(piece)
        if close:
            connection.shutdown(socket.SHUT_WR)
        return statuses(to_the_end(connection))


def to_the_end(connection: socket.socket) -> bytes:
    """All that still comes."""
    came = b""
    with suppress(ConnectionResetError):  # closed with something of ours unread
        while piece := connection.recv(65_536):
            came += piece
    return came


def statuses(came: bytes) -> list[int]:
    """Of each answer.  The next begins where a body has ended, which need not be a new line."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})[ \r]", came)]


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """One request; its headers are given as they stand, none is added but `Host`."""
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def read(connection: socket.socket) -> tuple[int, bytes]:
    """One response, by its Content-Length: the status and the body."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        assert piece, f"the connection ended after {got!r}"
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return int(lines[0].split()[1]), body


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)
