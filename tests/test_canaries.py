"""Parts of the stack that are not promised to us and that we lean on (FINDINGS): when one
changes, this says so before anything subtler does."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata

import engineio
import flask
import flask_limiter
import flask_restful
import jwt
import pytest
import socketio
from engineio.base_socket import BaseSocket
from engineio.socket import Socket
from flask.ctx import AppContext, RequestContext
from werkzeug.routing import Rule
from werkzeug.test import EnvironBuilder

from task_app import own_tokens
from task_app.application import Application, Asked, Context, Place, Route
from task_app.extensions import Database
from task_app.measured import VERSIONS
from task_app.realtime import handlers, sessions
from task_app.realtime.sessions import Session
from task_app.resources import JsonApi
from tests.support.server import ROOT

SECRET = "a secret that is as long as it should be, and then some" * 2


@pytest.mark.parametrize(("package", "version"), VERSIONS.items())
def test_installed_is_what_was_measured(package: str, version: str) -> None:
    assert metadata.version(package) == version


def test_a_packet_can_be_sent_encoded() -> None:
    """`handlers.Connection.send` gives one packet to many connections."""
    assert [*inspect.signature(engineio.Server.send_packet).parameters] == ["self", "sid", "pkt"]
    packet = engineio.packet.Packet(engineio.packet.MESSAGE, '2["x"]')
    assert packet.encode() == '42["x"]'


def test_how_a_client_enters_the_namespace() -> None:
    """`handlers.register` puts a method of ours in its place."""
    theirs = inspect.signature(socketio.Server._handle_connect)
    ours = inspect.signature(handlers.TaskNamespace.connect)
    assert len(theirs.parameters) == len(ours.parameters)
    source = inspect.getsource(socketio.Server)
    assert source.count("_handle_connect(") == 2  # where it is, and
    assert "self._handle_connect(eio_sid, pkt.namespace, pkt.data)" in source
    server = socketio.Server(async_mode="threading", client_manager=handlers.Manager())
    server.manager.set_server(server)
    server.eio.handlers["connect"]("e", environ := {})
    assert server.environ["e"] is environ
    sid = server.manager.pre_connect("e", "/")
    assert not server.manager.is_connected(sid, "/")
    assert server.manager.pre_connect("e", "/") is None  # who is in already
    assert server.manager.connect(sid, "/") == sid and server.manager.is_connected(sid, "/")


def test_what_a_session_of_engine_io_is() -> None:
    """`sessions.Session` sets these itself, and puts its own methods in the place of others."""
    server = engineio.Server(async_mode="threading")
    known = {"server", "sid", "queue", "last_ping", "connected", "upgrading", "upgraded"}
    assert vars(BaseSocket(server, "s")).keys() == known | {"closing", "closed", "session"}
    own = {name for name in vars(Session) if not name.startswith("__")}
    replaced = {"send", "receive", "schedule_ping", "handle_post_request", "close"}
    replaced |= {"_upgrade_websocket"}
    # A client's first message goes to the server at once, as the parent's `receive` would pass it.
    assert "self.server._trigger_event('message', self.sid, pkt.data" in inspect.getsource(Socket)
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
    server = socketio.Server(async_mode="threading", client_manager=handlers.Manager())
    manager = server.manager
    manager.set_server(server)
    sid = manager.pre_connect("e", "/")
    socketio.Manager.connect(manager, sid, "/")
    assert [*manager.rooms["/"]] == [None]
    assert manager.is_connected(sid, "/") and manager.can_disconnect(sid, "/")
    assert manager.eio_sid_from_sid(sid, "/") == "e" and manager.sid_from_eio_sid("e", "/") == sid
    manager.disconnect(sid, "/")
    assert not manager.is_connected(sid, "/") and not manager.rooms


def _tokens_to_compare() -> Iterator[str]:
    """A good token of ours, and what somebody may have made of it."""
    good = jwt.encode({"iss": "us", "exp": time.time() + 60, "sub": "1"}, SECRET, "HS256")
    head, claims, signature = good.split(".")
    yield good
    for part in (head, claims, signature):
        for changed in (part + "!", part[:-1], part + "A", part[:5] + "\n" + part[5:]):
            yield good.replace(part, changed)
    standing_for_the_same = signature[:-1] + chr(ord(signature[-1]) + 1)
    yield from (f"{head}.{claims}.{standing_for_the_same}", f"{head}.{claims}", "", "..", "a.b.c.d")
    for claims_of_another in ({"iss": "them"}, {"iss": "us", "exp": 1}, {}):
        yield jwt.encode(claims_of_another, SECRET, "HS256")
    yield jwt.encode({"iss": "us"}, SECRET, "HS512")
    yield jwt.encode({"iss": "us"}, None, "none")
    yield jwt.encode({"iss": "us"}, SECRET[1:], "HS256")


def _reading(decode: Callable[[], dict[str, object]]) -> object:
    try:
        return decode()
    except (jwt.PyJWTError, ValueError):
        return "refused"


def test_our_own_tokens_are_read_as_pyjwt_reads_them() -> None:
    """`own_tokens` changes how a token's parts are decoded and when its secret is looked at."""
    seen = set()
    for token in _tokens_to_compare():
        theirs = _reading(lambda: jwt.decode(token, SECRET, ["HS256"], issuer="us"))  # noqa: B023
        ours = _reading(lambda: own_tokens.decode(token, SECRET, "us"))  # noqa: B023
        assert ours == theirs, token
        seen.add(ours == "refused")
    assert seen == {True, False}
    padded = next(_tokens_to_compare()) + "="  # PyJWT takes it; nothing of ours made it
    assert _reading(lambda: own_tokens.decode(padded, SECRET, "us")) == "refused"
    assert own_tokens._decoder._jws.get_algorithms() == ["HS256"]
    assert own_tokens._Secret.prepare_key.cache_info().hits
    with pytest.raises(jwt.InvalidKeyError):  # another's public key is no secret
        own_tokens.decode(jwt.encode({"iss": "us"}, SECRET, "HS256"), '{"kty": "RSA"}', "us")


