"""`make soak`: every fault in its long form, one after the other, and the table of what held.

The suite's fault tests run in their long forms, and so do the other tests that have one.  What
each test measured is collected in a file; what no test measured, or a test that failed, stands in
the table as that, and the exit code is 1.  The table goes to docs/reliability.md.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / ".soak"  # where histories are, a folder for each run
DOCUMENT = ROOT / "docs" / "reliability.md"
# Long forms of tests that are of no fault; they take what they take, and a short soak has no time.
OTHERS = ("tests/test_schemathesis.py", "tests/test_stateful.py", "tests/test_login_timing.py")
OTHERS_MINUTES = 20
GRACE_SECONDS = 900  # that one test may take beyond what the whole soak is meant to
LAST = "logs"  # the row of what is looked at once all is done, whatever that was


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak ARGS=…", description=__doc__)
    parser.add_argument("--minutes", type=float, default=35, help="about how long it may take")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--only", metavar="ROW", nargs="+", help="these rows; writes no document")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="where the table goes")
    return parser.parse_args(arguments)


def prepare(asked: argparse.Namespace) -> Path:
    """Tell the tests what is asked of them, before they are imported.  Returns the folder."""
    now = datetime.now(timezone.utc)
    folder = KEPT / f"{now:%Y%m%dT%H%M%S}-{asked.seed}"
    folder.mkdir(parents=True)
    os.environ |= {
        "SOAK": "1",
        "SOAK_MINUTES": str(asked.minutes),
        "SEED": str(asked.seed),
        "FIGURES": str(folder / "figures.jsonl"),
        "HISTORIES": str(folder / "histories"),
    }
    return folder


class Watch:
    """Of pytest's run: which tests there are, how far they are, and what failed or was skipped."""

    def __init__(self, minutes: float, only: list[str] | None) -> None:
        self.minutes, self.only = minutes, only
        self.rows: dict[str, list[str]] = {}  # by test
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.done = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Iterator[None]:
        self.choose(config, items)
        yield
        items.sort(key=lambda item: LAST in self.rows[item.nodeid])

    def choose(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept, dropped = [], []
        for item in items:
            rows = [row for mark in item.iter_markers("fault") for row in mark.args]
            other = item.nodeid.startswith(OTHERS) and self.minutes >= OTHERS_MINUTES
            if (rows or other) and not (self.only and not set(rows) & set(self.only)):
                kept.append(item)
                self.rows[item.nodeid] = rows
                limit = 60 * self.minutes + GRACE_SECONDS
                item.add_marker(pytest.mark.timeout(limit), append=False)  # before its own
            else:
                dropped.append(item)
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.done += 1
        print(
            f"\n[{datetime.now():%H:%M:%S}] {self.done} of {len(self.rows)}: {nodeid}", flush=True
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            lines = str(report.longreprtext).strip().splitlines()
            said = [line[4:] for line in lines if line.startswith("E   ")] or lines[-1:]
            self.failed[report.nodeid] = said[0] if said else "failed"
        elif report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    def troubles(self, row: str) -> Iterator[str]:
        """What stood in the way of the tests of a row."""
        for found, verb in ((self.failed, "failed"), (self.skipped, "skipped")):
            for test, why in found.items():
                if row in self.rows.get(test, ()):
                    yield f"{test.rpartition('::')[2]} {verb}: {why}"


def main(arguments: list[str]) -> int:
    asked = options(arguments)
    if asked.only and LAST not in asked.only:
        asked.only.append(LAST)
    folder = prepare(asked)
    from tests.faults import figures, report  # they read the environment

    began, commit = time.monotonic(), report.commit()
    watch = Watch(asked.minutes, asked.only)
    print(f"About {asked.minutes:g} minutes; SEED={asked.seed}; histories are kept in {folder}")
    marks = "fault or not (cluster or browser or guide)"
    paths = ["tests/faults", "tests/cluster", *sorted(map(str, Path("tests").glob("test_*.py")))]
    flags = ["-s", "-p", "no:cacheprovider", "-m", marks]
    code = pytest.main([*flags, *paths], [watch])
    run = report.Run(
        minutes=(time.monotonic() - began) / 60,
        meant=asked.minutes,
        commit=commit,
        seed=asked.seed,
        figures=figures.together(figures.read(folder / "figures.jsonl")),
        only=asked.only,
        watch=watch,
    )
    table = report.table(run)
    print(f"\n{table}\n")
    (folder / "table.md").write_text(table)
    if not asked.only and code != pytest.ExitCode.INTERRUPTED:
        asked.document.write_text(report.document(run))
        print(f"Written to {asked.document}; histories in {folder}")
    return 0 if code in (0, 5) and report.held(run) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
