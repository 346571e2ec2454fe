"""WebSockets that cost nothing while they are idle; eventlet only.

As it comes, each connection keeps the greenlet of its request, with the HTTP server's buffers,
and another one that writes: 60 KB.  Here the socket is taken out of the request once the
handshake is done, and the request ends.  The hub calls when there is something to read; a
greenlet runs while a message is handled, and no longer.  Who delivers an event writes its frame,
encoded once for everybody, straight to the sockets, to many by one call where the kernel can do
that (`uring.py`); what a socket does not take waits, bounded, until the hub says that there is
room.

Everything works without it: under `ENGINE=off`, in other modes than eventlet's and over TLS
connections are `BlockingWebSocket`s.
"""

from __future__ import annotations

import errno
import logging
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from task_app.realtime.clock import clock
from task_app.realtime.frames import NORMAL, close_frame
from task_app.realtime.outbox import FAREWELL_SECONDS, has_room, is_full
from task_app.realtime.uring import LARGEST, Ring, ring
from task_app.realtime.wire import (
    CLOSE_SECONDS,
    NOBODY,
    READ_BYTES,
    BlockingWebSocket,
    Client,
    WebSocket,
    taken,
)

log = logging.getLogger(__name__)

HELD = 8  # frames that may be held back
PAUSE = 0.01  # between two looks whether a client has read
# From look to look at the same client the pause grows by a quarter, to at most so many seconds:
# a hundred looks a second at each of 150 clients that did not read were a tenth of a core.  One
# that reads has room before the quarter of its queue that may still wait has gone out.
GROWTH, LONGEST_PAUSE = 1.25, 0.25
FEW = 16  # sockets that are written to one after the other
AT_ONCE = 256  # sockets that are written to by one call
STOPPING, STOP_SECONDS = 1012, 1
FULL = (-errno.EAGAIN, -errno.EWOULDBLOCK)
Gathered = defaultdict[bytes, list["DetachedWebSocket"]]  # by the frame that they are to be sent
NONE_WAITING: deque[bytes] = deque(maxlen=0)  # of the connections for which nothing waits


