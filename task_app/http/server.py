"""Connections on eventlet's hub: a greenlet only while a request is answered.

The hub calls `Connection.readable` when bytes have come; they are parsed there, and a whole
request is handed to a worker, one of the greenlets kept for that.  What a connection may take is
bounded as a whole, by a deadline for each of its states, which one timer looks at.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sized
from contextlib import suppress
from typing import Any

import eventlet
from eventlet import hubs
from eventlet.event import Event
from eventlet.greenio import GreenSocket

from task_app import jsonio, logs
from task_app.errors import AppError
from task_app.http.requests import MAX_HEAD, BadRequest, Requests
from task_app.http.responses import Response
from task_app.http.workers import Workers

log = logging.getLogger(__name__)

READ_BYTES = 65_536
ACCEPT_AT_ONCE = 200  # then others have their turn
QUEUED = 16  # whole requests of one client that may wait; it is not read from then
KEEPALIVE_SECONDS = 20  # without a request
NEW_SECONDS = 0.5  # for the first byte on a new connection, when the server stops
REQUEST_SECONDS = 15  # for a request to come whole, and one more for each
REQUEST_RATE = 8_192  # bytes of it
SEND_SECONDS = 30  # for a client to take a piece of an answer, and one more for each REQUEST_RATE
LINGER_SECONDS = 2  # for a client to see the last answer before the connection is gone
SWEEP_SECONDS = 1
FULL_SECONDS = 0.5  # before trying again when there are no more descriptors
_NEVER = float("inf")
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server:
    """Serves `app` on a listening socket.  `max_body` bounds a request's body, in bytes; `most`
    the connections: those here, and the `others`, which were taken over and go on elsewhere."""

    def __init__(
        self,
        listener: Any,
        app: Application,
        *,
        max_body: int,
        most: int,
        others: Sized = (),
    ) -> None:
        self.listener = getattr(listener, "fd", listener)  # the one below eventlet's
        self.listener.setblocking(False)
        self.app = app
        self.max_body = max_body
        self.most = most
        self.others = others
        self.hub = hubs.get_hub()
        self.workers = Workers()
        self.connections: set[Connection] = set()
        self.stopping = False
        self.all_gone = Event()
        host, port = self.listener.getsockname()[:2]
        self.base = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "SCRIPT_NAME": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
        }
        self.accepting: Any = None

    def start(self) -> None:
        """Accept connections from now on."""
        self._listen()
        eventlet.spawn(self._sweep)

    def stop(self, grace: float, send_away: Callable[[], None]) -> None:
        """Accept no more; return when every request under way is answered, or after `grace`
        seconds.  `send_away` ends the requests that would never end by themselves."""
        self.stopping = True
        if self.accepting is not None:
            self.hub.remove(self.accepting)
            self.accepting = None
        # Whoever is in the listener's queue has connected and may have sent all of a request.
        while self._accept(0):
            pass
        self.listener.close()
        # And who has just connected is about to: a gateway does so for each request, and would
        # have to tell its client that this one failed.  What has come already is read at least.
        eventlet.sleep(NEW_SECONDS if any(one.new for one in self.connections) else 0)
        eventlet.sleep(0)
        send_away()
        for connection in list(self.connections):
            connection.end_if_idle()
        if self.connections:
            with eventlet.Timeout(grace, False):
                self.all_gone.wait()

    def _listen(self) -> None:
        if self.accepting is None and not self.stopping:
            self.accepting = self.hub.add(
                self.hub.READ, self.listener.fileno(), self._accept, None, None
            )

    def _accept(self, _: int) -> bool:
        """Take some of those who wait in the listener's queue.  Whether there may be more."""
        for _ in range(ACCEPT_AT_ONCE):
            if len(self.connections) + len(self.others) >= self.most:
                self._wait_for_room()
                return False
            try:
                accepted, address = self.listener.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    log.warning("no more connections can be taken: %s", error.strerror)
                    self._wait_for_room()
                    return False
                continue  # the client has gone already
            accepted.setblocking(False)
            self.connections.add(Connection(self, accepted, address))
        return True

    def _wait_for_room(self) -> None:
        """Leave the others in the listener's queue for a moment."""
        if self.stopping:
            return
        self.hub.remove(self.accepting)
        self.accepting = None
        self.hub.schedule_call_global(FULL_SECONDS, self._listen)

    def _sweep(self) -> None:
        while True:
            eventlet.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for connection in [one for one in self.connections if one.deadline < now]:
                try:
                    connection.late()
                except Exception:  # one connection's trouble must not keep the others for ever
                    log.exception("a connection could not be ended")

    def forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self.stopping and not self.connections and not self.all_gone.ready():
            self.all_gone.send()


