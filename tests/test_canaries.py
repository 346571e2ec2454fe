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
from packaging.requirements import Requirement

from task_app.resources import JsonApi
from tests.support.server import ROOT

# What FINDINGS was measured with; a newer one must be looked at before it is taken.
MEASURED = {
    "flask": "3.1.3",
    "flask-restful": "0.3.10",
    "flask-jwt-extended": "4.7.4",
    "flask-sqlalchemy": "3.1.1",
    "sqlalchemy": "2.1.9",
    "flask-socketio": "5.7.0",
    "python-socketio": "5.18.1",
    "python-engineio": "4.15.1",
    "marshmallow": "4.4.0",
    "eventlet": "0.41.3",
    "pyjwt": "2.15.1",
}
REQUIREMENTS = ROOT / "requirements.txt"


def folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(("package", "version"), MEASURED.items())
def test_installed_is_what_was_measured(package: str, version: str) -> None:
    assert metadata.version(package) == version


def test_pins_are_what_is_installed() -> None:
    if not REQUIREMENTS.exists():
        pytest.skip("no requirements.txt in this tree yet")
    lines = [line.partition("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines()]
    asked = [Requirement(line) for line in lines if line]
    here = [one for one in asked if one.marker is None or one.marker.evaluate()]
    pinned = [(one.name, str(one.specifier).removeprefix("==")) for one in here]
    assert set(MEASURED) <= {folded(name) for name, _ in pinned}
    for name, version in pinned:
        assert metadata.version(name) == version, name


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