class Engine:
    """Makes the WebSockets.  Off until `start`, which the eventlet start-up calls."""

    hub: Any
    run: Callable[[Callable[[], None]], None]
    spawn: Callable[..., object]
    sleep: Callable[[float], None]

    def __init__(self) -> None:
        self.on = False
        self.open: set[DetachedWebSocket] = set()
        self.buffer = bytearray(READ_BYTES)
        self.view = memoryview(self.buffer)
        self.ring: Ring | None = None
        self.gathered: Gathered | None = None

    def start(self, run: Callable[[Callable[[], None]], None], *, batches: bool) -> None:
        """From here on new connections are detached; what goes to many is written by one call if
        `batches`.  `run` does a job in a greenlet at once; it is called by the hub alone.  Call on
        the hub's thread."""
        import eventlet
        import eventlet.hubs

        self.hub = eventlet.hubs.get_hub()
        self.run = run
        self.spawn, self.sleep = eventlet.spawn_n, eventlet.sleep
        self.ring = ring() if batches else None
        self.on = True

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is put inside goes out at the end, or when it is for `AT_ONCE` sockets.  Nothing
        inside may wait, nor put more than one frame for a socket."""
        if self.ring is None:
            yield
            return
        gathered: Gathered = defaultdict(list)
        self.gathered = gathered
        try:
            yield
        finally:
            self.gathered = None
            for frame, websockets in gathered.items():
                self._write(frame, websockets)

    def gather(self, gathered: Gathered, frame: bytes, websocket: DetachedWebSocket) -> None:
        """Put the frame for one socket, inside `together`."""
        websockets = gathered[frame]
        websockets.append(websocket)
        if len(websockets) == AT_ONCE:  # the first read while the next are gathered
            del gathered[frame]
            self.gathered = None
            self._write(frame, websockets)
            self.gathered = gathered

    def _write(self, frame: bytes, websockets: list[DetachedWebSocket]) -> None:
        if self.ring is None or len(websockets) < FEW or len(frame) > LARGEST:
            for websocket in websockets:
                websocket.put(frame)
            return
        # A descriptor that was closed may be another's by now.
        websockets = [one for one in websockets if not one.closed]
        try:
            sent = self.ring.send([one.descriptor for one in websockets], frame)
        except OSError:
            log.exception("io_uring is not used any more")
            self.ring = None
            for websocket in websockets:
                websocket.abort()  # it may have got the frame or not; its client comes back
            return
        if sent.count(len(frame)) < len(websockets):
            for websocket, result in zip(websockets, sent, strict=True):
                websocket.written(frame, result)

    def websocket(self, environ: Mapping[str, Any], max_message: int) -> WebSocket:
        """The connection of a request that asks for a WebSocket and may have one."""
        connection = environ.get("task_app.connection") if self.on else None
        # TLS keeps state of its own between reads and writes.
        if connection is None or isinstance(connection.socket, ssl.SSLSocket):
            raw, early = taken(environ)
            return BlockingWebSocket(raw, max_message, early)
        raw, early, listener = connection.detach()
        return DetachedWebSocket(raw, max_message, early, listener)

    def stop(self) -> None:
        """End what is still open; clients have `STOP_SECONDS` to take what waits and to answer."""
        for websocket in list(self.open):
            websocket.end(STOPPING, "server_stopping")
        until = time.monotonic() + STOP_SECONDS
        while self.open and time.monotonic() < until:
            self.sleep(PAUSE)


class DetachedWebSocket(WebSocket):
    """One that the hub serves.  `busy` is set while a greenlet does, to the client's messages or
    to its beginning; what the client sends meanwhile waits in the kernel."""

    __slots__ = (
        *("busy", "bytes", "descriptor", "frames", "gone", "held"),
        *("raw", "reading", "write", "writing"),
    )

    def __init__(self, raw: Any, max_message: int, early: bytes, listener: Any) -> None:
        super().__init__(max_message, early)
        self.raw = raw
        self.write = raw.send
        self.descriptor = raw.fileno()
        self.reading = listener  # of the hub
        if listener is not None:
            self._hear(listener, self._readable)
        self.writing: Any = None
        self.frames = NONE_WAITING
        self.bytes = 0
        self.held: list[bytes] | None = None
        self.busy = True
        self.gone = False

    def serve(self, client: Client) -> None:
        """Returns once the client has been begun with, and its first messages handled."""
        self.client = client
        engine.open.add(self)
        client.begin()
        self._work(self._next_for_client())

    # --- reading

    def _readable(self, _: int) -> None:
        """Called by the hub, in its own greenlet: nothing here may wait."""
        if self.busy:
            self._stop_reading()
            return
        try:
            size = self.raw.recv_into(engine.buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.abort()
        elif not self.closed:
            self.heard_at = time.monotonic()
            self.reader.feed(bytes(engine.view[:size]))
            message = self._next_for_client()
            if message is not None:
                self.busy = True
                engine.run(partial(self._work, message))

    def _work(self, message: str | bytes | None) -> None:
        """Handle this message and those that came with it; in a greenlet."""
        self.let_go()
        try:
            while message is not None:
                self.client.handle(message)
                message = self._next_for_client()
                if message is not None:
                    # Messages that came in one segment must not keep the hub from the others.
                    engine.sleep(0)
        except Exception:  # it would stay open and deaf
            log.exception("a message failed")
            self.abort()
        self.busy = False
        if self.reading is None and self.raw.fileno() >= 0:
            self.reading = self._listen(engine.hub.READ, self._readable)

    def _next_for_client(self) -> str | bytes | None:
        """The next message that has to be handled in a greenlet."""
        while (message := self._next_message()) is not None and self.client.took(message):
            pass
        return message

    def _stop_reading(self) -> None:
        if self.reading is not None:
            engine.hub.remove(self.reading)
            self.reading = None

    def _listen(self, what: str, call: Callable[[int], None]) -> Any:
        listener = engine.hub.add(what, self.raw.fileno(), call, _ignore, _ignore)
        self._hear(listener, call)
        return listener

    def _hear(self, listener: Any, call: Callable[[int], None]) -> None:
        """Be called for what this listener of the hub hears."""

        def guarded(descriptor: int) -> None:
            try:
                call(descriptor)
            except Exception:  # the hub would print it and go on calling
                log.exception("a WebSocket failed")
                self.abort()

        listener.cb, listener.tb, listener.mark_as_closed = guarded, _ignore, _ignore
        listener.greenlet = engine.hub.greenlet  # and not the one that has served the request

    # --- writing

    @property
    def waiting(self) -> Collection[bytes]:
        return self.frames

    def backlog(self) -> tuple[int, int]:
        return len(self.frames), self.bytes

    def hold(self) -> None:
        if self.held is None:
            self.held = []

    def let_go(self) -> None:
        if self.held is not None:
            frames, self.held = self.held, None
            if frames:
                self.put(b"".join(frames), always=True)

    def put(self, frame: bytes, *, always: bool = False) -> bool:
        # Called for each client of a fan-out: nothing in the usual case but the kernel's call.
        if self.closed or self.frames or self.held is not None:
            return self._keep(frame, always)
        if engine.gathered is not None and not always:
            engine.gather(engine.gathered, frame, self)
            return True
        try:
            sent = self.write(frame)
        except OSError as error:
            sent = -(error.errno or errno.EIO)
        if sent < len(frame):
            self.written(frame, sent)
        return True

    def written(self, frame: bytes, result: int) -> None:
        """So many bytes of the frame were taken; below zero is an error's number."""
        if result < 0 and result not in FULL:
            self.abort()  # or a replay would go on into nothing: the hub may not be listening
        elif result < len(frame):
            rest = frame[max(result, 0) :]
            self.frames, self.bytes = deque([rest]), len(rest)
            self.writing = self._listen(engine.hub.WRITE, self._writable)

    def _keep(self, frame: bytes, always: bool) -> bool:
        if self.closed:
            return True
        if self.held is not None:
            self.held.append(frame)
            if len(self.held) >= HELD:
                self.let_go()
            return True
        if is_full(len(self.frames), self.bytes) and not always:
            return False
        self.frames.append(frame)
        self.bytes += len(frame)
        return True

    def _writable(self, _: int) -> None:
        """Called by the hub, in its own greenlet."""
        try:
            while self.frames:
                first = self.frames[0]
                sent = self.write(first)
                self.read_at = time.monotonic()
                self.bytes -= sent
                if sent < len(first):
                    self.frames[0] = first[sent:]
                    return
                self.frames.popleft()
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        self._stop_writing()
        if self.closed:
            self._finish_writing()

    def _stop_writing(self) -> None:
        self.frames, self.bytes = NONE_WAITING, 0
        if self.writing is not None:
            engine.hub.remove(self.writing)
            self.writing = None

    def wait_for_room(self, seconds: float) -> bool:
        until, pause = time.monotonic() + seconds, PAUSE
        while not self.closed:
            if has_room(*self.backlog()):
                self.read_at = time.monotonic()
                return True
            self.let_go()
            if time.monotonic() > until:
                return False
            engine.sleep(pause)
            pause = min(pause * GROWTH, LONGEST_PAUSE)
        return False

    # --- the end

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        if self.closed:
            return
        self.let_go()
        self.put(close_frame(code, reason), always=True)
        self.closed = True
        if self.frames:
            clock.after(FAREWELL_SECONDS, self._give_up_writing)
        else:
            self._finish_writing()
        clock.after(CLOSE_SECONDS, self.abort)
        self._tell_client()

    def end(self, code: int, reason: str, *, discard: bool = False) -> None:
        if discard and self.frames:
            # The first may have been written in part.
            self.frames = deque([self.frames[0]])
            self.bytes = len(self.frames[0])
        self.close(code, reason)

    def abort(self) -> None:
        self.closed = True
        self._stop_reading()
        self._stop_writing()
        self.raw.close()
        engine.open.discard(self)
        self._tell_client()
        self.client = NOBODY

    def _finish_writing(self) -> None:
        with suppress(OSError):
            self.raw.shutdown(1)  # SHUT_WR

    def _give_up_writing(self) -> None:
        if self.frames:
            self.abort()

    def _tell_client(self) -> None:
        if not self.gone:
            self.gone = True
            engine.spawn(self.client.gone)


def _ignore(*_: object) -> None:
    """The hub's word to a greenlet that waits for a descriptor: none does."""


engine = Engine()
