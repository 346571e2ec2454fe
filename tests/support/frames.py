"""A WebSocket client that is all bytes: it sends what no library would (RFC 6455)."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

from tests.support.server import Server

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # section 1.3
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """One frame.  `rsv` is the three reserved bits as a number from 0 to 7."""
    flag = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 65536:
        head += bytes([flag | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    mask = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    masked_payload = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return head + MASK + masked_payload.to_bytes(len(payload), "big")


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        return int(struct.unpack("!H", self.payload[:2])[0])

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Bytes:
    """One TCP connection that has sent a handshake and read its answer: `status`, `head`."""

    def __init__(
        self,
        server: Server,
        path: str = "/api/v1/ws",
        *,
        headers: dict[str, str | None] | None = None,
        method: str = "GET",
        early: bytes = b"",
        receive_buffer: int | None = None,
    ) -> None:
        """`headers` replace those of the handshake, None takes one away; `early` goes out in
        the same segment."""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(5)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        given = {"Host": f"127.0.0.1:{server.port}", **HANDSHAKE, **(headers or {})}
        lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
        request = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
        self.socket.sendall(request.encode() + early)
        self.stream = self.socket.makefile("rb")
        self.head = self._read_head()
        self.status = int(self.head[0].split()[1])

    def _read_head(self) -> list[str]:
        lines = []
        while line := self.stream.readline().decode().rstrip("\r\n"):
            lines.append(line)
        return lines

    @property
    def body(self) -> Any:
        """The JSON body of a refusal."""
        length = next(line for line in self.head if line.lower().startswith("content-length"))
        return json.loads(self.stream.read(int(length.partition(":")[2])))

    def send(self, data: bytes, *, apart: int | None = None) -> None:
        """Send bytes, `apart` in each segment."""
        for start in range(0, len(data), apart or len(data)):
            self.socket.sendall(data[start : start + (apart or len(data))])

    def read(self) -> Frame | None:
        """The next frame; None at the end of the connection.  The server's are never masked,
        never fragmented, and have no reserved bit."""
        head = self.stream.read(2)
        if len(head) < 2:
            return None
        assert head[0] & 0xF0 == 0x80 and head[1] < 128, head
        length = head[1]
        if length == 126:
            length = struct.unpack("!H", self.stream.read(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self.stream.read(8))[0]
        return Frame(head[0] & 0x0F, self.stream.read(length))

    def until_closed(self) -> list[Frame]:
        """All frames that still come.  The last is the close frame, and TCP ends after it."""
        frames = []
        while one := self.read():
            frames.append(one)
        assert frames and frames[-1].opcode == CLOSE, frames
        assert [one.opcode for one in frames].count(CLOSE) == 1
        return frames

    def end(self) -> None:
        self.stream.close()
        self.socket.close()


def signed_in(server: Server, token: str, path: str = "/api/v1/ws", **options: Any) -> Bytes:
    """A connection whose `ready` has been read."""
    ws = Bytes(server, path, headers={"Authorization": f"Bearer {token}"}, **options)
    assert ws.status == 101, ws.head
    ready = ws.read()
    assert ready and ready.json["type"] == "ready"
    return ws
