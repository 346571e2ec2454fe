"""A bare Engine.IO connection, to send what no client would."""

from __future__ import annotations

import json
from typing import Any

import websocket

from tests.support.server import Server

PING, PONG = "2", "3"  # Engine.IO's


class Raw(websocket.WebSocket):
    """Answers the server's pings, whoever reads: without that it would be closed after 45 s."""

    def recv(self) -> Any:
        """The next packet that is no ping."""
        while (packet := super().recv()) == PING:
            self.send(PONG)
        return packet


def raw(server: Server, query: str = "", credentials: Any = None, timeout: float = 5) -> Raw:
    """One that has sent CONNECT; its answer is still to be read."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket{query}"
    ws: Raw = websocket.create_connection(address, timeout=timeout, class_=Raw)
    assert ws.recv().startswith("0{")
    ws.send("40" + ("" if credentials is None else json.dumps(credentials)))
    return ws


def answer(ws: Raw, text: str, wanted: str) -> str:
    """Send a packet; the first that comes back and begins with `wanted`."""
    ws.send(text)
    while True:
        packet = ws.recv()
        assert packet, "the connection ended"
        if packet.startswith(wanted):
            return str(packet)
