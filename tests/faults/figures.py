"""What was measured of each promise, and how it is kept for the soak's table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.rows import ROWS, Promise


@dataclass(frozen=True)
class Figure:
    """One measurement, or all of a promise: from `least` to `most`, of so many tries."""

    row: str
    promise: str
    least: float
    most: float
    tries: int
    test: str

    @property
    def of(self) -> Promise:
        return ROWS[self.row].promises[self.promise]

    @property
    def holds(self) -> bool:
        return self.of.holds(self.least) and self.of.holds(self.most)

    def __str__(self) -> str:
        """The worst of it; both ends where there are bounds to both sides."""
        promise = self.of
        if promise.least is None:
            return promise.say(self.most)
        if promise.most is None:
            return promise.say(self.least)
        if self.least == self.most:
            return promise.say(self.most)
        return f"{self.least:.4g} to {promise.say(self.most)}"


def figure(row: str, promise: str, measured: float, tries: int = 1) -> None:
    """Say what was measured (in the promise's unit) over so many tries, keep it in the file named
    by FIGURES, and hold it against the promise.  Raises AssertionError."""
    found = keep(row, promise, measured, tries)
    assert found.holds, f"{found.of}; measured {found}"


def keep(row: str, promise: str, measured: float, tries: int = 1) -> Figure:
    """The same, of what fails already when it does not hold."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    found = Figure(row, promise, measured, measured, tries, test)
    verdict = "" if found.holds else " - BROKEN"
    print(f"{ROWS[row].fault}: {found.of}; measured {found} in {tries}{verdict}", flush=True)
    if path := os.environ.get("FIGURES"):
        line = json.dumps(asdict(found)) + "\n"
        with Path(path).open("a") as file:  # one write: several processes may share the file
            file.write(line)
    return found


def read(path: Path) -> list[Figure]:
    """All that were kept."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Figure(**json.loads(line)) for line in lines]


def together(figures: Iterable[Figure]) -> dict[tuple[str, str], Figure]:
    """One figure for each promise that was measured, by row and promise."""
    found: dict[tuple[str, str], Figure] = {}
    for one in figures:
        key = one.row, one.promise
        known = found.get(key, one)
        tries = one.tries if known is one else known.tries + one.tries
        least, most = min(known.least, one.least), max(known.most, one.most)
        found[key] = Figure(*key, least, most, tries, one.test)
    return found