class Connection:
    """One client's connection, until it ends or is taken over (`take`)."""

    __slots__ = (
        *("server", "socket", "address", "requests", "listener", "deadline", "busy"),
        *("new", "fault", "lingering", "taken", "detached", "ended_by_client"),
        *("latest", "owes_continue"),
        "__weakref__",
    )

    def __init__(self, server: Server, accepted: socket.socket, address: Any) -> None:
        self.server = server
        self.socket = accepted
        self.address = address
        base = {**server.base, "REMOTE_ADDR": address[0], "task_app.connection": self}
        self.requests = Requests(base, server.max_body, self._send_continue)
        self.listener: Any = None
        self.busy = False
        self.new = True  # no byte has come yet
        self.fault: BadRequest | None = None
        self.lingering = False
        self.ended_by_client = False
        self.taken = self.detached = False
        self.owes_continue = False
        self.deadline = self.latest = time.monotonic() + REQUEST_SECONDS
        self._read_on()

    def readable(self, _: int) -> None:
        """Called by the hub: bytes have come, or the end of them."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended_by_client()
        elif not self.lingering:
            self._take_in(data)

    def _take_in(self, data: bytes) -> None:
        self.new = False
        was_begun = self.requests.begun
        try:
            self.requests.feed(data)
        except BadRequest as fault:
            self.fault = fault
        if self.busy:
            if not self._has_room():
                self._read_no_more()
        elif self.requests.ready or self.fault:
            self.busy = True
            self.deadline = _NEVER
            self.server.workers.run(self._work)
        elif self.requests.begun:
            if not was_begun:
                self.deadline = time.monotonic() + REQUEST_SECONDS
                self.latest = self.deadline + (MAX_HEAD + self.server.max_body) / REQUEST_RATE
            self.deadline = min(self.deadline + len(data) / REQUEST_RATE, self.latest)

    def _has_room(self) -> bool:
        """Whether more of what the client sends may wait."""
        return len(self.requests.ready) < QUEUED and self.requests.rest is None

    def _work(self) -> None:
        """Answer what has come, and go on waiting or end."""
        try:
            if self._answer_all():
                self._settle()
        except OSError:
            self.close()  # the client has gone
        except BaseException:
            self.close()  # or it would stay for ever, busy
            raise

    def _answer_all(self) -> bool:
        """Answer one request after the other.  Whether the connection goes on after them."""
        while self.requests.ready:
            last = not self._answer(self.requests.ready.popleft())
            if self.taken:
                self.close()
                return False
            if last:
                self._linger()
                return False
            if self.requests.rest is not None:
                self._take_in(self.requests.go_on())
            if self.requests.ready:
                # A client that always has its next request ready would keep the hub.
                eventlet.sleep(0)
            if self._has_room():
                self._read_on()
        return True

    def _settle(self) -> None:
        """Every request that came whole is answered."""
        if self.fault is not None:
            logs.begin_request()
            self._refuse(self.fault)
            self._linger()
        elif self.server.stopping and not self.requests.begun:
            self._linger()
        else:
            self.busy = False
            if self.owes_continue and self.requests.begun:
                self._send_continue()
            begun = self.requests.begun
            self.deadline = time.monotonic() + (REQUEST_SECONDS if begun else KEEPALIVE_SECONDS)
            if self.ended_by_client:
                self.close()

    def _answer(self, environ: dict[str, Any]) -> bool:
        """Answer one request.  Returns whether another may follow."""
        response = Response(self.send, environ, self.server.stopping)
        body: Iterable[bytes] = ()
        try:
            body = self.server.app(environ, response.start)
            if not self.taken:
                response.answer(body)
        except OSError:
            raise
        except Exception:
            log.exception("a request failed")
            if response.begun or self.taken:
                raise ConnectionAbortedError from None
            self._refuse(BadRequest("500 Internal Server Error", "The server could not do this"))
            return False
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return not response.last

    def send(self, data: bytes) -> None:
        """Send all of it.  Raises `OSError` when the client has gone or takes too long."""
        sent = self._send_some(data)
        if sent == len(data):
            return
        rest = memoryview(data)
        until = time.monotonic() + SEND_SECONDS + len(data) / REQUEST_RATE
        while sent < len(data):
            left = max(0.01, until - time.monotonic())
            number = self.socket.fileno()
            hubs.trampoline(number, write=True, timeout=left, timeout_exc=TimeoutError)
            sent += self._send_some(rest[sent:])

    def _send_some(self, data: bytes | memoryview) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    def _send_continue(self) -> None:
        self.owes_continue = self.busy or bool(self.requests.ready)
        if self.owes_continue:
            return  # not into the middle of another answer, nor before it
        with suppress(OSError):  # a client that has gone is noticed by the next read
            self._send_some(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, fault: BadRequest) -> None:
        """Answer what the application never saw, in its shape of an error."""
        status, _, phrase = fault.status.partition(" ")
        code = phrase.lower().replace(" ", "_")
        body = jsonio.dumps_bytes(logs.identified(AppError(code, int(status), fault.message)))
        head = (
            f"HTTP/1.1 {fault.status}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{logs.HEADER}: {logs.request_id()}\r\n"
            "Connection: close\r\n\r\n"
        )
        self.send(head.encode() + body)

    def _linger(self) -> None:
        """End our side, and read away what still comes: the kernel answers it with a reset, and
        the client may never see the answer."""
        self.socket.shutdown(socket.SHUT_WR)
        self.lingering = True
        self.deadline = time.monotonic() + LINGER_SECONDS
        if self.listener is None:
            self.close()

    def late(self) -> None:
        """The deadline has passed."""
        if self.requests.begun and not self.lingering:
            self.busy, self.deadline = True, _NEVER
            self.fault = BadRequest("408 Request Timeout", "The request did not come whole in time")
            self.server.hub.schedule_call_global(0, self.server.workers.run, self._work)
        else:
            self.close()

    def end_if_idle(self) -> None:
        """The server stops: nothing is under way here."""
        if not self.busy and not self.requests.begun:
            self.close()

    def _ended_by_client(self) -> None:
        """It sends no more; what it has sent is answered."""
        self.ended_by_client = True
        self._read_no_more()
        if not self.busy or self.lingering:
            self.close()

    def _read_on(self) -> None:
        if self.listener is None and not self.ended_by_client:
            hub = self.server.hub
            self.listener = hub.add(hub.READ, self.socket.fileno(), self.readable, None, None)

    def _read_no_more(self) -> None:
        if self.listener is not None:
            self.server.hub.remove(self.listener)
            self.listener = None

    def shutdown(self, how: int) -> None:
        """End the connection under whoever waits in it."""
        self.socket.shutdown(how)

    def take(self) -> tuple[GreenSocket, bytes]:
        """Hand the socket over until the application returns, with what was read past the
        request: the server writes nothing more to it, and closes it then."""
        self._read_no_more()
        self.taken = True
        return GreenSocket(self.socket), self.requests.rest or b""

    def detach(self) -> tuple[socket.socket, bytes, Any]:
        """Hand the socket over for good, as `take` does, and with it the hub's listener to what
        comes on it, if there is one: to take that out and another in costs two calls of the
        kernel's."""
        listener, self.listener = self.listener, None
        self.taken = self.detached = True
        return self.socket, self.requests.rest or b"", listener

    def close(self) -> None:
        self._read_no_more()
        self.server.forget(self)
        if not self.detached:
            self.socket.close()
