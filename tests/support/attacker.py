"""Sends attacks to a server, beside an honest client that notices when it is not served."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from tests.support import http
from tests.support.accounts import Person
from tests.support.attacks import HTTP, RAW, Attack
from tests.support.frames import CLOSE, PING, PONG, TEXT, Bytes, close, frame, signed_in
from tests.support.server import Server
from tests.support.stuck import SOCKET_IO

STALL_SECONDS = 0.25  # FAULTS
# The machine has other work: what takes long for no fault of the server's does not each time.
TRIES = 5
PATIENCE = 10  # seconds
PAUSE = 0.002  # between two pings: thousands a second would be a flood


@dataclass(frozen=True)
class Outcome:
    """What came back, without what differs from time to time: HTTP statuses, the codes of
    errors, the close code of a WebSocket (0: none came)."""

    statuses: tuple[int, ...]
    codes: tuple[str, ...]
    closed: int


class Attacker:
    """`person` sends, `honest` pings; `came` is all that was ever received."""

    def __init__(self, server: Server, person: Person, honest: Person) -> None:
        self.server, self.person = server, person
        self.honest = signed_in(server, honest.token)
        self.came: list[bytes] = []
        self.stalls: dict[str, float] = {}  # seconds, the least of the tries

    def send_all(self, attacks: Iterable[Attack]) -> dict[tuple[str, str], Outcome]:
        return {(one.over, one.name): self.send(one) for one in attacks}

    def send(self, attack: Attack) -> Outcome:
        for _ in range(TRIES):
            outcome, stall = self._send(attack)
            stall = min(stall, self.stalls.get(attack.name, stall))
            self.stalls[attack.name] = stall
            if stall <= STALL_SECONDS:
                break
        return outcome

    def _send(self, attack: Attack) -> tuple[Outcome, float]:
        if attack.over == HTTP:
            data = attack.data.replace(b"{token}", self.person.token.encode())
            return self._over_http(data)
        ws = self._open(attack.over == RAW)
        stall = self._beside(ws.socket, attack.data, close(1000))
        frames = _frames(ws)
        ws.end()
        came = b"\n".join(payload for _, payload in frames)
        self.came.append(came)
        codes = [int.from_bytes(payload[:2], "big") for kind, payload in frames if kind == CLOSE]
        return Outcome((), _codes(came), codes[-1] if codes else 0), stall

    def _open(self, raw: bool) -> Bytes:
        if raw:
            return signed_in(self.server, self.person.token, "/ws/native")
        ws = Bytes(self.server, SOCKET_IO)
        ws.send(frame(TEXT, b'40{"token":"%s"}' % self.person.token.encode()))
        while b'42["ready"' not in (one := ws.read()).payload:  # type: ignore[union-attr]
            assert one
        return ws

    def _over_http(self, data: bytes) -> tuple[Outcome, float]:
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as connection:
            stall = self._beside(connection, data)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            came = http.to_the_end(connection)
        self.came.append(came)
        return Outcome(tuple(http.statuses(came)), _codes(came), 0), stall

    def _beside(self, connection: socket.socket, *pieces: bytes) -> float:
        """Send, and meanwhile, until something has come back, ping: the longest wait for a pong.
        A ping may be answered before what came before it: the next one is not."""
        with suppress(OSError):  # answered and closed before all was sent
            for piece in pieces:
                connection.sendall(piece)
        longest, late = self.beat(), time.monotonic() + PATIENCE
        came = select.poll()  # `select` cannot be asked about the thousandth descriptor
        came.register(connection, select.POLLIN)
        while True:
            answered = came.poll(PAUSE * 1000)
            longest = max(longest, self.beat())
            if answered:
                return longest
            assert time.monotonic() < late, "no answer"

    def beat(self) -> float:
        """How long the honest client waits for the answer to a ping, in seconds."""
        began = time.monotonic()
        self.honest.send(frame(PING, b"?"))
        while (one := self.honest.read()) is not None and one.opcode != PONG:
            pass
        assert one is not None, "the honest client was closed"
        return time.monotonic() - began

    def end(self) -> None:
        self.honest.end()


def _codes(came: bytes) -> tuple[str, ...]:
    """Each once: how many answers a flood has had before its end is chance."""
    return tuple(sorted({code.decode() for code in re.findall(rb'"code": ?"(\w+)"', came)}))


def _frames(ws: Bytes) -> list[tuple[int, bytes]]:
    """All that still comes, up to the close frame."""
    found = []
    try:
        while (one := ws.read()) is not None:
            found.append((one.opcode, one.payload))
            if one.opcode == CLOSE:
                break
    except ConnectionError:
        pass
    return found
