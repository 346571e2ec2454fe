"""What so many processes would do: service demands, and the laws that follow from them.

Each part has a *demand*: the seconds it is busy with one write.  Its utilisation is throughput
times demand (the utilisation law), and no part can be busier than always, so the part with the
largest demand bounds the throughput: 1 / demand (Denning and Buzen, "The Operational Analysis of
Queueing Network Models", 1978).  What a part does anyway, be there writes or not, leaves it less
than a second in each.

`Costs` are measured (`fit`), a `Site` is made up; nothing here touches a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

PROCESS, POSTGRES, COUNTER, REDIS = "a process", "PostgreSQL", "the counter's row", "Redis"
MOST_ROWS = 500  # that a process reads at once: `task_app.realtime.relay.BATCH`


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU, but for `hold`.  Of a server process: for a write, for a read of the log, for
    each row in it, for each message to a client, and for each second of doing nothing.  Of
    PostgreSQL the same.  Of Redis for each write and for each process that is told of it.  `hold`
    is how long a write keeps the counter's row from the next, `hold_one_trip` how long it would if
    the log and the commit were sent together."""

    write: float
    read: float
    row: float
    message: float
    idle: float
    pg_write: float
    pg_read: float
    pg_row: float
    pg_idle: float
    redis_write: float
    redis_told: float
    hold: float
    hold_one_trip: float


@dataclass(frozen=True)
class Site:
    """`processes` take equal shares of the writes; each event goes to `audience` connected clients;
    a process reads `batch` events at once.

    One process in `per_reader` reads the log and feeds the others of its host; the log is in
    `partitions` with a counter each, and a process has to do with one of them; `group` writes
    share a commit; `one_trip`: the log and the commit are sent together."""

    processes: int
    postgres_cores: int = 16
    audience: int = 10
    batch: int = 1
    per_reader: int = 1
    partitions: int = 1
    group: int = 1
    one_trip: bool = False

    @property
    def readers(self) -> float:
        """Processes that read one partition of the log."""
        return max(1.0, self.processes / self.per_reader / self.partitions)


@dataclass(frozen=True)
class Part:
    """How busy it is without any write, as a share of its time, and its demand: seconds a write."""

    idle: float
    demand: float

    @property
    def ceiling(self) -> float:
        """Writes a second at which it is always busy."""
        return max(0.0, 1.0 - self.idle) / self.demand if self.demand else float("inf")


def parts(costs: Costs, site: Site) -> dict[str, Part]:
    """Each part's demand on this site."""
    n, others = site.processes, site.readers - 1
    # Of a write's events a process reads those of its partition that it did not write itself.
    reads = max(0.0, 1 / site.partitions - 1 / n)
    fed = max(1.0, min(site.per_reader, n / site.partitions)) - 1
    one_read = costs.row + costs.read / site.batch + fed * costs.message
    process = costs.write / n + reads * one_read + site.audience / n * costs.message
    postgres = costs.pg_write + others * (costs.pg_row + costs.pg_read / site.batch)
    hold = costs.hold_one_trip if site.one_trip else costs.hold
    told = costs.redis_write + site.readers * costs.redis_told
    return {
        PROCESS: Part(costs.idle, process),
        POSTGRES: Part(n * costs.pg_idle / site.postgres_cores, postgres / site.postgres_cores),
        COUNTER: Part(0.0, hold / site.partitions / site.group),
        REDIS: Part(0.0, told),
    }


def first(costs: Costs, site: Site) -> tuple[str, float]:
    """The part that gives way first, and at how many writes a second."""
    found = parts(costs, site)
    name = min(found, key=lambda part: found[part].ceiling)
    return name, found[name].ceiling


# One after the other: what is changed of the site, and how it is called.
LIFTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("as it is", {}),
    ("the log and the commit in one trip", {"one_trip": True}),
    ("one reader for each 16 processes", {"per_reader": 16}),
    ("the log in 8 parts, a counter each", {"partitions": 8}),
    ("8 writes to a commit", {"group": 8}),
)


def lifted(site: Site) -> list[tuple[str, Site]]:
    """The site as it is, and with each of `LIFTS` and those before it."""
    found = []
    for name, change in LIFTS:
        site = replace(site, **change)
        found.append((name, site))
    return found


def on_one_machine(costs: Costs, site: Site, cores: float, client: float) -> float:
    """Writes a second where everything shares `cores`, the load client with them (`client` seconds
    for each write): the machine's CPU is one more part."""
    found = parts(costs, site)
    n, pg = site.processes, site.postgres_cores
    demand = n * found[PROCESS].demand + pg * found[POSTGRES].demand + found[REDIS].demand + client
    idle = n * costs.idle + pg * found[POSTGRES].idle
    machine = max(0.0, cores - idle) / demand
    return min(machine, found[PROCESS].ceiling, found[COUNTER].ceiling)


# --- fitting


Observation = tuple[Mapping[str, float], float]  # how much of each was done, seconds measured


def fit(observations: Sequence[Observation], names: Sequence[str]) -> dict[str, float]:
    """The costs that explain what was measured best: the least squares of the relative errors,
    none of them negative (one that would be is 0, and the others are fitted without it)."""
    used = list(names)
    while used:
        solution = _least_squares([(_row(o, used), 1.0) for o in observations if o[1] > 0])
        worst = min(range(len(used)), key=lambda i: solution[i])
        if solution[worst] >= 0:
            return dict.fromkeys(names, 0.0) | dict(zip(used, solution, strict=True))
        del used[worst]
    return dict.fromkeys(names, 0.0)


def _row(observation: Observation, names: Sequence[str]) -> list[float]:
    amounts, measured = observation
    return [amounts.get(name, 0.0) / measured for name in names]


def _least_squares(rows: Sequence[tuple[Sequence[float], float]]) -> list[float]:
    """The normal equations, by elimination.  Amounts are scaled to be alike; a column that says
    nothing, or nothing new, gets 0."""
    count = len(rows[0][0])
    scale = [max(abs(values[i]) for values, _ in rows) or 1.0 for i in range(count)]
    matrix = [[0.0] * (count + 1) for _ in range(count)]
    for values, wanted in rows:
        scaled = [value / by for value, by in zip(values, scale, strict=True)]
        for i in range(count):
            for j in range(count):
                matrix[i][j] += scaled[i] * scaled[j]
            matrix[i][count] += scaled[i] * wanted
    return [found / by for found, by in zip(_solve(matrix), scale, strict=True)]


def _solve(matrix: list[list[float]]) -> list[float]:
    """Gauss and Jordan, with pivots."""
    count = len(matrix)
    placed: dict[int, int] = {}  # column -> its row
    for column in range(count):
        free = [row for row in range(count) if row not in placed.values()]
        pivot = max(free, key=lambda row: abs(matrix[row][column]))
        if abs(matrix[pivot][column]) < 1e-9:
            continue
        placed[column] = pivot
        matrix[pivot] = [value / matrix[pivot][column] for value in matrix[pivot]]
        for row in range(count):
            if row != pivot:
                by = matrix[row][column]
                pairs = zip(matrix[row], matrix[pivot], strict=True)
                matrix[row] = [value - by * other for value, other in pairs]
    return [matrix[placed[c]][count] if c in placed else 0.0 for c in range(count)]


def error(observations: Sequence[Observation], costs: Mapping[str, float]) -> float:
    """The middle of the relative errors: how far from what was measured the costs lead."""
    found = sorted(
        abs(sum(costs[name] * amounts.get(name, 0.0) for name in costs) / measured - 1)
        for amounts, measured in observations
        if measured > 0
    )
    return found[len(found) // 2] if found else 0.0
