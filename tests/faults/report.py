"""The soak's table, and the document around it."""

from __future__ import annotations

import platform
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

from bench.run import machine
from tests.faults.figures import Figure
from tests.faults.form import FULL_MINUTES
from tests.faults.rows import ROWS
from tests.support.server import ASYNC_MODE, ROOT

DOCUMENT = """# What it survives

Written by `make soak` (`tests/faults/`) on {date} at {commit}: {machine}, Python {python},
SQLite {sqlite}, `ASYNC_MODE={mode}`. It took {minutes:.0f} minutes{short}. `SEED={seed}`.

Each fault was provoked on real servers with real clients, while others wrote and listened; what
each client sent and what came back was recorded and checked at the end of its run. *Tries* is how
often a promise was put to the test (too few: of how many); *measured* is the worst of them. Waits
are as clients had them: nothing is taken off for what else the machine did meanwhile.

{table}
{verdict}

The same faults are provoked in short forms by `make test` and `make test-cluster`, at every change.
"""
SHORT = ", of the {full:g} that a whole one takes: the tries are fewer in proportion"


class Outcome(Protocol):
    """What became of the tests."""

    failed: dict[str, str]
    rows: dict[str, list[str]]

    def troubles(self, row: str) -> Iterator[str]: ...


@dataclass(frozen=True)
class Run:
    """One soak, at its end.  `minutes` is what it took, `meant` what it was asked to take;
    `commit` is what was tested."""

    minutes: float
    meant: float
    commit: str
    seed: int
    figures: dict[tuple[str, str], Figure]
    watch: Outcome
    only: list[str] | None = None

    @property
    def whole(self) -> bool:
        """Whether it was asked to try everything as often as that must be tried."""
        return self.meant >= FULL_MINUTES

    @property
    def rows(self) -> list[str]:
        return [row for row in ROWS if not self.only or row in self.only]


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:300]


def commit() -> str:
    """The commit of the files that are here, in words."""
    ask = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty= and changes"]
    done = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True)
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "no known commit"


def lines(run: Run) -> Iterator[tuple[str, str, str, str, str]]:
    """Fault, tries, promise, measured, and whether it held."""
    for row in run.rows:
        fault = ROWS[row].fault
        for name, promise in ROWS[row].promises.items():
            found = run.figures.get((row, name))
            if found is None:
                yield fault, "0", str(promise), "not measured", "**no**"
            else:
                enough = found.tries >= ROWS[row].least_tries or not run.whole
                held = "yes" if found.holds and enough else "**no**"
                tries = str(found.tries) if enough else f"{found.tries} of {ROWS[row].least_tries}"
                yield fault, tries, str(promise), str(found), held
            fault = ""
        for trouble in run.watch.troubles(row):
            yield fault, "", cell(trouble), "", "**no**"


def others(run: Run) -> Iterator[tuple[str, str, str, str, str]]:
    """Tests that are of no fault, and failed."""
    for test, why in run.watch.failed.items():
        if not run.watch.rows.get(test):
            yield cell(test), "", cell(why), "", "**no**"


def table(run: Run) -> str:
    found = ["| fault | tries | promise | measured | held |", "|---|--:|---|---|---|"]
    found += [f"| {' | '.join(line)} |" for line in (*lines(run), *others(run))]
    return "\n".join(found) + "\n"


def held(run: Run) -> bool:
    """Whether all did."""
    return all(line[-1] == "yes" for line in (*lines(run), *others(run)))


def document(run: Run) -> str:
    short = "" if run.whole else SHORT.format(full=FULL_MINUTES)
    return DOCUMENT.format(
        commit=run.commit,
        date=f"{datetime.now(timezone.utc):%Y-%m-%d}",
        machine=machine(),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        mode=ASYNC_MODE,
        minutes=run.minutes,
        short=short,
        seed=run.seed,
        table=table(run),
        verdict="All of it held." if held(run) else "**Not all of it held.**",
    )
