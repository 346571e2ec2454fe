"""WebSocket frames from bytes and to bytes (RFC 6455, section 5); neither reads nor writes.

An idle connection's reader holds no buffer.  Masks are undone with an exclusive-or of two big
integers: three milliseconds for a megabyte, where a loop over its bytes takes 240.
"""

from __future__ import annotations

import codecs
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DATA, CONTROL = (CONTINUATION, TEXT, BINARY), (CLOSE, PING, PONG)
FIN, RESERVED, MASKED = 0x80, 0x70, 0x80
LONGEST_CONTROL = 125
PIECE = 1 << 16  # bytes that are unmasked at once; whole masks
NORMAL, GOING_AWAY, PROTOCOL_ERROR, BAD_TEXT, POLICY, TOO_BIG = 1000, 1001, 1002, 1007, 1008, 1009
# Codes that a close frame may carry (section 7.4 and IANA's registry).
CLOSE_CODES = frozenset([*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)])
_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class FrameError(Exception):
    """The client broke a rule; `code` is the close code that says which."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def frame(message: str | bytes) -> bytes:
    """One whole message as the frame a server sends (section 5.2): unmasked, so that it is the
    same for every client and made once."""
    if isinstance(message, str):
        return _frame(TEXT, message.encode())
    return _frame(BINARY, message)


def control_frame(opcode: int, payload: bytes = b"") -> bytes:
    """A ping or a pong; the payload has at most 125 bytes."""
    return _frame(opcode, payload)


def close_frame(code: int, reason: str) -> bytes:
    return _frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[: LONGEST_CONTROL - 2])


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((FIN | opcode, length)) + payload
    if length < 1 << 16:
        return bytes((FIN | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((FIN | opcode, 127)) + length.to_bytes(8, "big") + payload


def unmask(mask: bytes | bytearray, payload: bytes | bytearray | memoryview) -> bytes:
    """Section 5.3.  A long one in pieces: at once, a megabyte was there four times over meanwhile,
    and it took twice as long."""
    length = len(payload)
    if length > PIECE:
        pieces = memoryview(payload)
        return b"".join([unmask(mask, pieces[at : at + PIECE]) for at in range(0, length, PIECE)])
    key = (bytes(mask) * (length // 4 + 1))[:length]
    clear = int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")
    return clear.to_bytes(length, "little")


class FrameReader:
    """What one client sends, frame by frame.  `limit` bounds a message, in bytes, whole or in
    fragments; what is announced to be longer is refused before it has come."""

    __slots__ = ("at", "data", "decoder", "limit", "opcode", "parts", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data: bytes | bytearray = b""
        self.at = 0  # where the next frame begins
        self.opcode: int | None = None  # of the message whose fragments are coming
        self.parts: list[Any] = []
        self.size = 0  # of these fragments, in bytes
        self.decoder: Any = None

    def feed(self, data: bytes) -> None:
        """Take what was received.  Call when `next` has nothing more."""
        if not self.data:
            self.data = data
        elif isinstance(self.data, bytearray):
            self.data += data
        else:
            self.data = bytearray(self.data) + data

    def next(self) -> tuple[int, Any] | None:
        """The next frame as its opcode and what it means; None until more has come.

        A whole message is (TEXT, str) or (BINARY, bytes), each of its fragments but the last
        (CONTINUATION, None); (PING, bytes), (PONG, bytes); (CLOSE, the code to answer with).
        Raises `FrameError`; the connection must be closed then.
        """
        head = self._head()
        if head is None or len(self.data) < head[3]:
            self._tidy()
            return None
        first, opcode, start, end = head
        payload = unmask(self.data[start - 4 : start], self.data[start:end]) if end > start else b""
        self.at = end
        if opcode in CONTROL:
            return opcode, _close_code(payload) if opcode == CLOSE else payload
        if first & FIN and self.opcode is None:
            return opcode, _text(payload) if opcode == TEXT else payload
        return self._fragment(bool(first & FIN), opcode, payload)

    def _tidy(self) -> None:
        """Forget what was read."""
        if self.at:
            self.data = self.data[self.at :]
            self.at = 0

    def _head(self) -> tuple[int, int, int, int] | None:
        """First byte, opcode, and where the payload begins and ends; None until it is there."""
        data, at = self.data, self.at
        if len(data) < at + 2:
            return None
        first, length = data[at], data[at + 1] & 0x7F
        opcode = first & 0x0F
        self._check(first, opcode, data[at + 1])
        start = at + 6
        if length > LONGEST_CONTROL:
            size = 2 if length == 126 else 8
            if len(data) < at + 2 + size:
                return None
            length = int.from_bytes(data[at + 2 : at + 2 + size], "big")
            if length < (126 if size == 2 else 1 << 16) or length >> 63:
                raise FrameError(PROTOCOL_ERROR, "a length in the wrong form")
            start += size
        if opcode in DATA and self.size + length > self.limit:
            raise FrameError(TOO_BIG, f"a message is at most {self.limit} bytes")
        return first, opcode, start, start + length

    def _check(self, first: int, opcode: int, second: int) -> None:
        if first & RESERVED:
            raise FrameError(PROTOCOL_ERROR, "a reserved bit is set")
        if not second & MASKED:
            raise FrameError(PROTOCOL_ERROR, "a client's frames must be masked")
        if opcode in CONTROL:
            if not first & FIN or second & 0x7F > LONGEST_CONTROL:
                raise FrameError(PROTOCOL_ERROR, "a control frame is too long or in fragments")
        elif opcode not in DATA:
            raise FrameError(PROTOCOL_ERROR, "an unknown opcode")
        elif (opcode == CONTINUATION) is (self.opcode is None):
            raise FrameError(PROTOCOL_ERROR, "a fragment out of its place")

    def _fragment(self, last: bool, opcode: int, payload: bytes) -> tuple[int, Any]:
        if self.opcode is None:
            self.opcode = opcode
            self.decoder = _utf8_decoder() if opcode == TEXT else None
        self.size += len(payload)
        if self.decoder is not None:
            try:  # bad text is refused as soon as it has come
                text = self.decoder.decode(payload, last)
            except UnicodeDecodeError as error:
                raise FrameError(BAD_TEXT, "the text is not UTF-8") from error
            if text:  # empty fragments are without number
                self.parts.append(text)
        elif payload:
            self.parts.append(payload)
        if not last:
            return CONTINUATION, None
        whole, parts = self.opcode, self.parts
        self.opcode, self.parts, self.size, self.decoder = None, [], 0, None
        return whole, ("" if whole == TEXT else b"").join(parts)


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise FrameError(BAD_TEXT, "the text is not UTF-8") from error


def _close_code(payload: bytes) -> int:
    """The code that a close frame is answered with (section 5.5.1)."""
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in CLOSE_CODES:
        raise FrameError(PROTOCOL_ERROR, "not a close code")
    _text(payload[2:])
    return code
