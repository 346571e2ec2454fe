"""A bare Engine.IO connection, to send what no client would."""

from __future__ import annotations

import json
from typing import Any

import websocket

from tests.support.server import Server


def raw(
    server: Server, query: str = "", credentials: Any = None, timeout: float = 5
) -> websocket.WebSocket:
    """One that has sent CONNECT; its answer is still to be read."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket{query}"
    ws = websocket.create_connection(address, timeout=timeout)
    assert ws.recv().startswith("0{")
    ws.send("40" + ("" if credentials is None else json.dumps(credentials)))
    return ws


def answer(ws: websocket.WebSocket, text: str, wanted: str) -> str:
    """Send a packet; the first that comes back and begins with `wanted`."""
    ws.send(text)
    while True:
        packet = ws.recv()
        assert packet, "the connection ended"
        if packet.startswith(wanted):
            return packet
