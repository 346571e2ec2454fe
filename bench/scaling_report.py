"""docs/scaling.md and its rows in docs/benchmarks.md, from what `scaling.py` measured.

No figure is written by hand: the prose says how things were measured and what follows in terms of
numbers, whichever way they go.
"""

# ruff: noqa: RUF001 - tables and formulae for people have real signs

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from bench import model
from bench.model import Costs, Site
from bench.rows import number
from bench.scaling_text import DOCUMENT

KEPT = Path(__file__).resolve().parent / "scaling.json"  # every figure of the last run
PROCESSES = (1, 2, 4)
CLIENTS = (1, 2, 4, 8, 16)
SITES = (1, 10, 100, 1000)
NUMBERED_BY = {"counter": "counter", "sequence": "sequence", "statement": "one statement"}
QUIET = 0.1  # share of a core that other work may take before the run is called disturbed
POOL = 10  # connections to PostgreSQL that a process may have: the default
SHARES = {"client_cpu", "paced_client_cpu", "burst_client_cpu", "crowd_client_cpu", "counter_busy"}
HEADING = "## Past one process"
FITS = {
    "process": ("write", "read", "row", "message", "idle"),
    "postgres": ("write", "read", "row", "idle"),
    "redis": ("write", "told"),
}


def percent(share: float) -> str:
    return f"{share:.1%}"


