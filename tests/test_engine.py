"""Connections that cost nothing while they are idle, and how they end."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.conftest import engine_only
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.frames import CLOSE, TEXT, Bytes, close, frame, signed_in
from tests.support.process import memory
from tests.support.server import Server

SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"
IDLE = 300
FEW_CONNECTIONS = 4
BYTES_EACH = 16_100  # Node's, at 5 000 clients (FINDINGS)
RECEIVE_BUFFER = 4096


def packet(text: str) -> bytes:
    return frame(TEXT, text.encode())


def until(ws: Bytes, beginning: bytes) -> bytes:
    """The first packet that begins so."""
    while not (one := ws.read()) or not one.payload.startswith(beginning):
        assert one, "the connection ended"
    return one.payload


def connected(server: Server, person: Person) -> Bytes:
    """A Socket.IO client whose `ready` has been read."""
    ws = Bytes(server, SOCKET_IO)
    until(ws, b"0{")
    ws.send(packet("40" + json.dumps({"token": person.token})))
    until(ws, b'42["ready"')
    return ws


@engine_only
def test_memory_of_idle_connections(start: Callable[..., Server]) -> None:
    """Those of Socket.IO and raw ones; what they have in common is paid before."""
    server = start()
    alice = accounts.register(server.url, "Alice")
    for opened in (connected, signed_in_raw):
        warm = [opened(server, alice) for _ in range(20)]
        before = memory(server)
        idle = [opened(server, alice) for _ in range(IDLE)]
        grown = (memory(server) - before) / IDLE
        print(f"{opened.__name__}: {grown / 1024:.1f} KB each")
        assert grown < BYTES_EACH
        for ws in (*warm, *idle):
            ws.end()
    assert server.stop() == 0


def signed_in_raw(server: Server, person: Person) -> Bytes:
    return signed_in(server, person.token)


def test_stop_says_goodbye_to_everybody(start: Callable[..., Server]) -> None:
    """Also to who has not signed in, or never entered the namespace, and whatever they answer."""
    server = start()
    alice = accounts.register(server.url, "Alice")
    everybody = [connected(server, alice), signed_in_raw(server, alice)]
    everybody += [Bytes(server), Bytes(server, SOCKET_IO)]
    before = time.monotonic()
    server.signal()
    for ws in everybody:
        assert ws.until_closed()[-1].code in (1000, 1012)
    assert server.wait() == 0
    assert time.monotonic() - before < 10
    assert "Traceback" not in server.log


def test_descriptors_are_given_back(server: Server, alice: Person) -> None:
    """However a connection ends: by either side, with and without a word."""
    assert server.process
    folder = f"/proc/{server.process.pid}/fd"
    before = len(os.listdir(folder))
    for _ in range(5):
        both = [connected(server, alice), signed_in_raw(server, alice)]
        both[0].end()
        both[1].end()
        for ws in (connected(server, alice), signed_in_raw(server, alice)):
            ws.send(close(1000))
            assert ws.until_closed()[-1].code == 1000
            ws.end()
        for ws in (connected(server, alice), signed_in_raw(server, alice)):
            ws.send(b"\xff" * 10)
            assert ws.until_closed()[-1].code == 1002
            ws.end()
    until_time = time.monotonic() + 8
    while len(os.listdir(folder)) > before + 2:  # others' connections come and go
        assert time.monotonic() < until_time
        requests.get(f"{server.url}/health", timeout=5)


def test_commands_that_come_while_one_is_handled(server: Server, alice: Person) -> None:
    """In pieces, across segments: answered in their order, each once."""
    ws = connected(server, alice)
    stream = b"".join(packet(f'42{i}["create_task", {{"title": "{i}"}}]') for i in range(60))
    ws.send(stream, apart=700)
    answered = [until(ws, b"43").partition(b"[")[0] for _ in range(60)]
    assert answered == [b"43%d" % i for i in range(60)]
    assert len(alice.rest.get("/tasks?limit=100").json()) == 60
    ws.end()


def test_an_ack_after_an_event_does_not_wait(server: Server, alice: Person) -> None:
    """Two small writes: with Nagle's algorithm the second takes 40 ms."""
    ws = Bytes(server, SOCKET_IO)
    until(ws, b"0{")
    ws.send(packet("40"))
    until(ws, b'42["message"')
    command = json.dumps(["create_task", {"title": "x", "token": alice.token}])
    times = []
    for _ in range(10):
        began = time.monotonic()
        ws.send(packet(f"421{command}"))
        until(ws, b"431")
        times.append(time.monotonic() - began)
    assert sorted(times)[3] < 0.03
    ws.end()


