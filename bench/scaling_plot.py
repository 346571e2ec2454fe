"""docs/scaling.png: the counter's cost, the model's ceilings, and what lifts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import model
from bench.model import Site
from bench.scaling_report import CLIENTS, NUMBERED_BY, PROCESSES, Run

COLOURS = ("#d1495b", "#3c6e71", "#e0a030", "#4a7fb5", "#7a5195")
SIZES = [round(10 ** (step / 10)) for step in range(31)]


def draw(run: Run, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8))
    for axis, panel in zip(axes.flat, (_written, _counted, _ceilings, _lifts), strict=True):
        panel(axis, run)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.legend(fontsize=7, frameon=False)
    short = "; a short run" if run.kept["quick"] else ""
    figure.suptitle(
        f"{run.kept['date']}, {run.kept['machine']}{short}", fontsize=9, x=0.01, ha="left"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _titled(axis: Any, title: str, across: str) -> None:
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel(across, fontsize=8)


def _written(axis: Any, run: Run) -> None:
    values = [run.middle(f"writes_{n}", "writes_per_s") for n in PROCESSES]
    axis.plot(PROCESSES, values, "o-", color=COLOURS[0], label="measured")
    axis.set_xticks(PROCESSES)
    _titled(axis, "POST /tasks on PostgreSQL, writes/s", "processes, all on this machine")
    axis.set_ylim(bottom=0)


def _counted(axis: Any, run: Run) -> None:
    for colour, (name, shown) in zip(COLOURS, NUMBERED_BY.items(), strict=False):
        values = [run.middle(f"{name}_{clients}", "writes_per_s") for clients in CLIENTS]
        axis.plot(CLIENTS, values, "o-", color=colour, label=shown)
    axis.set_xticks(CLIENTS)
    _titled(axis, "The same statements by pgbench, writes/s", "sessions")
    axis.set_ylim(bottom=0)


def _ceilings(axis: Any, run: Run) -> None:
    costs = run.costs()
    for colour, name in zip(
        COLOURS, (model.PROCESS, model.POSTGRES, model.COUNTER, model.REDIS), strict=False
    ):
        values = [model.parts(costs, Site(n))[name].ceiling for n in SIZES]
        axis.loglog(SIZES, values, color=colour, label=name)
    _titled(axis, "Model: each part's ceiling, writes/s", "processes, a core each")


def _lifts(axis: Any, run: Run) -> None:
    costs = run.costs()
    for index, (colour, (name, _)) in enumerate(zip(COLOURS, model.LIFTS, strict=True)):
        values = [model.first(costs, model.lifted(Site(n))[index][1])[1] for n in SIZES]
        # Where one lies on the one before it, both are seen.
        shape = {"ls": "--", "lw": 1.5} if index % 2 else {"lw": 4, "alpha": 0.6}
        axis.loglog(SIZES, values, color=colour, label=name, **shape)
    _titled(axis, "Model: what lifts it, writes/s", "processes, a core each")
