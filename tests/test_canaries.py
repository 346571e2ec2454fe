"""Parts of the stack that are not promised to us and that we lean on (FINDINGS): when one
changes, this says so before anything subtler does."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import metadata

import engineio
import flask_restful
import pytest
import socketio
from engineio.base_socket import BaseSocket
from engineio.socket import Socket

from task_app.measured import VERSIONS
from task_app.realtime import handlers, sessions
from task_app.realtime.sessions import Session
from task_app.resources import JsonApi


@pytest.mark.parametrize(("package", "version"), VERSIONS.items())
def test_installed_is_what_was_measured(package: str, version: str) -> None:
    assert metadata.version(package) == version


def test_a_packet_can_be_sent_encoded() -> None:
    """`handlers.Connection.send` gives one packet to many connections."""
    assert [*inspect.signature(engineio.Server.send_packet).parameters] == ["self", "sid", "pkt"]
    packet = engineio.packet.Packet(engineio.packet.MESSAGE, '2["x"]')
    assert packet.encode() == '42["x"]'


class Recorder(socketio.Server):
    """Notes in which order the client is told and the manager is called."""

    def __init__(self, manager: socketio.Manager) -> None:
        super().__init__(async_mode="threading", client_manager=manager)
        self.steps: list[str] = []

    def _send_packet(self, eio_sid: str, pkt: socketio.packet.Packet) -> None:
        self.steps.append(f"packet {pkt.packet_type}")

    def _trigger_event(self, event: str, *args: object) -> bool:
        self.steps.append(event)
        return True


class Manager(socketio.Manager):
    def connect(self, eio_sid: str, namespace: str) -> str:
        sid = super().connect(eio_sid, namespace)
        self.server.steps.append("manager")
        return sid


def test_order_of_a_connect() -> None:
    """What the greeting relies on: see `handlers.Manager`."""
    server = Recorder(Manager())
    server.manager.set_server(server)
    server.manager_initialized = True
    server.environ["e"] = {}
    server._handle_connect("e", "/", None)
    assert server.steps == CONNECT_ORDER


def test_what_a_session_of_engine_io_is() -> None:
    """`sessions.Session` sets these itself, and puts its own methods in the place of others."""
    server = engineio.Server(async_mode="threading")
    known = {"server", "sid", "queue", "last_ping", "connected", "upgrading", "upgraded"}
    assert vars(BaseSocket(server, "s")).keys() == known | {"closing", "closed", "session"}
    own = {name for name in vars(Session) if not name.startswith("__")}
    replaced = {"send", "receive", "schedule_ping", "handle_post_request", "close"}
    replaced |= {"_upgrade_websocket"}
    assert own & vars(Socket).keys() == replaced
    for name in replaced:
        theirs = inspect.signature(getattr(Socket, name)).parameters
        assert [*inspect.signature(getattr(Session, name)).parameters] == [*theirs], name
    # What is left to the parent reaches for nothing that is not there.
    for method in (Socket.poll, Socket.receive, Socket.handle_get_request):
        used = set(re.findall(r"self\.(\w+)", inspect.getsource(method)))
        assert used <= set(dir(Session)) | vars(Session(server, "s")).keys(), method


def test_how_engine_io_opens_a_session() -> None:
    """`sessions.install` puts a function of ours in its place."""
    theirs = inspect.signature(engineio.Server._handle_connect)
    ours = inspect.signature(sessions._open)
    assert [*theirs.parameters][1:] == [*ours.parameters][1:]
    source = inspect.getsource(engineio.Server.handle_request)
    assert "self._handle_connect(environ, start_response," in source
    # Only there is the task started that looks for the lost, which our timer does.
    source = inspect.getsource(engineio.Server)
    assert source.count("self._service_task)") == 1
    assert "self._service_task)" in inspect.getsource(engineio.Server._handle_connect)
    # An answer that is no list is left as it is, but for a new session's.
    assert "isinstance(packets, list)" in inspect.getsource(engineio.Server.handle_request)


def test_a_client_is_in_no_room_but_everybodys() -> None:
    """`handlers.Manager` leaves out each client's own; who is connected is told all the same."""
    server = Recorder(handlers.Manager())
    manager = server.manager
    manager.set_server(server)
    sid = manager.pre_connect("e", "/")
    socketio.Manager.connect(manager, sid, "/")
    assert [*manager.rooms["/"]] == [None]
    assert manager.is_connected(sid, "/") and manager.can_disconnect(sid, "/")
    assert manager.eio_sid_from_sid(sid, "/") == "e" and manager.sid_from_eio_sid("e", "/") == sid
    manager.disconnect(sid, "/")
    assert not manager.is_connected(sid, "/") and not manager.rooms