HUB = """
import eventlet, eventlet.hubs, greenlet, socket
hub = eventlet.hubs.get_hub()
taken, theirs = socket.socketpair()
taken.setblocking(False)
called, done = [], eventlet.event.Event()
def readable(descriptor):
    assert greenlet.getcurrent() is hub.greenlet and descriptor == taken.fileno()
    called.append(taken.recv(9))
    hub.remove(listener)
    eventlet.spawn_n(done.send, None)
listener = hub.add(hub.READ, taken.fileno(), print, None, None)
assert listener.greenlet is greenlet.getcurrent()
listener.cb, listener.tb, listener.mark_as_closed = readable, print, print  # it changes hands
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


def test_signatures_of_what_is_overridden() -> None:
    given = inspect.signature(flask_restful.Api.error_router)
    assert [*given.parameters] == ["self", "original_handler", "e"]
    assert JsonApi.error_router is not flask_restful.Api.error_router
    assert callable(socketio.Manager.is_connected)


def test_what_flask_does_for_each_request() -> None:
    """`Application` puts its own in the place of these, and is called in theirs."""
    steps = inspect.getsource(flask.Flask.wsgi_app)
    assert "ctx = self.request_context(environ)" in steps
    assert "response = self.full_dispatch_request()" in steps
    assert "self.process_response(response)" in inspect.getsource(flask.Flask.finalize_request)
    pairs: list[tuple[type, type, tuple[str, ...]]] = [
        (
            Application,
            flask.Flask,
            (
                *("full_dispatch_request", "dispatch_request", "preprocess_request"),
                *("process_response", "do_teardown_request", "do_teardown_appcontext"),
                *("create_url_adapter", "request_context", "app_context"),
                "make_default_options_response",
            ),
        ),
        (Context, RequestContext, ("push", "pop", "match_request")),
        (Place, AppContext, ("__init__", "push", "pop")),
        (Asked, flask.Request, ("__init__",)),
    ]
    for one, other, names in pairs:
        for name in names:
            ours, theirs = (inspect.signature(getattr(it, name)) for it in (one, other))
            assert [*ours.parameters] == [*theirs.parameters], name


def test_rules_make_functions_that_make_urls() -> None:
    """`Route` puts off compiling them until they are called."""
    steps = inspect.getsource(Rule.compile)
    for name, argument in (("_build", "False"), ("_build_unknown", "True")):
        assert f"self.{name} = self._compile_builder({argument}).__get__(self, None)" in steps
    ours, theirs = (inspect.signature(one._compile_builder) for one in (Route, Rule))
    assert [*ours.parameters] == [*theirs.parameters]


def test_contexts_and_requests_hold_what_flasks_do() -> None:
    """`Application`'s set by themselves what these set; a request's parts are what Werkzeug makes
    of the same environment."""
    environ = EnvironBuilder(
        "/täsks//é", base_url="http://here:81/", query_string="a=ü&b=%2f", headers={"X-One": "1"}
    ).get_environ()
    ours, theirs = Asked(dict(environ)), flask.Request(dict(environ))
    for name in vars(theirs).keys() - {"environ", "headers"}:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert [*ours.headers] == [*theirs.headers] and ours.host == theirs.host == "here:81"
    plain, own = flask.Flask(__name__), Application(__name__)
    for one, other in (
        (plain.app_context(), own.app_context()),
        (plain.request_context(environ), own.request_context(environ)),
    ):
        assert not [name for name in vars(one) if not hasattr(other, name)]


def test_what_flask_does_with_what_views_answer() -> None:
    """`JsonApi.output` and `CommandResource.dispatch_request` leave it out: all it does with a
    response is to pass it on."""
    for steps in (flask_restful.Api.output, flask_restful.Resource.dispatch_request):
        source = inspect.getsource(steps)
        assert "if isinstance(resp, ResponseBase):" in source, steps
    given = inspect.signature(flask_restful.Api.output)
    assert [*given.parameters] == ["self", "resource"]
    assert "self.output(resource.as_view(" in inspect.getsource(flask_restful.Api._register_view)


def test_a_session_of_sqlalchemys_ends_with_its_context() -> None:
    """`extensions.Database` looks for one where Flask-SQLAlchemy keeps them."""
    own = Application(__name__)
    own.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    database = Database()
    database.init_app(own)
    with own.app_context():
        assert not database.session.registry.registry
        database.session()
        assert database.session.registry.registry
    assert not database.session.registry.registry


def test_what_flask_limiter_asks_before_each_request() -> None:
    """`ViewLimiter` lets it ask only where a view has a limit."""
    given = inspect.signature(flask_limiter.Limiter._check_request_limit)
    assert [*given.parameters] == ["self", "callable_name", "in_middleware"]


def test_locks_of_the_metrics_are_the_systems() -> None:
    """`server.patch` imports them before eventlet puts its own in the place of the system's."""
    program = "from task_app import server; server.patch('eventlet'); import prometheus_client"
    program += "; print(type(prometheus_client.Counter('c', '')._value._lock))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert "'_thread.lock'" in done.stdout, done.stderr


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
