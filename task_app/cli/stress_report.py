"""What `stress` has to tell: a table, a histogram, a picture, and whether it is as it must be."""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

BARS = 12
WIDTH = 48
PERCENTILES = (0.5, 0.9, 0.99, 1.0)


class Unplotted(Exception):
    """Why there is no picture, in one sentence."""


@dataclass
class Outcome:
    """Of one run.  Times are in seconds: `answers` from sending to the answer, `deliveries` from
    sending to each listener's event; `took` is from the first request to the last answer,
    `delivered` to the last event.  `seen` counts, for each listener, the events of each task."""

    tasks: int
    took: float = 0.0
    delivered: float = 0.0
    answers: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    seen: list[Counter[int]] = field(default_factory=list)
    disordered: int = 0  # events whose `seq` was not above the one before

    @property
    def missed(self) -> int:
        return sum(number not in seen for seen in self.seen for number in range(self.tasks))

    @property
    def repeated(self) -> int:
        return sum(times - 1 for seen in self.seen for times in seen.values() if times > 1)

    @property
    def good(self) -> bool:
        """Every task was made, and each listener had each event once and in order."""
        wrong = self.failures or self.missed or self.repeated or self.disordered
        return not wrong and len(self.answers) == self.tasks

    def verdict(self) -> str:
        listeners = len(self.seen)
        if self.good:
            return f"Each of {listeners} listeners saw each of {self.tasks} events once, in order."
        found = [f"{times} failed ({what})" for what, times in self.failures.items()]
        for number, name in (
            (self.tasks - len(self.answers) - sum(self.failures.values()), "unanswered"),
            (self.missed, "missed"),
            (self.repeated, "seen again"),
            (self.disordered, "out of order"),
        ):
            if number > 0:
                found.append(f"{number} {name}")
        return f"Of {self.tasks} tasks and {listeners} listeners: {', '.join(found)}."


def percentile(times: Sequence[float], part: float) -> float:
    """The smallest of `times` (sorted) that `part` of them do not exceed."""
    return times[max(0, math.ceil(part * len(times)) - 1)]


def show(console: Console, outcome: Outcome) -> None:
    """The table, and a histogram of what a listener waits."""
    headings = ("", "number", "a second", "p50", "p90", "p99", "most")
    table = Table(*headings, box=None, padding=(0, 2, 0, 0))  # within 80 columns
    for name, times, took in (
        ("task made", outcome.answers, outcome.took),
        ("event at a listener", outcome.deliveries, outcome.delivered),
    ):
        if times:
            ordered = sorted(times)
            shown = [f"{percentile(ordered, part) * 1000:.1f} ms" for part in PERCENTILES]
            rate = f"{len(times) / took:,.0f}" if took else ""
            table.add_row(name, f"{len(times):,}", rate, *shown)
    console.print(table)
    times = outcome.deliveries or outcome.answers
    if times:
        console.print("From sending to " + ("the event" if outcome.deliveries else "the answer"))
        for line in histogram([time * 1000 for time in times]):
            console.print(line, highlight=False)


def histogram(times: Sequence[float]) -> list[str]:
    """Lines of a histogram of milliseconds; each bar is as wide, on a logarithmic scale."""
    low, high = max(min(times), 0.01), max(times)
    step = (math.log(high / low) / BARS if high > low else 0) or 1.0
    counts = Counter(
        min(BARS - 1, int(math.log(max(time, low) / low) / step + 1e-9)) for time in times
    )
    most = max(counts.values())
    lines = []
    for bar in range(max(counts) + 1):
        above = low * math.exp(step * (bar + 1))
        length = round(counts[bar] / most * WIDTH)
        drawn = "█" * length or ("▏" if counts[bar] else "")
        lines.append(f"≤ {above:9.2f} ms {drawn} {counts[bar]:,}".rstrip())
    return lines


def plotter() -> Any:
    """matplotlib's pyplot.  Raises `Unplotted` where it is not installed."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise Unplotted(
            "--plot needs matplotlib, which is not installed: pip install matplotlib."
        ) from error


def plot(pyplot: Any, outcome: Outcome, file: Path) -> None:
    """Write a PNG: how many of the tasks and events took no longer than so much."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for name, times in (
        ("task made", outcome.answers),
        ("event at a listener", outcome.deliveries),
    ):
        if times:
            ordered = sorted(time * 1000 for time in times)
            shares = [number / len(ordered) for number in range(1, len(ordered) + 1)]
            axes.step(ordered, shares, where="post", label=name)
    axes.set(xscale="log", xlabel="milliseconds", ylabel="share not above", ylim=(0, 1))
    axes.xaxis.set_major_locator(pyplot.LogLocator(subs=(1, 2, 5)))  # a run is a decade or two
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(file, format="png", dpi=120)
    pyplot.close(figure)