def test_a_client_that_sends_and_does_not_read(server: Server, alice: Person) -> None:
    """It waits for its answers, and has all of them once it reads."""
    alice.rest.new_task(description="d" * 9_000)
    ws = Bytes(server, SOCKET_IO, receive_buffer=RECEIVE_BUFFER)
    until(ws, b"0{")
    ws.send(packet("40" + json.dumps({"token": alice.token})))
    until(ws, b'42["ready"')
    ws.send(b"".join(packet(f'42{i}["list_tasks", {{}}]') for i in range(500)))
    other = connected(server, alice)
    other.send(packet('421["list_tasks", {}]'))
    until(other, b"431")  # nobody waits for it
    answered = [until(ws, b"43").partition(b"[")[0] for _ in range(500)]
    assert answered == [b"43%d" % i for i in range(500)]
    ws.end()
    other.end()


def poll(server: Server) -> tuple[str, str]:
    """A polling session: its id, and the address of it."""
    address = f"{server.url}/socket.io/?EIO=4&transport=polling"
    sid = json.loads(requests.get(address, timeout=5).text[1:])["sid"]
    return sid, f"{address}&sid={sid}"


def test_an_upgrade(server: Server, alice: Person) -> None:
    """What is sent while the client changes over comes on the WebSocket, in order."""
    sid, address = poll(server)
    requests.post(address, data="40" + json.dumps({"token": alice.token}), timeout=5)
    found = ""
    while '42["ready"' not in found:
        found += requests.get(address, timeout=5).text
    ws = Bytes(server, f"{SOCKET_IO}&sid={sid}")
    ws.send(packet("2probe"))
    assert until(ws, b"3") == b"3probe"
    assert requests.get(address, timeout=5).text == "6"  # nothing more by polling
    titles = [str(alice.rest.new_task()["title"]) for _ in range(3)]
    ws.send(packet("5"))
    came = [until(ws, b'42["task_created"') for _ in titles]
    assert [json.loads(one[2:])[1]["title"] for one in came] == titles
    ws.send(packet('421["list_tasks", {}]'))
    until(ws, b"431")
    assert requests.get(address, timeout=5).status_code == 400
    ws.end()


def test_upgrades_that_fail(server: Server, alice: Person) -> None:
    """The session goes on polling: after another packet, and after none."""
    sid, address = poll(server)
    requests.post(address, data="40" + json.dumps({"token": alice.token}), timeout=5)
    for probe in ("x", "5", "2prob", "2probe"):
        ws = Bytes(server, f"{SOCKET_IO}&sid={sid}")
        ws.send(packet(probe))
        if probe == "2probe":
            assert until(ws, b"3") == b"3probe"
            ws.send(packet("4"))
        assert ws.until_closed()[-1].opcode == CLOSE
        ws.end()
    found = ""
    while '42["ready"' not in found:
        answer = requests.get(address, timeout=5)
        assert answer.status_code == 200
        found += answer.text
    bad = Bytes(server, f"{SOCKET_IO}&sid={sid}", headers={"Sec-WebSocket-Key": "x"})
    assert bad.status == 400
    bad.end()
    assert requests.post(address, data='421["list_tasks", {}]', timeout=5).text == "OK"
    assert "431[" in requests.get(address, timeout=5).text


class Few(Server):
    """One that may have few connections."""

    source = (
        "import sys; from app import main, server;"
        f"server.CONNECTIONS = {FEW_CONNECTIONS}; sys.exit(main())"
    )


@engine_only
def test_websockets_are_connections(tmp_path: Path) -> None:
    """They count like those of the HTTP server, which has let go of them."""
    server = Few(tmp_path)
    try:
        server.start()
        held = [Bytes(server) for _ in range(FEW_CONNECTIONS)]
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.5) as one_more:
            one_more.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                one_more.recv(100)
            held.pop().end()
            one_more.settimeout(5)
            assert one_more.recv(100).startswith(b"HTTP/1.1 200 ")
        for ws in held:
            ws.end()
        assert server.stop() == 0
    finally:
        server.kill()
