"""Eventlet's hub, with one mistake of it mended."""

from __future__ import annotations

from typing import Any

from eventlet import hubs
from eventlet.hubs.hub import closed_callback


def use() -> None:
    """Give this thread a hub that counts its turns, and calls nobody who no longer listens.

    A hub collects everybody it is about to call before it calls the first.  Whoever waits to
    read and to write one socket (psycopg does while it connects) is therefore called twice when
    both may be done, as at a refused connection: the second time in the middle of whatever it
    waits for next.  https://github.com/eventlet/eventlet/issues/551
    """
    base: Any = hubs.get_default_hub().Hub

    class Hub(base):  # type: ignore[misc]
        is_available = staticmethod(lambda: True)  # or eventlet warns

        turn = 0  # how often it has looked for what is ready

        def wait(self, seconds: float | None = None) -> None:
            self.turn += 1
            super().wait(seconds)

        def remove(self, listener: Any) -> None:
            super().remove(listener)
            listener.cb = closed_callback

    hubs.use_hub(Hub)
