"""One timer for every connection: pings, and the patience with who does not answer.

A sleeping greenlet or thread for each connection would cost more than the connection itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from task_app.extensions import socketio

log = logging.getLogger(__name__)

TICK = 0.1  # seconds; how late a call may be


class Clock:
    """Calls things later, in one background task.  What is called must neither wait nor block."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.due: dict[int, list[Callable[[], object]]] = {}  # by tick
        self.now = 0  # the last tick whose calls were taken
        self.running = False

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call once, `seconds` from now or up to a tick or two later."""
        tick = int((time.monotonic() + seconds) / TICK) + 1
        with self.lock:
            self.due.setdefault(max(tick, self.now + 1), []).append(call)
            started, self.running = self.running, True
        if not started:
            self.now = int(time.monotonic() / TICK)
            socketio.start_background_task(self._run)

    def _run(self) -> None:
        while True:
            socketio.sleep(TICK)
            for call in self._take():
                try:
                    call()
                except Exception:  # one connection's trouble is nobody else's
                    log.exception("a timed call failed")

    def _take(self) -> list[Callable[[], object]]:
        """All that has become due."""
        now = int(time.monotonic() / TICK)
        found: list[Callable[[], object]] = []
        with self.lock:
            for tick in range(self.now + 1, now + 1):
                found += self.due.pop(tick, ())
            self.now = now
        return found


clock = Clock()
