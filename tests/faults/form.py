"""The form a test runs in: short in `make test`, long in `make soak`.

A soak says by the environment that it is one (`SOAK=1`), how long it is meant to take in all
(`SOAK_MINUTES`), its seed (`SEED`), where histories are kept (`HISTORIES`), and where figures
(`FIGURES`, which any other run may ask for as well).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

SOAK = os.environ.get("SOAK") == "1"
FULL_MINUTES = 30  # of a soak in which each test is done as often as its long form says, or more
MINUTES = float(os.environ.get("SOAK_MINUTES", FULL_MINUTES))
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**9))
HISTORIES = Path(os.environ["HISTORIES"]) if "HISTORIES" in os.environ else None
FIXED_MINUTES = 5  # that all the tests take which are done once
SAY_SECONDS = 15  # between two words about how far a test is


def chance(name: str) -> random.Random:
    """The dice of one test: the same for the same seed, which is said."""
    print(f"SEED={SEED}")
    return random.Random(f"{SEED} {name}")


def seconds(*, short: float, long: float) -> float:
    """How long a test goes on that is told so: `long` in a soak of the full length or more, in
    proportion in a shorter one, and never less than `short`."""
    return max(short, long * min(1, MINUTES / FULL_MINUTES)) if SOAK else short


def rounds(name: str, *, short: int, long: int, share: float) -> Iterator[int]:
    """The numbers of a test's rounds, from 1.

    `short` of them, always.  A soak of the full length goes on until there were `long` and
    `share` of the time that it has for such tests is over; a shorter one in proportion.
    """
    wanted = max(short, round(long * min(1, MINUTES / FULL_MINUTES))) if SOAK else short
    began = said = time.monotonic()
    until = began + share * max(0.0, MINUTES - FIXED_MINUTES) * 60 if SOAK else began
    number = 0
    while number < wanted or time.monotonic() < until:
        number += 1
        yield number
        if SOAK and time.monotonic() > said + SAY_SECONDS:
            said = time.monotonic()
            left = max(0.0, until - said)
            print(f"  {name}: {number} of {wanted} or more, {left:.0f} s to go", flush=True)
