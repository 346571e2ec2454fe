"""Thousands of clients in one thread."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from tests.faults.recorder import Logged, Session
from tests.support.accounts import Person
from tests.support.frames import HANDSHAKE, PING, PONG, TEXT, frame
from tests.support.readers import Seen

AT_ONCE = 200  # connections that are being made
SEQ = re.compile(rb'"seq":(\d+),"epoch"')


class Loop:
    """An event loop in a thread of its own, until the `with` block ends."""

    def __enter__(self) -> Loop:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self.run(end(), 10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, Any], seconds: float) -> Any:
        """What it returns, which it must within so many seconds."""
        return self.begin(work).result(seconds)


class Idler(asyncio.Protocol):
    """A raw WebSocket that does nothing but answer pings.  `session` has the events that came
    after `ready`, which is set once the feed has begun; `ended` says that the connection is no
    more."""

    def __init__(self, port: int, person: Person) -> None:
        headers = {"Host": f"127.0.0.1:{port}", **HANDSHAKE, **person.header}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        self.greeting = "\r\n".join(["GET /api/v1/ws HTTP/1.1", *lines, "", ""]).encode()
        self.rest = b""
        self.session = Session(person.id, "member", 0)
        self.ready = asyncio.get_running_loop().create_future()
        self.upgraded = self.ended = False
        self.wanted = 0
        self.level: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.greeting)

    def data_received(self, data: bytes) -> None:
        self.rest += data
        if not self.upgraded:
            head, found, rest = self.rest.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.upgraded, self.rest = True, rest
        while (one := self._next()) is not None:
            self._take(*one)

    def _next(self) -> tuple[int, bytes] | None:
        """The next whole frame: its opcode and what is in it."""
        if len(self.rest) < 4:
            return None
        length, start = self.rest[1], 2
        if length == 126:
            length, start = struct.unpack("!H", self.rest[2:4])[0], 4
        if len(self.rest) < start + length:
            return None
        opcode, payload = self.rest[0] & 0x0F, self.rest[start : start + length]
        self.rest = self.rest[start + length :]
        return opcode, payload

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.transport.write(frame(PONG, payload))
        elif opcode == TEXT and not self.ready.done():
            told = json.loads(payload)
            assert told["type"] == "ready", told
            self.session.base = told["seq"]
            self.ready.set_result(None)
        elif opcode == TEXT:
            self.session.seen += [Seen(int(seq), "", None, None) for seq in SEQ.findall(payload)]
            self._look()

    def until(self, seq: int) -> asyncio.Future[None]:
        """Done once it has everything up to this event."""
        self.wanted = seq
        self.level = asyncio.get_running_loop().create_future()
        self._look()
        return self.level

    def _look(self) -> None:
        waited_for = self.level is not None and not self.level.done()
        if waited_for and self.session.position >= self.wanted:
            self.level.set_result(None)  # type: ignore[union-attr]

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionResetError("closed at once"))


async def idle(port: int, person: Person) -> Idler:
    """One that is connected, signed in and live."""
    loop = asyncio.get_running_loop()
    _, idler = await loop.create_connection(lambda: Idler(port, person), "127.0.0.1", port)
    await idler.ready
    return idler


async def level(idlers: list[Idler], log: list[Logged]) -> None:
    """Wait until each has what the log has for it."""
    last = {
        one.session.user_id: max(
            (entry.seq for entry in log if entry.may_see(one.session.user_id, one.session.role)),
            default=0,
        )
        for one in idlers
    }
    await asyncio.gather(*(one.until(last[one.session.user_id]) for one in idlers))


async def gather(makers: list[Callable[[], Awaitable[Any]]], at_once: int = AT_ONCE) -> list[Any]:
    """What they return, in order; no more than `at_once` at a time."""
    turn = asyncio.Semaphore(at_once)

    async def one(make: Callable[[], Awaitable[Any]]) -> Any:
        async with turn:
            return await make()

    return list(await asyncio.gather(*map(one, makers)))


async def linger(port: int, first: bytes, drops: bytes, pause: float) -> tuple[float, bytes]:
    """Connect, send the first bytes, then one of the others after each pause.  Returns after how
    many seconds the server has closed the connection, and what it had sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(first)

    came = bytearray()

    async def end() -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                came.extend(piece)

    ending = asyncio.ensure_future(end())
    try:
        for drop in drops:
            done, _ = await asyncio.wait({ending}, timeout=pause)
            if done:
                break
            writer.write(bytes([drop]))
        await ending
    finally:
        ending.cancel()
        writer.close()
    return time.monotonic() - began, bytes(came)
