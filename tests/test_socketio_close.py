"""What becomes of a connection whose WebSocket has ended."""

from __future__ import annotations

import pytest
import websocket

from tests.support.server import Server


@pytest.mark.parametrize("farewell", [None, "41", "1"])
def test_tcp_connection_is_closed(server: Server, farewell: str | None) -> None:
    """RFC 6455, section 7.1.1: the server closes it, once both have sent a close frame."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    ws = websocket.create_connection(address, timeout=2)
    assert ws.recv().startswith("0{")
    ws.send("40")
    assert ws.recv().startswith("40{")
    assert ws.recv().startswith('42["message"')
    if farewell is None:
        ws.send_close()
    else:
        ws.send(farewell)
        ws.send("1")
    came = ws.sock.recv(1000)
    if farewell is not None:
        ws.send_close()  # the answer to the server's
    while piece := ws.sock.recv(1000):
        came += piece
    assert came[:1] == b"\x88"  # a close frame
    assert len(came) == 2 + came[1]  # and nothing after it
    ws.shutdown()