class Run:
    """What was measured: the JSON that `scaling.py` keeps."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.kept = kept
        self.figures: dict[str, dict[str, list[float]]] = kept["figures"]
        self.fits = {part: model.fit(self.observed(part), names) for part, names in FITS.items()}

    @classmethod
    def of(cls, path: Path) -> Run:
        return cls(json.loads(path.read_text()))

    def observed(self, part: str) -> list[model.Observation]:
        return [(amounts, seconds) for amounts, seconds in self.kept["observations"][part]]

    def values(self, part: str, figure: str) -> list[float]:
        return self.figures.get(part, {}).get(figure, [])

    def middle(self, part: str, figure: str) -> float:
        """The median of the rounds; 0 when there were none."""
        values = self.values(part, figure)
        return median(values) if values else 0.0

    def shown(self, part: str, figure: str) -> str:
        """The median, and the lowest and the highest round."""
        values = self.values(part, figure)
        if not values:
            return "–"
        show = percent if figure in SHARES else number
        if len(values) == 1:
            return show(values[0])
        return f"{show(median(values))} ({show(min(values))} to {show(max(values))})"

    @property
    def others(self) -> float:
        found = [share for n in PROCESSES for share in self.values(f"writes_{n}", "others")]
        return median(found) if found else 0.0

    def costs(self) -> Costs:
        process, postgres, redis = (self.fits[part] for part in FITS)
        return Costs(
            write=process["write"],
            read=process["read"],
            row=process["row"],
            message=process["message"],
            idle=process["idle"],
            pg_write=postgres["write"],
            pg_read=postgres["read"],
            pg_row=postgres["row"],
            pg_idle=postgres["idle"],
            redis_write=redis["write"],
            redis_told=redis["told"],
            hold=self.middle("hints", "hold_ms") / 1000,
            hold_one_trip=self.middle("statement_1", "hold_ms") / 1000,
        )


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = "|---|" + "--:|" * (len(head) - 1)
    return "\n".join([_line(head), rule, *(_line(cells) for cells in lines)]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def delays(run: Run) -> str:
    rows = [
        ("From the request sent to the event: p50, ms", "event_p50_ms"),
        ("the same: p99, ms", "event_p99_ms"),
        ("From the answer (201) read to the event: p50, ms", "after_answer_p50_ms"),
        ("the same: p99, ms", "after_answer_p99_ms"),
        ("The request itself: p50, ms", "request_p50_ms"),
        ("Under a burst: events/s, to 10 clients", "burst_events_per_s"),
        ("from the answer to the event: p50, ms", "burst_after_answer_p50_ms"),
        ("from the answer to the event: p99, ms", "burst_after_answer_p99_ms"),
        ("Under a burst: events/s, to 200 clients", "crowd_events_per_s"),
        ("The load client's share of its core, at most", "crowd_client_cpu"),
    ]
    found = [(what, run.shown("hints", f), run.shown("poll", f)) for what, f in rows]
    return table(("", "with Redis", "by the poll alone"), found)


def written(run: Run) -> str:
    rows = [
        ("Writes/s", "writes_per_s"),
        ("A request: p50, ms", "p50_ms"),
        ("A request: p99, ms", "p99_ms"),
        ("CPU of a write, ms: all processes together", "process_cpu_ms"),
        ("PostgreSQL", "postgres_cpu_ms"),
        ("Redis", "redis_cpu_ms"),
        ("the load client", "client_cpu_ms"),
        ("The load clients' share of a core, together", "client_cpu"),
        ("Rows of the log read at once", "rows_per_read"),
        ("Share of time that a write had the counter's row", "counter_busy"),
        ("so each had it, ms", "hold_ms"),
        ("Sessions that waited for it", "counter_waiting"),
        ("Other work on the machine, cores", "others"),
    ]
    head = ["", *(f"{n} process{'es' if n > 1 else ''}" for n in PROCESSES)]
    return table(
        head, [(what, *(run.shown(f"writes_{n}", f) for n in PROCESSES)) for what, f in rows]
    )


def counted(run: Run) -> str:
    lines = []
    for clients in CLIENTS:
        rates = {name: run.middle(f"{name}_{clients}", "writes_per_s") for name in NUMBERED_BY}
        base = rates["sequence"]
        lines.append(
            (
                str(clients),
                *(run.shown(f"{name}_{clients}", "writes_per_s") for name in NUMBERED_BY),
                _ratio(rates["counter"], base),
                _ratio(rates["statement"], base),
                number(run.middle(f"counter_{clients}", "number_ms")),
                number(run.middle(f"counter_{clients}", "hold_ms")),
                number(run.middle(f"counter_{clients}", "commit_ms")),
            )
        )
    ratios = ("counter : sequence", "one statement : sequence")
    times = ("counter: taking the number, ms", "keeping it, ms", "of that the commit, ms")
    return table(("sessions", *NUMBERED_BY.values(), *ratios, *times), lines)


def _ratio(one: float, other: float) -> str:
    return f"{one / other:.2f}" if other else "–"


def costs_of_one(run: Run) -> str:
    rows = [
        ("Statements of a write, with `COMMIT`, beside `BEGIN`", run.shown("hints", "statements")),
        ("Bytes of a write from the process to PostgreSQL", run.shown("hints", "sent")),
        ("and back", run.shown("hints", "received")),
        ("Bytes of a write in PostgreSQL's write-ahead log", run.shown("hints", "wal")),
    ]
    ways = [
        ("hints", "paced", "with Redis, paced"),
        ("hints", "burst", "with Redis, in a burst"),
        ("poll", "paced", "by the poll, paced"),
        ("poll", "burst", "by the poll, in a burst"),
    ]
    for part, name, how in ways:
        rows += [
            (f"Reads of the log for an event, {how}", run.shown(part, f"{name}_reader_reads")),
            ("rows in these", run.shown(part, f"{name}_reader_rows")),
            ("bytes from PostgreSQL", run.shown(part, f"{name}_reader_received")),
            ("CPU seconds for 1 000 events", run.shown(part, f"{name}_reader_cpu_ms")),
        ]
    rows.append(("CPU seconds for 1 000 writes, paced", run.shown("hints", "paced_writer_cpu_ms")))
    rows.append(("in a burst", run.shown("hints", "burst_writer_cpu_ms")))
    return table(("", "median (lowest to highest)"), rows)


def constants(run: Run) -> str:
    names = {
        "write": "a write",
        "read": "a read of the log",
        "row": "a row in it",
        "message": "a message to a client",
        "idle": "a second of nothing",
        "told": "a process that is told",
    }
    lines = []
    for part, owner in (("process", "a process"), ("postgres", "PostgreSQL"), ("redis", "Redis")):
        off = model.error(run.observed(part), run.fits[part])
        for index, (name, cost) in enumerate(run.fits[part].items()):
            about = f"{len(run.observed(part))} observations, {off:.0%} off" if not index else ""
            lines.append((owner if not index else "", names[name], f"{1000 * cost:.4f}", about))
    costs = run.costs()
    lines.append(
        ("the counter's row", "kept by a write", f"{1000 * costs.hold:.4f}", "paced writes")
    )
    trip = f"{1000 * costs.hold_one_trip:.4f}"
    lines.append(("", "kept, if in one trip", trip, "pgbench, 1 session"))
    return table(("part", "for", "ms", "from"), lines)


def checked(run: Run) -> str:
    costs, lines = run.costs(), []
    for n in PROCESSES:
        measured = run.middle(f"writes_{n}", "writes_per_s")
        batch = max(1, round(run.middle(f"writes_{n}", "rows_per_read")))
        cores = run.kept["cores"] - run.middle(f"writes_{n}", "others")
        client = run.middle(f"writes_{n}", "client_cpu_ms") / 1000
        # The machine is full: each write keeps the row as long as it was seen to.
        costs = replace(costs, hold=run.middle(f"writes_{n}", "hold_ms") / 1000)
        site = Site(n, postgres_cores=run.kept["cores"], audience=0, batch=batch)
        expected = model.on_one_machine(costs, site, cores, client)
        lines.append((str(n), number(measured), number(expected), _ratio(expected, measured)))
    return table(("processes", "measured, writes/s", "by the model", "ratio"), lines)


def demands(run: Run) -> str:
    costs, lines = run.costs(), []
    for n in SITES:
        found = model.parts(costs, Site(n))
        name, rate = model.first(costs, Site(n))
        late = model.first(costs, Site(n, batch=model.MOST_ROWS))
        cells = [f"{1000 * part.demand:.3f} → {_rate(part.ceiling)}" for part in found.values()]
        first = f"**{name}**, {_rate(rate)}"
        lines.append((_spaced(n), *cells, first, f"{late[0]}, {_rate(late[1])}"))
    names = (model.PROCESS, model.POSTGRES, model.COUNTER, model.REDIS)
    return table(
        ("processes", *names, "first, writes/s", "first, if 500 events are read at once"), lines
    )


def lifts(run: Run) -> str:
    costs, lines = run.costs(), []
    for index, (name, _) in enumerate(model.LIFTS):
        cells: list[str] = []
        for n in SITES[1:]:
            part, rate = model.first(costs, model.lifted(Site(n))[index][1])
            cells.append(f"{_rate(rate)} ({part})")
        lines.append((name, *cells))
    return table(("", *(f"{_spaced(n)} processes" for n in SITES[1:])), lines)


def slower_commits(run: Run) -> str:
    lines = []
    for slower in (0.0, 0.5, 1, 2, 5, 10):
        costs = replace(run.costs(), hold=run.costs().hold + slower / 1000)
        ceiling = model.parts(costs, Site(10))[model.COUNTER].ceiling
        lines.append((f"{slower:g}", f"{1000 * costs.hold:.2f}", _rate(ceiling)))
    return table(("a commit slower by, ms", "the row is kept, ms", "writes/s at most"), lines)


def falling_behind(costs: Costs) -> str:
    """From where a process reads more than one event at once, and where that ends."""
    one, many = costs.read + costs.row, costs.read / model.MOST_ROWS + costs.row
    return (
        f"from {_per_second(one)} events/s on, when it does nothing else, its delay grows; beyond "
        f"{_per_second(many)} it falls behind for good"
    )


def _per_second(demand: float) -> str:
    return _rate(1 / demand if demand else float("inf"))


def _rate(value: float) -> str:
    return "∞" if value == float("inf") else number(value)


def _spaced(n: int) -> str:
    return f"{n:,}".replace(",", " ")


def benchmark_rows(run: Run) -> str:
    """The section for docs/benchmarks.md."""
    lines = []
    what = "Change on one process to 10 raw WebSockets of another"
    for part, how in (("hints", "with Redis"), ("poll", "by the poll alone")):
        for share in ("p50", "p99"):
            lines.append((f"{what}, {how}: {share}", "ms", run.shown(part, f"event_{share}_ms")))
            since = run.shown(part, f"after_answer_{share}_ms")
            lines.append((f"the same, from the answer on: {share}", "ms", since))
        lines.append((f"Burst, {how}", "events/s", run.shown(part, "burst_events_per_s")))
    for n in PROCESSES:
        named = f"`POST /tasks` on PostgreSQL, {n} process{'es' if n > 1 else ''}"
        lines.append((named, "writes/s", run.shown(f"writes_{n}", "writes_per_s")))
    for name, how in (("counter", "with the counter's row"), ("sequence", "without it")):
        for clients in (CLIENTS[0], CLIENTS[-1]):
            sessions = f"{clients} session{'s' if clients > 1 else ''}"
            named = f"The same statements by pgbench, {sessions}, {how}"
            lines.append((named, "writes/s", run.shown(f"{name}_{clients}", "writes_per_s")))
    head = ("what", "unit", "median (lowest to highest)")
    about = (
        f"Made by `make bench-scaling` on {run.kept['date']}, everything on this one machine; how, "
        "and what\nmore processes would do, is in [scaling.md](scaling.md)."
    )
    return f"{HEADING}\n\n{about}\n{remark(run)}\n{table(head, lines)}\n"


def remark(run: Run) -> str:
    text = ""
    if run.kept["quick"]:
        text += "\n**A short run (`--quick`): not for comparison.**\n"
    if run.others > QUIET:
        text += f"\n**The machine was not quiet: other work took {run.others:.2f} cores.**\n"
    for failure in dict.fromkeys(run.kept["failures"]):
        text += f"\n**Not measured in every round:** {failure.splitlines()[0]}\n"
    return text


def document(run: Run) -> str:
    alone, costs = run.middle("counter_1", "hold_ms"), run.costs()
    rounds = run.kept["rounds"]
    return DOCUMENT.format(
        date=run.kept["date"],
        machine=run.kept["machine"],
        versions=run.kept["versions"],
        rounds=f"{rounds} round{'s' if rounds > 1 else ''}",
        remark=remark(run),
        cores=run.kept["cores"],
        delays=delays(run),
        writes=written(run),
        counter=counted(run),
        one=costs_of_one(run),
        constants=constants(run),
        check=checked(run),
        demands=demands(run),
        lifts=lifts(run),
        slower=slower_commits(run),
        pg_cores=Site(1).postgres_cores,
        audience=Site(1).audience,
        pool=POOL,
        connections=", ".join(_spaced(n * POOL) for n in SITES[1:]),
        falling_behind=falling_behind(costs),
        hold=f"{1000 * costs.hold:.2f}",
        ceiling=_per_second(costs.hold),
        crowded=f"{run.middle('writes_1', 'hold_ms'):.2f}",
        trip=f"{1000 * costs.hold_one_trip:.2f}",
        trip_ceiling=_per_second(costs.hold_one_trip),
        alone=f"{alone:.2f}",
        alone_ceiling=_per_second(alone / 1000),
        more=_ratio(
            run.middle(f"writes_{PROCESSES[-1]}", "writes_per_s"),
            run.middle("writes_1", "writes_per_s"),
        ),
        most=PROCESSES[-1],
    )


def saved_section() -> str:
    """That of the last run of `scaling.py`."""
    return benchmark_rows(Run.of(KEPT))


def with_section(text: str, section: str) -> str:
    """docs/benchmarks.md with this section, in place of the one it has or before the explanations.

    A section ends where the next begins."""
    start = text.find(HEADING + "\n")
    if start < 0:
        start = end = text.index("## What is compared\n")
    else:
        following = re.search(r"^## ", text[start + len(HEADING) :], re.M)
        end = start + len(HEADING) + following.start() if following else len(text)
    return text[:start] + section + text[end:]
