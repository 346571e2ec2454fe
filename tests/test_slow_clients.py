"""Clients that take their time over HTTP: each state of a connection has an end."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import eventlet_only
from tests.support.accounts import Person
from tests.support.http import request
from tests.support.process import memory
from tests.support.server import Server

PATIENCE = 30  # seconds
LONG = "d" * 10_000


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


@eventlet_only
def test_more_requests_than_may_wait(server: Server, alice: Person) -> None:
    """A client sends a hundred and reads nothing: it is not read from, and loses nothing."""
    bearer = f"Authorization: Bearer {alice.token}"
    one = request("GET", "/tasks?limit=1", bearer)
    with connect(server) as greedy:
        greedy.sendall(one * 99 + request("GET", "/tasks?limit=1", bearer, "Connection: close"))
        came = b""
        while piece := greedy.recv(65536):
            came += piece
    assert came.count(b"HTTP/1.1 200 OK\r\n") == 100


@eventlet_only
def test_a_client_that_does_not_take_its_answer(server: Server, alice: Person) -> None:
    """It waits in the kernel's buffers; nobody else waits for it."""
    long = [{"op": "create", "data": {"title": "Long", "description": LONG}}] * 90
    for _ in range(6):
        alice.rest.post("/tasks/bulk", {"operations": long})
    with connect(server) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        bearer = f"Authorization: Bearer {alice.token}"
        stuck.sendall(request("GET", "/tasks?limit=500", bearer))
        began = time.monotonic()
        for _ in range(5):
            assert alice.rest.get("/tasks?limit=1").status_code == 200
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("half", [True, False])
def test_a_client_that_ends_its_side(server: Server, alice: Person, half: bool) -> None:
    """What it asked before that is answered."""
    body = json.dumps({"title": "Asked before"}).encode()
    headers = (f"Authorization: Bearer {alice.token}", "Content-Type: application/json")
    with connect(server) as client:
        client.sendall(
            request("POST", "/tasks", *headers, f"Content-Length: {len(body)}", body=body)
        )
        if half:
            client.shutdown(socket.SHUT_WR)
        assert client.recv(100).startswith(b"HTTP/1.1 201 ")
    assert [task["title"] for task in alice.rest.get("/tasks").json()] == ["Asked before"]


@eventlet_only
@pytest.mark.parametrize("head", [(), ("Connection: Upgrade", "Upgrade: other")])
def test_requests_without_end(server: Server, alice: Person, head: tuple[str, ...]) -> None:
    """The kernel keeps what the server does not read yet, and the client has to wait."""
    before = memory(server)
    first = request("GET", "/openapi.json") * 20
    with connect(server) as endless:
        endless.settimeout(1)
        with pytest.raises(TimeoutError):
            endless.sendall(first + request("GET", "/", *head) + request("GET", "/") * 1_000_000)
        assert memory(server) - before < 30 << 20
        assert alice.rest.get("/tasks").status_code == 200


@eventlet_only
def test_told_to_go_on_in_its_turn(server: Server, alice: Person) -> None:
    """The word to send a body comes after the answers to what was asked before."""
    bearer = f"Authorization: Bearer {alice.token}"
    body = b'{"title": "Told to go on"}'
    asks = ("Expect: 100-continue", "Content-Type: application/json", "Connection: close")
    whole = request("POST", "/tasks", bearer, *asks, f"Content-Length: {len(body)}")
    with connect(server) as client:
        client.sendall(request("GET", "/tasks?limit=1", bearer) + whole)
        came = b""
        while b"100 Continue" not in came:
            piece = client.recv(65536)
            assert piece, came
            came += piece
        client.sendall(body)
        while piece := client.recv(65536):
            came += piece
    assert re.findall(rb"HTTP/1\.1 (\d+) ", came) == [b"200", b"100", b"201"]


@eventlet_only
def test_a_connection_that_both_have_ended(server: Server) -> None:
    """It is gone at once: a gateway may use one for each request."""

    def held() -> int:
        assert server.process
        return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))

    before = held()
    for _ in range(50):
        with connect(server) as client:
            client.sendall(request("GET", "/tasks", "Connection: close"))
            while client.recv(65536):
                pass
    assert held() - before < 25


def test_two_slashes_lead_to_no_other_host(server: Server) -> None:
    """Whatever the client calls this one."""
    with connect(server) as client:
        client.sendall(b"GET //tasks HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 40")


@eventlet_only
def test_a_client_that_always_has_its_next_request(server: Server) -> None:
    """The others' turn comes between two of its requests, not after the last."""
    one, many = request("GET", "/tasks"), 300
    with connect(server) as greedy, connect(server) as other:
        greedy.sendall(one * many)
        other.sendall(one)
        assert other.recv(100).startswith(b"HTTP/1.1 401 ")
        greedy.setblocking(False)
        came = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                came += greedy.recv(1 << 20)
        answered = came.count(b"HTTP/1.1 401 ")
        assert answered < many
        greedy.settimeout(PATIENCE)
        while answered < many:
            came += greedy.recv(1 << 20)
            answered = came.count(b"HTTP/1.1 401 ")
