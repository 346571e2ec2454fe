"""docs/benchmarks.png: a small panel of bars for each row that has one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.rows import COLUMNS, NAMES, Judged, number

COLOURS = {
    "ours": "#d1495b",
    "node": "#3c6e71",
    "plain": "#b0a18f",
    "fastapi_orm": "#8fb8de",
    "fastapi": "#4a7fb5",
    "floor": "#c9c9c9",
}
ACROSS = 5


def draw(judged: Sequence[Judged], path: Path, caption: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [found for found in judged if found.row.panel]
    if not shown:
        return
    down = -(-len(shown) // ACROSS)
    figure, axes = pyplot.subplots(down, ACROSS, figsize=(15, 2.5 * down), squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, found in zip(axes.flat, shown, strict=False):
        values = {"ours": found.measured} | {c: found.peers[c] for c in COLUMNS if c in found.peers}
        names = list(values)[::-1]
        bars = axis.barh(
            [NAMES[name] for name in names],
            [values[name] for name in names],
            color=[COLOURS[name] for name in names],
        )
        axis.bar_label(bars, [number(values[name]) for name in names], padding=3, fontsize=8)
        better = "more" if "/s" in found.row.unit else "less"
        axis.set_title(
            f"{found.row.panel}\n{found.row.unit}, {better} is better", fontsize=9, loc="left"
        )
        axis.tick_params(axis="y", labelsize=8, length=0)
        axis.set_xticks([])
        axis.margins(x=0.25)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    figure.suptitle(caption, fontsize=10, x=0.01, ha="left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
