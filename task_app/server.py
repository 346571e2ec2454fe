"""Listening, signals and a graceful stop, for each ASYNC_MODE.

`socketio.run` is not used: under eventlet it stops at 1 024 connections, queues 50 while it is
busy, shows tracebacks to clients and drops the requests under way when it is told to stop.

Only the standard library is imported at the top: `patch` must run before anything else does.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger(__name__)

BACKLOG = 4096
UNSENT = 1 << 17  # bytes that the kernel keeps for a connection, beside those on their way
CONNECTIONS = 20_000
FAREWELL_SECONDS = 0.3
NEW_SECONDS = 0.5  # for the first request on a new connection, when the server stops
GRACE_SECONDS = 8  # for requests under way; the whole stop stays under ten
HASHING_THREADS = 2
STOPS = frozenset({signal.SIGTERM, signal.SIGINT})


class ListenError(Exception):
    """Why the address cannot be listened on, in one sentence for the operator."""


def patch(mode: str) -> None:
    """Make the standard library green when connections are served by eventlet."""
    if mode == "eventlet":
        # Eventlet is in maintenance and says so at each import; the README says why we use it.
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet
        import prometheus_client  # noqa: F401

        from task_app.http import hub

        hub.use()
        # What counts keeps the system's locks: nobody waits while holding one, and eventlet's,
        # which are written in Python, took a twentieth of a request.
        eventlet.monkey_patch()


def serve(app: Flask) -> None:
    """Serve until SIGTERM or SIGINT.  Raises `ListenError` when the address cannot be had."""
    from task_app import logs

    logs.configure(app.config["LOG_LEVEL"], app.config["LOG_FORMAT"])
    run = {"eventlet": _serve_eventlet, "threading": _serve_threads}[app.config["ASYNC_MODE"]]
    try:
        listener = _listen(app.config["HOST"], app.config["PORT"])
    except OSError as error:
        where = f"{app.config['HOST']}:{app.config['PORT']}"
        reason = str(error.strerror).partition(" (while")[0]  # the address again
        raise ListenError(
            f"{where} cannot be listened on ({reason}); set HOST and PORT to another."
        ) from error
    # What exists now stays: the collector need not walk it again and again.  Half of the tail of a
    # fan-out to 1 000 clients was the collector's.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    run(app, listener)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # For every connection taken on it.  Otherwise the second of two small writes, an ack after an
    # event, waits 40 ms for the client's word that it has the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # As it comes, the kernel takes four megabytes for who does not read: four times what may wait
    # for a client in here, out of sight, and on a slow line a ping stands behind all of it.
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
    return listener


def _announce(app: Flask, port: int) -> None:
    host = app.config["HOST"]
    shown = "localhost" if host in ("127.0.0.1", "0.0.0.0") else host  # noqa: S104
    print(f"Serving on http://{shown}:{port} (Ctrl-C stops)", flush=True)


# The lines of a request's head: CR and LF at the end and no other control character; a token for a
# name, its colon behind it (RFC 9112, sections 2.2, 3 and 5).  The standard library's parser takes
# a lone CR or LF for the end of a line, joins folded lines, and passes over what has no name.
_REQUEST_LINE = re.compile(rb"[\x20-\x7e\x80-\xff]+\r\n")
_HEADER_LINE = re.compile(rb"(?:[\w!#$%&'*+.^`|~-]+:[\t\x20-\x7e\x80-\xff]*)?\r\n")


class _Lines:
    """A file whose lines are kept as they are read."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.kept: list[bytes] = []

    def readline(self, most: int = -1) -> bytes:
        line: bytes = self.file.readline(most)
        self.kept.append(line)
        return line


class StrictRequests:
    """For a `BaseHTTPRequestHandler`: refuses a request whose end two servers could see in two
    places (RFC 9112, sections 2.2, 5 and 6), so that the rest of one cannot pass for another."""

    headers: Any
    raw_requestline: bytes
    rfile: Any
    send_error: Any

    def parse_request(self) -> bool:
        self.rfile = head = _Lines(self.rfile)
        try:
            if not super().parse_request():  # type: ignore[misc]
                return False
        finally:
            self.rfile = head.file
        codings = self.headers.get_all("Transfer-Encoding", [])
        lengths = self.headers.get_all("Content-Length", [])
        good = (
            _REQUEST_LINE.fullmatch(self.raw_requestline) is not None
            and all(_HEADER_LINE.fullmatch(line) for line in head.kept)
            and len(codings) + len(lengths) <= 1
            and all(coding.strip(" \t").lower() == "chunked" for coding in codings)
            and all(length.isascii() and length.isdigit() for length in lengths)
        )
        if not good:
            self.close_connection = True
            self.send_error(400)
        return good


def _say_goodbye(app: Flask) -> bool:
    """End every socket and stream; their clients come back, to whoever serves then.  Returns
    whether there were any."""
    from task_app import jobs

    some = _end_connections()
    jobs.stop(app)
    return some


def _end_connections() -> bool:
    from task_app.extensions import socketio
    from task_app.realtime.feeds import feeds

    subscribers, sessions = list(feeds.connected), list(socketio.server.eio.sockets.values())
    for subscriber in subscribers:
        subscriber.end("server_stopping")
    for session in sessions:
        session.close()  # those that have never become anybody's
    return bool(subscribers or sessions)


def _send_away() -> None:
    """End those who came back before nobody was let in any more, and whoever is on the way:
    a stream would keep the process until its grace is over, and its client from everybody else."""
    from task_app.realtime.feeds import feeds

    feeds.closing = True
    _end_connections()


