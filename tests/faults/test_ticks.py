"""A stall weighs as much as it lasts."""

from __future__ import annotations

import threading
import time

from tests.faults.ticks import TICK, p99, ticks

STALL = 0.2  # seconds


def test_a_stall_counts_for_all_who_would_have_asked() -> None:
    answers = iter([threading.Event()])  # the first is waited for

    def ask() -> None:
        for never in answers:
            never.wait(STALL)

    until = time.monotonic() + 2 * STALL
    times = ticks(ask, until)
    assert p99(times) > (STALL - 3 * TICK) * 1000
    late = [one for one in times if one > STALL / 2]
    assert len(late) >= STALL / 2 / TICK - 1
    assert times[: len(late)] == sorted(late, reverse=True)
    assert len(times) >= 2 * STALL / TICK - 1