HUB = """
import eventlet, eventlet.hubs, greenlet, socket
from eventlet.greenio import GreenSocket
hub = eventlet.hubs.get_hub()
ours, theirs = socket.socketpair()
green = GreenSocket(ours)
raw = green.fd
assert type(raw) is socket.socket
taken = type(raw)(raw.family, raw.type, raw.proto, raw.detach())
taken.setblocking(False)
green.close(), raw.close()  # what is left to the request closes nothing
called, done = [], eventlet.event.Event()
def readable(descriptor):
    assert greenlet.getcurrent() is hub.greenlet and descriptor == taken.fileno()
    called.append(taken.recv(9))
    hub.remove(listener)
    eventlet.spawn_n(done.send, None)
listener = hub.add(hub.READ, taken.fileno(), readable, print, print)
assert listener.greenlet is greenlet.getcurrent()
theirs.send(b"one")
done.wait()
theirs.send(b"two")
eventlet.sleep(0.01)
assert called == [b"one"] and taken.recv(9) == b"two"
def writable(descriptor):
    called.append(2)
    hub.remove(listener)
listener = hub.add(hub.WRITE, taken.fileno(), writable, print, print)
eventlet.sleep(0.01)
assert called == [b"one", 2]
print("finished")
"""


def test_how_eventlets_hub_calls() -> None:
    """`engine.DetachedWebSocket`, in a process of its own: listeners that are no greenlets, added
    and removed from within, on a socket taken from under eventlet's."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HUB], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout) == (0, "finished\n"), done.stderr


CONNECT_ORDER = ["connect", "packet 0", "manager"]


def test_signatures_of_what_is_overridden() -> None:
    given = inspect.signature(socketio.Manager.connect)
    assert [*given.parameters] == ["self", "sid", "namespace"]
    given = inspect.signature(flask_restful.Api.error_router)
    assert [*given.parameters] == ["self", "original_handler", "e"]
    assert JsonApi.error_router is not flask_restful.Api.error_router
    assert callable(socketio.Manager.is_connected)
    assert callable(socketio.Manager.eio_sid_from_sid)


def test_api_error_router_is_what_flask_calls() -> None:
    source = inspect.getsource(flask_restful.Api._init_app)
    assert "app.handle_exception = partial(self.error_router, app.handle_exception)" in source


WSGI_KILL = """
import eventlet, eventlet.wsgi, socket, warnings
started, gone = eventlet.event.Event(), eventlet.event.Event()
def app(environ, start_response):
    started.send(None)
    gone.wait()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
listener = eventlet.listen(("127.0.0.1", 0))
server = eventlet.spawn(eventlet.wsgi.server, listener, app, log_output=False)
client = eventlet.connect(listener.getsockname())
client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
started.wait()
server.kill(SystemExit)
gone.send(None)
assert client.recv(1000).endswith(b"ok")
server.wait()
print("finished")
"""


def test_killing_eventlets_server_lets_requests_finish() -> None:
    """The graceful stop of `server.py`, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WSGI_KILL],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (0, "finished\n"), done.stderr