def _serve_eventlet(app: Flask, listener: Any) -> None:
    import eventlet
    import eventlet.hubs
    import eventlet.tpool

    from task_app import jobs
    from task_app.extensions import hub_turns, offload
    from task_app.http.server import Server
    from task_app.realtime.engine import engine
    from task_app.realtime.feeds import feeds

    eventlet.tpool.set_num_threads(HASHING_THREADS)
    offload.runner = eventlet.tpool.execute
    hub: Any = eventlet.hubs.get_hub()
    hub_turns.count = lambda: hub.turn
    signals = _signal_pipe()
    jobs.start(app)
    http = Server(
        listener,
        app,
        max_body=app.config["MAX_CONTENT_LENGTH"],
        most=CONNECTIONS,
        others=engine.open,
    )
    if app.config["ENGINE"] == "on":
        engine.start(http.workers.run, batches=app.config["IO_URING"] == "on")
        feeds.together = engine.together
    http.start()
    _announce(app, listener.getsockname()[1])
    # A signal handler that spawns a greenlet would not wake the hub; a readable pipe does.
    _until_told(signals, lambda: eventlet.hubs.trampoline(signals, read=True))
    log.info("stopping")
    if _say_goodbye(app):
        eventlet.sleep(FAREWELL_SECONDS)
    http.stop(GRACE_SECONDS, _send_away)
    if engine.on:
        engine.stop()


def _signal_pipe() -> int:
    """The end of a pipe from which the number of each signal can be read that Python handles.

    Python runs a handler in the main thread only, and nothing wakes that thread from a lock when
    the signal came to another one; the pipe is written to wherever the signal came.
    """
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in STOPS:
        signal.signal(number, lambda *_: None)
    return readable


def _until_told(signals: int, readable: Callable[[], object] = lambda: None) -> None:
    """Until SIGTERM or SIGINT has come; `readable` waits until something has.  A signal that
    somebody else's handler is for is none of ours."""
    while True:
        readable()
        if not STOPS.isdisjoint(os.read(signals, 1024)):
            return


def _threaded(under_way: _UnderWay, listener: socket.socket) -> Any:
    """Werkzeug's server, a thread for each connection; takes the listener over."""
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

    class Handler(StrictRequests, WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections

        def version_string(self) -> str:
            return "task-server"  # no versions for whoever looks for old ones

        def log(self, type: str, message: str, *args: Any) -> None:
            """No access log, as under eventlet."""

        def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
            """A WebSocket ends this way too: its connection cannot carry another request."""
            self.close_connection = True

    class Server(ThreadedWSGIServer):
        daemon_threads = True
        timeout = 0  # seconds for which `handle_request` waits for a connection
        drained = False

        def handle_timeout(self) -> None:
            self.drained = True

        def process_request(self, request: Any, client_address: Any) -> None:
            under_way.connected(request)
            super().process_request(request, client_address)

        def shutdown_request(self, request: Any) -> None:
            under_way.gone(request)
            super().shutdown_request(request)

    host, port = listener.getsockname()[:2]
    # Given a descriptor, werkzeug duplicates it; left to bind by itself, it exits in its own words.
    server = Server(host, port, under_way, handler=Handler, fd=listener.fileno())
    listener.close()
    return server


def _serve_threads(app: Flask, listener: socket.socket) -> None:
    from socketserver import BaseServer

    from task_app import jobs

    under_way = _UnderWay(app)
    port = listener.getsockname()[1]
    server = _threaded(under_way, listener)
    signals = _signal_pipe()
    jobs.start(app)
    # Not werkzeug's: it closes the listener at once, under whoever is in its queue.
    threading.Thread(target=BaseServer.serve_forever, args=(server,), daemon=True).start()
    _announce(app, port)
    _until_told(signals)
    log.info("stopping")
    _say_goodbye(app)
    time.sleep(FAREWELL_SECONDS)  # what was sent before the stop is let in
    server.shutdown()
    # Whoever is in the queue has connected and may have sent all of a request, or is about to.
    while not server.drained:
        server.handle_request()
    server.server_close()
    under_way.wait_for_new(NEW_SECONDS)
    _send_away()
    under_way.wait(GRACE_SECONDS)


class _UnderWay:
    """A WSGI application around another that knows how many requests are in it, and from which
    connections none has come yet."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.count = 0
        self.new: set[Any] = set()
        self.changed = threading.Condition()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        from werkzeug.wsgi import ClosingIterator

        self._add(1)
        self.gone(environ.get("werkzeug.socket"))
        try:
            # Werkzeug reads away what an application has left of a body, and waits for ten
            # megabytes of it: a DELETE whose body came late was never ended.
            length = environ.get("CONTENT_LENGTH", "")
            if length and int(length) <= self.app.config["MAX_CONTENT_LENGTH"]:
                environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(length)))
            body = self.app(environ, start_response)
        except BaseException:
            self._add(-1)
            raise
        return ClosingIterator(body, lambda: self._add(-1))

    def _add(self, number: int) -> None:
        with self.changed:
            self.count += number
            self.changed.notify_all()

    def connected(self, connection: Any) -> None:
        """Whoever has connected is about to send a request."""
        with self.changed:
            self.new.add(connection)

    def gone(self, connection: Any) -> None:
        """It has sent one, or it ended."""
        with self.changed:
            self.new.discard(connection)
            self.changed.notify_all()

    def wait_for_new(self, seconds: float) -> None:
        """Until every connection has sent a request, or `seconds` have passed."""
        with self.changed:
            self.changed.wait_for(lambda: not self.new, seconds)

    def wait(self, seconds: float) -> None:
        """Until no request is left, or `seconds` have passed."""
        with self.changed:
            self.changed.wait_for(lambda: not self.count, seconds)
