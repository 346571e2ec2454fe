"""The timer of all connections."""

from __future__ import annotations

from weakref import ref

from task_app.realtime.clock import Clock


class Connection:
    def __init__(self) -> None:
        self.calls = 0

    def on_time(self) -> None:
        self.calls += 1


def test_what_has_ended_is_not_kept() -> None:
    """Twenty thousand clients that came and went were kept for the pings they would have had."""
    clock = Clock()
    clock.running = True  # by hand
    ended, alive = Connection(), Connection()
    clock.after(-1, ended.on_time)  # both are due
    clock.after(-1, alive.on_time)
    gone = ref(ended)
    del ended
    assert gone() is None
    clock._call()
    assert alive.calls == 1
