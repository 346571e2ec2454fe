"""One timer for every connection: pings, and the patience with who does not answer.

A sleeping greenlet or thread for each connection would cost more than the connection itself.  And
one that has ended is not kept for what was to be done about it: twenty thousand clients that come
and go within a ping's interval were a seventh of the process's memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import MethodType
from typing import Any, cast
from weakref import ref

from task_app.extensions import socketio

log = logging.getLogger(__name__)

TICK = 0.1  # seconds; how late a call may be
Timed = tuple["ref[Any]", Callable[[Any], object]]  # an object and its method


class Clock:
    """Calls things later, in one background task.  What is called must neither wait nor block."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.due: dict[int, list[Timed]] = {}  # by tick
        self.now = 0  # the last tick whose calls were taken
        self.running = False

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call a method once, `seconds` from now or up to a tick or two later, if somebody else
        holds its object still."""
        method = cast(MethodType, call)
        timed: Timed = (ref(method.__self__), method.__func__)
        tick = int((time.monotonic() + seconds) / TICK) + 1
        with self.lock:
            self.due.setdefault(max(tick, self.now + 1), []).append(timed)
            started, self.running = self.running, True
        if not started:
            self.now = int(time.monotonic() / TICK)
            socketio.start_background_task(self._run)

    def _run(self) -> None:
        while True:
            socketio.sleep(TICK)
            self._call()

    def _call(self) -> None:
        """Call what has become due."""
        for held, call in self._take():
            whose = held()
            try:
                if whose is not None:
                    call(whose)
            except Exception:  # one connection's trouble is nobody else's
                log.exception("a timed call failed")

    def _take(self) -> list[Timed]:
        """All that has become due."""
        now = int(time.monotonic() / TICK)
        found: list[Timed] = []
        with self.lock:
            for tick in range(self.now + 1, now + 1):
                found += self.due.pop(tick, ())
            self.now = now
        return found


clock = Clock()
