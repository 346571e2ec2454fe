"""Bytes in, WSGI environments out.  llhttp (Node's parser, by httptools) reads; this adds what
it leaves to a server: bounds, and the few requests it takes that two servers may read in two ways.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

MAX_HEAD = 32_768  # bytes of the request line and the header lines
MAX_AROUND = 131_072  # bytes of a chunked body that are none of its own, beside six for each
MAX_TARGET = 8_192  # bytes of the request line's target
MAX_HEADERS = 100
# Names of header lines as environments have them.  Clients can invent any number of others.
_KNOWN_NAMES = 500
_environ_names: dict[bytes, str] = {
    b"content-type": "CONTENT_TYPE",
    b"Content-Type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
    b"Content-Length": "CONTENT_LENGTH",
}


class BadRequest(Exception):
    """What cannot be read; the connection ends with `status` (an HTTP status and its phrase)."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Requests:
    """The requests of one connection, in order.

    `base` is what every environment begins with; a body may have `max_body` bytes.  Whole
    requests wait in `ready`; `begun` says that a part of another has come; `ended` that nothing
    more is read; `rest` is what follows a request to change the protocol (a WebSocket's first
    frames).  `expects` is called when a client waits to be told to send its body.
    """

    __slots__ = (
        *("base", "max_body", "expects", "ready", "begun", "ended", "rest"),
        *("_parser", "_fault", "_url", "_environ", "_lines", "_in_head", "_head", "_body"),
        *("_line", "_after_head", "_size"),
    )

    def __init__(self, base: Mapping[str, Any], max_body: int, expects: Callable[[], None]) -> None:
        self.base = base
        self.max_body = max_body
        self.expects = expects
        self.ready: deque[dict[str, Any]] = deque()
        self.begun = False
        self.ended = False
        self.rest: bytes | None = None
        self._fault: BadRequest | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._start()

    def feed(self, data: bytes) -> None:
        """Take what the client sent.  Raises `BadRequest`; what was whole before is in `ready`."""
        if self.rest is not None:
            self.rest += data
            return
        if self.ended:
            return
        begun, in_head, lines = self.begun, self._in_head, self._lines
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self.ended:
                self.ended = True
                raise self._fault or BadRequest("400 Bad Request", str(error)) from error
        if begun and self.begun:
            self._count(len(data), in_head, self._lines != lines)

    def _count(self, number: int, in_head: bool, more_lines: bool) -> None:
        """Bound what a request under way makes us keep.  Raises `BadRequest`."""
        if in_head and self._in_head:
            # Of a line whose end has not come; what ended before is in `_head`.
            if more_lines:
                self._line = 0
            self._line += number
            too_long = self._head + self._line > MAX_HEAD
        else:
            # Around a body that comes in chunks: their lengths (six bytes for one, if somebody
            # wants it), their extensions, and a trailer that never ends.
            self._after_head += number
            too_long = self._after_head > MAX_AROUND + 6 * self._size
        if too_long:
            self.ended = True
            raise _too_long()

    def go_on(self) -> bytes:
        """The request to change the protocol is answered like any other.  Returns what came
        after it, to be fed again."""
        rest, self.rest = self.rest or b"", None
        self._parser = httptools.HttpRequestParser(self)
        return rest

    def _upgrade(self, rest: bytes) -> None:
        """llhttp takes the rest of the connection for another protocol, a body with it."""
        if self.ready[-1].get("CONTENT_LENGTH", "0") != "0" or "wsgi.chunked" in self.ready[-1]:
            self.ready.pop()
            self.ended = True
            raise BadRequest("400 Bad Request", "A request to change the protocol has no body")
        self.rest = rest

    def _start(self) -> None:
        self._url = b""
        self._environ: dict[str, Any] = {}
        self._lines = 0
        self._in_head = True
        self._head = 0
        self._line = 0
        self._after_head = 0
        self._body: list[bytes] = []
        self._size = 0

    # --- called by the parser

    def on_message_begin(self) -> None:
        self._start()
        self.begun = True

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MAX_TARGET:
            self._fail("414 URI Too Long", f"A request's target is at most {MAX_TARGET} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: nobody reads one
        self._lines += 1
        self._head += len(name) + len(value)
        if self._lines > MAX_HEADERS or self._head > MAX_HEAD:
            self._fault = _too_long()
            raise self._fault
        if b"_" in name:
            return  # X_Forwarded_For would pass for X-Forwarded-For
        key = _environ_names.get(name) or _environ_name(name)
        environ = self._environ
        if key not in environ:
            environ[key] = value.decode("latin-1")
            return
        # One field in several lines (RFC 9110, section 5.2).
        if key == "HTTP_HOST":
            self._fail("400 Bad Request", "A request has one Host")
        environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_head = False
        environ = self._environ
        version = self._parser.get_http_version()
        if version == "1.1":
            if "HTTP_HOST" not in environ:
                self._fail("400 Bad Request", "A request has one Host")
        elif version != "1.0" or "HTTP_TRANSFER_ENCODING" in environ:
            self._fail("400 Bad Request", "This server speaks HTTP/1.1 and 1.0")
        if "HTTP_TRANSFER_ENCODING" in environ:
            if environ["HTTP_TRANSFER_ENCODING"].strip(" \t").lower() != "chunked":
                self._fail("400 Bad Request", "The one transfer coding here is chunked")
            environ["wsgi.chunked"] = True
        elif "CONTENT_LENGTH" in environ:
            environ["CONTENT_LENGTH"] = environ["CONTENT_LENGTH"].strip()
            if int(environ["CONTENT_LENGTH"]) > self.max_body:
                self._finish_early()
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self.expects()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._size += len(body)
        if self._size > self.max_body:
            self._finish_early()

    def on_message_complete(self) -> None:
        self._finish(keep=self._parser.should_keep_alive())

    def _finish_early(self) -> None:
        """A body that is too long is for the application to refuse, in its own words: it sees the
        length, or one byte too many.  Nothing after it is read."""
        self._finish(keep=False)
        del self.ready[-1]["task_app.body"]
        raise EOFError

    def _finish(self, *, keep: bool) -> None:
        path, _, query = self._url.partition(b"?")
        if not path.startswith(b"/") and path != b"*":
            path = urlsplit(path).path or b"/"  # a whole URL, as for a proxy
        if b"%" in path:
            path = unquote_to_bytes(path)
        body = b"".join(self._body)
        self.ready.append(
            {
                **self.base,
                "REQUEST_METHOD": self._parser.get_method().decode("latin-1"),
                "PATH_INFO": path.decode("latin-1"),
                "QUERY_STRING": query.decode("latin-1"),
                "SERVER_PROTOCOL": f"HTTP/{self._parser.get_http_version()}",
                "wsgi.input": BytesIO(body),
                "task_app.body": body,
                "task_app.keep_alive": keep,
                **self._environ,
            }
        )
        self.begun = False
        self.ended = not keep

    def _fail(self, status: str, message: str) -> None:
        """Stop the parser: it makes an error of its own of any exception in a callback."""
        self._fault = BadRequest(status, message)
        raise self._fault


def _too_long() -> BadRequest:
    return BadRequest("431 Request Header Fields Too Large", "The request's head is too long")


def _environ_name(name: bytes) -> str:
    key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    if key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        key = key[5:]
    if len(_environ_names) < _KNOWN_NAMES and len(name) < 50:
        _environ_names[name] = key
    return key
