"""A network between a browser and a server that can be lost and come back."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

RESET = struct.pack("ii", 1, 0)  # closed without a farewell, as a broken line is
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Network:
    """A port of 127.0.0.1 that leads to another until it is `cut`, and again once mended."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.whole = True
        self.instead = b""
        self.flowing = threading.Event()
        self.flowing.set()
        self.lines: set[socket.socket] = set()
        self.lock = threading.Lock()
        self.door = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self, instead: bytes = b"") -> None:
        """Every connection breaks, and whoever comes is turned away, or answered with this."""
        with self.lock:
            self.whole, self.instead = False, instead
            broken, self.lines = self.lines, set()
        for line in broken:
            _break(line)
        self.flowing.set()

    def still(self) -> None:
        """Connections stay, and are made, but nothing gets through."""
        self.flowing.clear()

    def mend(self) -> None:
        with self.lock:
            self.whole = True
        self.flowing.set()

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()

    def _listen(self) -> None:
        with suppress(OSError):  # until the door is closed
            while True:
                self._connect(self.door.accept()[0])

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            _break(near)
            return
        with self.lock:
            if self.whole:
                self.lines |= {near, far}
        if near not in self.lines:
            _answer(near, self.instead)
            _break(far)
            return
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65536):
                self.flowing.wait()
                other.sendall(piece)
        with self.lock:
            self.lines -= {one, other}
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _break(line: socket.socket) -> None:
    with suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)  # wakes who reads from it
    line.close()


def _answer(line: socket.socket, answer: bytes) -> None:
    if not answer:
        _break(line)
        return
    with suppress(OSError), line:
        line.recv(65536)
        line.sendall(answer)
