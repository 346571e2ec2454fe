"""The process: stopping in good order, many connections, keeping them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import resource
import signal
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from socketio.exceptions import SocketIOError
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.conftest import eventlet_only
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person
from tests.support.clients import Socket
from tests.support.http import connect, read
from tests.support.process import state
from tests.support.readers import dial
from tests.support.server import Server, running
from tests.support.snapshots import Background
from tests.support.waits import until

MANY = 1300  # eventlet.wsgi as it comes stops at 1 024
CROWD = 200  # as they come, eventlet lets 50 wait, and werkzeug and the standard library 128
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
# How each library says that it could not connect.
REFUSED = (OSError, WebSocketException, SocketIOError)


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def descriptors(number: int) -> Iterator[None]:
    """Let this process and its children have so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        pytest.skip(f"this machine allows {hard} open files, {number} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_slow_request_is_let_finish(
    start: Callable[..., Server], listen: Callable[..., Socket], number: int
) -> None:
    server = start()
    alice = accounts.register(server.url, "Alice")
    hers = listen(alice, server.url)
    body = json.dumps({"title": "Half of it came before the signal"}).encode()
    kind = "Content-Type: application/json"
    sent = request("POST", "/tasks", body, kind, f"Authorization: Bearer {alice.token}")
    with connect(server) as slow:
        slow.sendall(sent[:-20])
        server.signal(number)
        hers.wait_for("disconnect")  # the stop has begun
        slow.sendall(sent[-20:])
        status, answered = read(slow)
    assert status == 201
    assert server.wait() == 0
    again = start(server.instance)
    stored = accounts.sign_in(again.url, alice.username, PASSWORD).rest.get("/tasks").json()
    assert stored == [json.loads(answered)]
    assert "Traceback" not in server.log


def test_a_signal_that_comes_to_another_thread(start: Callable[..., Server]) -> None:
    """The kernel may give a process's signal to any of its threads."""
    server = start()
    accounts.register(server.url, "Alice")  # hashing has its threads now
    assert server.process is not None
    main = server.process.pid
    others = {int(one.name) for one in Path(f"/proc/{main}/task").iterdir()} - {main}
    assert ctypes.CDLL(None, use_errno=True).tgkill(main, min(others), signal.SIGTERM) == 0
    assert server.wait() == 0


# A library may handle a signal of its own.
HANDLED = """
import signal, sys
from app import main
signal.signal(signal.SIGUSR1, lambda *_: print("Handled", flush=True))
sys.exit(main())
"""


class Handling(Server):
    program = ("-c", HANDLED)


def test_a_signal_that_somebody_else_handles(tmp_path: Path) -> None:
    with running(Handling(tmp_path)) as server:
        person = accounts.admin(server)
        with closing(Socket().connect(server.url, person.token)) as socket:
            for number in range(1, 4):
                server.signal(signal.SIGUSR1)
                until(lambda count=number: server.log.count("Handled") == count)
                task = person.rest.new_task()
                assert socket.wait_for("task_created", count=number)["id"] == task["id"]
        assert "stopping" not in server.log


def test_idle_connections_do_not_delay_the_stop(start: Callable[..., Server]) -> None:
    server = start()
    with connect(server) as idle, connect(server) as kept:
        kept.sendall(request("GET", "/tasks"))
        assert read(kept)[0] == 401
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert idle.recv(1) == b""


QUEUED = 20  # connections
FAREWELL_OVER = 0.5  # seconds


def test_who_is_in_the_queue_when_it_stops(start: Callable[..., Server]) -> None:
    """They have connected, and are answered: a gateway that was not could not know whether it may
    ask another process."""
    server = start()
    told = Socket().connect(server.url)  # or there would be no time in which they could connect
    server.signal()
    until(lambda: "stopping" in server.log)
    server.signal(signal.SIGSTOP)  # so that it comes to its end with all of them in the queue
    queue = [connect(server) for _ in range(QUEUED)]
    for one in queue:
        one.sendall(request("GET", "/tasks"))
    threading.Event().wait(FAREWELL_OVER)  # its time goes on
    server.signal(signal.SIGCONT)
    assert [read(one)[0] for one in queue] == [401] * QUEUED
    for one in queue:
        one.close()
    assert server.wait() == 0
    told.close()


def come_back(server: Server, person: Person, transport: str) -> None:
    """As clients do at once, when they are told to; until nobody listens any more."""
    with contextlib.suppress(*REFUSED):
        while True:
            with contextlib.suppress(ConnectionClosed):  # before it has said who it is
                dial(transport, server.url, person).until_ended()


def test_who_comes_back_to_a_server_that_stops(start: Callable[..., Server]) -> None:
    """They are told again, and hold up nobody."""
    server = start()
    alice = accounts.register(server.url, "Alice")
    clients = [Background(come_back, server, alice, name) for name in ("sse", "fiber", "socketio")]
    while alice.rest.get("/health").json()["connectedClients"] < len(clients):
        assert not [client for client in clients if client.error]
    began = time.monotonic()
    server.signal()
    assert server.wait() == 0
    assert time.monotonic() - began < 5
    for client in clients:
        client.finish()
    assert "Traceback" not in server.log


@eventlet_only  # werkzeug's server closes after each response
def test_keep_alive(server: Server, alice: Person) -> None:
    header = f"Authorization: Bearer {alice.token}"
    with connect(server) as connection:
        for _ in range(20):
            connection.sendall(request("GET", "/tasks", b"", header))
            assert read(connection) == (200, b"[]")


@eventlet_only
def test_more_than_1024_connections(start: Callable[..., Server]) -> None:
    with descriptors(2 * MANY):
        server = start()
        held = [connect(server) for _ in range(MANY)]
        try:
            for connection in held:
                connection.sendall(request("GET", "/tasks"))
            assert {read(connection)[0] for connection in held} == {401}
            with connect(server) as one_more:
                one_more.sendall(request("GET", "/tasks"))
                assert read(one_more)[0] == 401
        finally:
            for connection in held:
                connection.close()
    assert server.stop() == 0


def test_a_crowd_that_connects_at_once(server: Server) -> None:
    """As after a restart, while the server does something else: all of them may wait.  The kernel
    drops who finds no place without a word, and that client tries again after one second, three
    and seven."""
    if int(SOMAXCONN.read_text()) < CROWD:
        pytest.skip("this machine's kernel lets fewer wait")
    crowd = []
    server.signal(signal.SIGSTOP)
    try:
        until(lambda: state(server) == "T")
        for _ in range(CROWD):
            crowd.append(connect(server))
            crowd[-1].sendall(request("GET", "/health"))
    finally:
        server.signal(signal.SIGCONT)
    assert [read(one)[0] for one in crowd] == [200] * CROWD
    for one in crowd:
        one.close()


BROKEN = [
    b"\x00\xff\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /%ff%00 HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("sent", [*BROKEN, request("GET", "/socket.io/?EIO=9")])
def test_no_traceback_to_clients(server: Server, sent: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(sent)
        connection.shutdown(sockets.SHUT_WR)
        got = b""
        while piece := connection.recv(65536):
            got += piece
    assert b"Traceback" not in got
    assert b"HTTP/1.1 5" not in got
