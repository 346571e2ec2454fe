"""Waiting for what nobody announces: another process's state, the kernel's queues."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

PAUSE = 0.01  # seconds between two looks


def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Look until it holds.  Raises AssertionError when it has not after so many seconds."""
    late, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < late, f"not within {seconds} s"
        pause.wait(PAUSE)
