"""How an event's bytes reach many sockets fast; eventlet only.

Without it each frame goes through a queue, a switch to the connection's writer and back.  With it
the greenlet that delivers writes the frame, encoded once for everybody, straight to each socket;
only a socket that would block is left to its writer.  Everything works without it (`ENGINE=off`).
"""

from __future__ import annotations

import ssl
from typing import Any

from task_app.extensions import socketio
from task_app.realtime.wire import WebSocket


class Engine:
    """`on` is set by the eventlet start-up.  Off, every frame is left to the writers."""

    def __init__(self) -> None:
        self.on = False

    def offer(self, websocket: WebSocket, frame: bytes) -> bool:
        """Write the frame now.  False when it must wait its turn: somebody is writing, or the
        socket would block.

        Never waits and never raises; the caller has seen to it that nothing is queued before.
        Nothing here yields, so nobody else can begin to write in between.
        """
        if not self.on or websocket.closed:
            return websocket.closed
        # The real socket below eventlet's: it does not block and its send does not yield.
        raw = getattr(websocket.socket, "fd", None)
        if raw is None or isinstance(raw, ssl.SSLSocket):
            return False  # TLS keeps state of its own between writes
        if not websocket.lock.acquire(blocking=False):
            return False
        kept = False
        try:
            sent = raw.send(frame)
            kept = 0 < sent < len(frame)
            if kept:  # the rest before anything else: the lock goes with it
                socketio.start_background_task(self._finish, websocket, frame[sent:])
            return bool(sent)
        except BlockingIOError:
            return False
        except OSError:
            return True  # the connection is gone; its reader is about to notice
        finally:
            if not kept:
                websocket.lock.release()

    def _finish(self, websocket: Any, rest: bytes) -> None:
        try:
            websocket.socket.sendall(rest)
        except OSError:
            websocket.abort()
        finally:
            websocket.lock.release()


engine = Engine()
