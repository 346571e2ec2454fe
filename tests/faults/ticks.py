"""How long a client waits that asks again and again, however long the answers take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from tests.faults.rows import ROWS
from tests.support.process import Lost
from tests.support.server import Server

TICK = 0.01  # seconds between two questions
MOST = 4  # rounds of a short form


def ticks(
    ask: Callable[[], object], until: float, tick: float = TICK, server: Server | None = None
) -> list[float]:
    """Ask each `tick` seconds until `until` (monotonic): how long after its tick each was
    answered, in seconds; of a `server` without what was not its doing (`Lost`).

    While one answer is waited for, others would have asked: it was theirs, too.  So a stall
    counts for as many ticks as it lasts, and not as one answer among many.
    """
    times: list[float] = []
    pause, due = threading.Event(), time.monotonic()
    while due < until:
        if (early := due - time.monotonic()) > 0:
            pause.wait(early)
        lost, began = server and Lost(server), time.monotonic()
        ask()
        back = time.monotonic()
        answered = max(began, back - (lost.seconds() if lost else 0.0))
        times.append(answered - (began if early > 0 else due))
        due += tick
        while due <= back:
            if due <= answered:
                times.append(answered - due)
            due += tick
    return times


def until_held(rounds: Iterable[int], row: str, promises: dict[str, list[float]]) -> Iterator[int]:
    """The rounds of a test; and up to MOST in all while the p99 of a promise, of all that was
    measured so far, does not hold: a busy machine spoils one now and then, a fault each."""
    number = 0
    for number in rounds:
        yield number
    for more in range(number + 1, MOST + 1):
        if all(ROWS[row].promises[one].holds(p99(times)) for one, times in promises.items()):
            return
        yield more


def p99(times: list[float]) -> float:
    """In milliseconds."""
    return sorted(times)[int(len(times) * 0.99)] * 1000
