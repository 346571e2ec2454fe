"""What a WSGI application answers, as bytes: whole in one write where it can be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from itertools import chain
from typing import Any

# Answers up to this many bytes leave in one piece with their head.
WHOLE = 1 << 20
_BODILESS = ("204", "304")


class Response:
    """One answer.  `send(data)` writes, waiting for a slow reader; `last` says that no other
    request follows on the connection (after `answer`: whether it must be closed)."""

    __slots__ = ("begun", "headers", "last", "method", "send", "status", "version")

    def __init__(self, send: Callable[[bytes], None], environ: dict[str, Any], last: bool) -> None:
        self.send = send
        self.method: str = environ["REQUEST_METHOD"]
        self.version: str = environ["SERVER_PROTOCOL"]
        self.last = last or not environ["task_app.keep_alive"]
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.begun = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """WSGI's `start_response`.  There is no `write`: an application returns its body."""
        if exc_info is not None and self.begun:
            raise exc_info[1].with_traceback(exc_info[2])
        self.status, self.headers = status, headers
        return _no_write

    def answer(self, body: Iterable[bytes]) -> None:
        """Send the head and the body.  Raises ValueError when the body is not as long as the head
        says: whatever follows on the connection would be taken for a part of it."""
        if not self.status:
            # PEP 3333 lets an application wait with its head until its first piece is asked for.
            rest = iter(body)
            body = chain([next(rest, b"")], rest)
        length = self._length()
        if self.status[:3] in _BODILESS or self.method == "HEAD":
            self._begin(self._head(length, False))
        elif length is not None and length <= WHOLE:
            data = b"".join(body)
            if len(data) != length:
                raise _wrong_length(len(data), length)
            self._begin(self._head(length, False) + data)
        else:
            self._stream(body, length)

    def _stream(self, body: Iterable[bytes], length: int | None) -> None:
        chunked = length is None and self.version == "HTTP/1.1"
        self.last = self.last or (length is None and not chunked)
        self._begin(self._head(length, chunked))
        sent = 0
        for data in body:
            sent += len(data)
            if length is not None and sent > length:
                raise _wrong_length(sent, length)
            if data:
                self.send(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
        if length is not None and sent != length:
            raise _wrong_length(sent, length)
        if chunked:
            self.send(b"0\r\n\r\n")

    def _begin(self, data: bytes) -> None:
        self.begun = True
        self.send(data)

    def _length(self) -> int | None:
        for name, value in self.headers:
            if name.lower() == "content-length":
                return int(value)
        return None

    def _head(self, length: int | None, chunked: bool) -> bytes:
        lines = [f"{self.version} {self.status}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(_date_line())
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if self.last:
            lines.append("Connection: close")
        elif self.version == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        lines.append("\r\n")
        return "\r\n".join(lines).encode("latin-1")


def _wrong_length(found: int, said: int) -> ValueError:
    return ValueError(f"an answer of {found} bytes says that it has {said}")


def _no_write(data: bytes) -> None:
    raise NotImplementedError("an application returns its body")


_date = (0, "")


def _date_line() -> str:
    """The `Date` line, made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, f"Date: {formatdate(now, usegmt=True)}")
    return _date[1]
