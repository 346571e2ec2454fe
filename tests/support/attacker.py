"""Sends attacks to a server, beside an honest client that notices when it is not served."""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from tests.support import http
from tests.support.accounts import Person
from tests.support.attacks import HTTP, RAW, Attack
from tests.support.frames import CLOSE, PING, PONG, TEXT, Bytes, close, frame, signed_in
from tests.support.process import Lost
from tests.support.server import ASYNC_MODE, Server
from tests.support.stuck import SOCKET_IO

PATIENCE = 10  # seconds
PAUSE = 0.002  # between two pings: thousands a second would be a flood
STALL_SECONDS = 0.25  # FAULTS
MORE_TRIES = 4  # with threads

Came = TypeVar("Came")


@dataclass(frozen=True)
class Outcome:
    """What came back, without what differs from time to time: HTTP statuses, the codes of
    errors, the close code of a WebSocket (0: none came)."""

    statuses: tuple[int, ...]
    codes: tuple[str, ...]
    closed: int


class Attacker:
    """`person` sends, `honest` pings; `came` is all that was ever received, `stalls` the longest
    in seconds that `honest` had to wait beside each attack, however often it was tried."""

    def __init__(self, server: Server, person: Person, honest: Person) -> None:
        self.server, self.person = server, person
        self.honest = signed_in(server, honest.token)
        self.came: list[bytes] = []
        self.stalls: dict[str, float] = {}
        self.pool = ThreadPoolExecutor(1)

    def send_all(self, attacks: Iterable[Attack]) -> dict[tuple[str, str], Outcome]:
        return {(one.over, one.name): self.send(one) for one in attacks}

    def send(self, attack: Attack) -> Outcome:
        """Once.  Threads wait for one another as they do for the machine's other work, and which
        it was cannot be told: with them the least of some tries stands."""
        send = self._over_http if attack.over == HTTP else self._over_websocket
        outcome, stall = send(attack)
        for _ in range(0 if ASYNC_MODE == "eventlet" else MORE_TRIES):
            if stall <= STALL_SECONDS:
                break
            outcome, again = send(attack)
            stall = min(stall, again)
        self.stalls[attack.name] = max(stall, self.stalls.get(attack.name, 0.0))
        return outcome

    def _over_websocket(self, attack: Attack) -> tuple[Outcome, float]:
        ws = self._open(attack.over == RAW)

        def exchange() -> list[tuple[int, bytes]]:
            _send(ws.socket, attack.data, close(1000))
            return _frames(ws)

        frames, stall = self._beside(exchange)
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

    def _over_http(self, attack: Attack) -> tuple[Outcome, float]:
        data = attack.data.replace(b"{token}", self.person.token.encode())
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as connection:

            def exchange() -> bytes:
                _send(connection, data)
                _await(connection)
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
                return http.to_the_end(connection)

            came, stall = self._beside(exchange)
        self.came.append(came)
        return Outcome(tuple(http.statuses(came)), _codes(came), 0), stall

    def _beside(self, exchange: Callable[[], Came]) -> tuple[Came, float]:
        """Send and read to the end, and ping all the while: also what came back, and the longest
        wait for a pong."""
        under_way, over = threading.Event(), threading.Event()
        longest = self.pool.submit(self._ping, under_way, over)
        assert under_way.wait(PATIENCE), "the honest client cannot send"
        try:
            came = exchange()
        finally:
            over.set()
        return came, longest.result(PATIENCE)

    def _ping(self, under_way: threading.Event, over: threading.Event) -> float:
        """From before anything is sent until all has come back; the last ping begins after it,
        since those before may have been answered before what was sent was looked at."""
        longest, last = self._beat(under_way), False
        while not last:
            last = over.wait(PAUSE)
            longest = max(longest, self._beat(under_way))
        return longest

    def _beat(self, under_way: threading.Event) -> float:
        """How long the honest client waits for the answer to a ping, in seconds, for no fault of
        the machine's other work."""
        lost, began = Lost(self.server), time.monotonic()
        self.honest.send(frame(PING, b"?"))
        under_way.set()
        while (one := self.honest.read()) is not None and one.opcode != PONG:
            pass
        assert one is not None, "the honest client was closed"
        return max(0.0, time.monotonic() - began - lost.seconds())

    def end(self) -> None:
        self.pool.shutdown()
        self.honest.end()


def _send(connection: socket.socket, *pieces: bytes) -> None:
    with suppress(OSError):  # answered and closed before all was sent
        for piece in pieces:
            connection.sendall(piece)


def _await(connection: socket.socket) -> None:
    """Until something comes."""
    came = select.poll()  # `select` cannot be asked about the thousandth descriptor
    came.register(connection, select.POLLIN)
    assert came.poll(PATIENCE * 1000), "no answer"


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
