"""Greenlets that do one job after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable

import greenlet
from eventlet import hubs

log = logging.getLogger(__name__)

IDLE_WORKERS = 256


class Workers:
    """Greenlets that do one job after the other: starting one costs more than most requests."""

    def __init__(self) -> None:
        self.hub = hubs.get_hub()
        self.idle: list[greenlet.greenlet] = []
        self.busy = 0

    def run(self, job: Callable[[], None]) -> None:
        """Do `job` until it first waits.  For the hub alone to call: any other greenlet would
        not go on, since a worker that waits switches to the hub."""
        worker = self.idle.pop() if self.idle else greenlet.greenlet(self._work, self.hub.greenlet)
        worker.switch(job)

    def _work(self, job: Callable[[], None]) -> None:
        worker = greenlet.getcurrent()
        while True:
            self.busy += 1
            try:
                job()
            except Exception:
                log.exception("a connection failed")
            finally:
                self.busy -= 1
            del job
            if len(self.idle) >= IDLE_WORKERS:
                return
            self.idle.append(worker)
            job = self.hub.switch()
