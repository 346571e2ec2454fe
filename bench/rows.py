"""The rows of the table, their goals, and what was found."""

# ruff: noqa: RUF001 - a table for people has real signs

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

# results[scenario][column][figure] = one value for each round
Results = dict[str, dict[str, dict[str, list[float]]]]
NAMES = {
    "ours": "this server",
    "node": "Node",
    "plain": "as it comes",
    "fastapi_orm": "FastAPI, ORM",
    "fastapi": "FastAPI, sqlite3",
    "floor": "floor (C)",
    "ours_raw": "this server, raw",
    "node_raw": "Node, `ws`",
}
COLUMNS = ("node", "plain", "fastapi_orm", "fastapi", "floor")


@dataclass(frozen=True)
class Goal:
    """`sign` is ≤ or ≥; `limit` times the median of `than`, or as it stands."""

    sign: str
    limit: float
    than: str | None = None

    def __str__(self) -> str:
        if self.than is None:
            return f"{self.sign} {self.limit:g}"
        return f"{self.sign} {self.limit:g} × {NAMES[self.than]}"

    def is_met(self, measured: float, compared: float) -> bool:
        bound = self.limit * compared
        return measured <= bound if self.sign == "≤" else measured >= bound


@dataclass(frozen=True)
class Row:
    """One line.  `of` is whose figure it is: a column of the scenario."""

    what: str
    scenario: str
    figure: str
    unit: str
    goals: tuple[Goal, ...] = ()
    of: str = "ours"
    panel: str = ""  # of the plot
    beside: tuple[str, ...] = ()  # columns whose ratios are told although no goal names them


def _both(
    what: str,
    scenario: str,
    start: str,
    goals: tuple[Goal, ...],
    panel: str = "",
    beside: tuple[str, ...] = (),
) -> list[Row]:
    return [
        Row(
            f"{what}: {part}",
            scenario,
            f"{start}_{part}_ms",
            "ms",
            goals,
            panel=panel and f"{panel}, {part}",
            beside=beside,
        )
        for part in ("p50", "p99")
    ]


def _rows() -> list[Row]:
    much_less, level, at_least = Goal("≤", 0.7, "node"), Goal("≤", 1, "node"), Goal("≥", 1, "node")
    floor, socket_io = Goal("≤", 1.25, "floor"), Goal("≤", 1, "ours_sio")
    four_times = Goal("≥", 4, "fastapi_orm")
    to_1000, to_10000 = "Change to 1 000 Socket.IO clients", "Change to 10 000 Socket.IO clients"
    rows = [
        *_both(to_1000, "fanout", "event", (much_less,), "1 000 clients"),
        *_both("Its fan-out part (first client to each)", "fanout", "spread", (floor,)),
        Row(f"{to_10000}: p50", "fanout_wide", "event_p50_ms", "ms"),
        Row(
            f"{to_10000}: p99", "fanout_wide", "event_p99_ms", "ms", (much_less,),
            panel="10 000 clients, p99",
        ),
        *[
            Row(
                f"Change to 1 000 raw WebSockets: {part}", "fanout", f"event_{part}_ms", "ms",
                (socket_io,), of="ours_raw",
            )
            for part in ("p50", "p99")
        ],
        Row(
            "Burst of 50 changes to 1 000 clients", "fanout", "burst_per_s", "messages/s",
            (Goal("≥", 1.5, "node"),), panel="Burst",
        ),
    ]  # fmt: skip
    for count, scenario in ((1_000, "fanout"), (5_000, "storm")):
        shown = f"{count:,}".replace(",", " ")
        many = f"{shown} clients"
        rows.append(
            Row(
                f"Connecting {many}", scenario, "connect_s", "s", (level,), panel=f"Connect {shown}"
            )
        )
    for count, scenario in ((1_000, "fanout"), (5_000, "storm")):
        shown = f"{count:,}".replace(",", " ")
        what = f"Memory per idle connection, at {shown}"
        rows.append(Row(what, scenario, "memory_kb", "KB", (level,), panel=f"Memory at {shown}"))
    calls = {
        "get": ("`GET /tasks/<id>`", at_least),
        "list": ("`GET /tasks?limit=50`", at_least),
        "post": ("`POST /tasks`", Goal("≥", 0.8, "node")),
    }
    for name, (call, goal) in calls.items():
        rows.append(
            Row(
                f"{call} at 16 connections", "requests", f"{name}_requests_per_s", "requests/s",
                (goal, four_times), panel=call.strip("`"),
            )
        )  # fmt: skip
    for name, (call, _) in calls.items():
        rows.append(Row(f"{call}: p99", "requests", f"{name}_request_p99_ms", "ms", (level,)))
    fifth, five_times = Goal("≤", 0.2, "plain"), Goal("≥", 5, "plain")
    rest = ("node", "fastapi_orm", "fastapi")
    rows += [
        *_both("Socket `create_task` with ack, 1 client", "acks", "one_ack", (fifth,), "Ack", rest),
        Row(
            "The same, 16 clients", "acks", "many_acks_per_s", "acks/s", (five_times,),
            panel="Acks, 16 clients", beside=rest,
        ),
        Row(
            "The same, 16 clients who receive all events", "acks", "room_acks_per_s", "acks/s",
            beside=("node", "plain", "fastapi_orm", "fastapi"),
        ),
    ]  # fmt: skip
    for count, listeners in ((1, "1 listener"), (200, "200 listeners")):
        for part in ("p50", "p99"):
            what = f"Change to event, {listeners}: {part}"
            panel = f"{listeners}, {part}"
            rows.append(Row(what, "change", f"{part}_{count}_ms", "ms", (level,), panel=panel))
    rows += [
        Row("Start to first answer", "start", "start_s", "s", (Goal("≤", 1.5),), panel="Start"),
        Row("The first start of all (makes its data)", "start", "first_start_s", "s"),
    ]
    return rows


ROWS = _rows()
NAMES["ours_sio"] = "Socket.IO's"


def middle(results: Results, scenario: str, column: str, figure: str) -> float | None:
    column = "ours" if column == "ours_sio" else column
    values = results.get(scenario, {}).get(column, {}).get(figure)
    return median(values) if values else None


def peer_column(row: Row, column: str) -> str:
    """Raw WebSockets are compared with Node's raw ones, there are no others; the floor has no
    part in what is not fan-out."""
    if column == "floor" and row.figure in ("connect_s", "memory_kb"):
        return ""
    if row.of == "ours":
        return column
    return {"node": "node_raw", "floor": "floor"}.get(column, "")


@dataclass(frozen=True)
class Judged:
    row: Row
    measured: float
    peers: dict[str, float]
    ratios: list[tuple[str, float, Goal, bool]]

    @property
    def is_met(self) -> bool | None:
        return all(met for *_, met in self.ratios) if self.ratios else None


def judge(results: Results) -> list[Judged]:
    """Every row that was measured."""
    return [found for row in ROWS if (found := _judge(results, row))]


def _judge(results: Results, row: Row) -> Judged | None:
    measured = middle(results, row.scenario, row.of, row.figure)
    if measured is None:
        return None
    peers = {}
    for column in COLUMNS:
        value = middle(results, row.scenario, peer_column(row, column), row.figure)
        if value is not None:
            peers[column] = value
    ratios = []
    for goal in row.goals:
        compared = middle(results, row.scenario, goal.than, row.figure) if goal.than else 1.0
        if compared:
            ratio = measured / compared
            ratios.append((str(goal), ratio, goal, goal.is_met(measured, compared)))
    return Judged(row, measured, peers, ratios)


def number(value: float | None) -> str:
    """With as many digits as a measurement bears."""
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(judged: Iterable[Judged]) -> str:
    heads = ["what", "unit", "goal", NAMES["ours"], *(NAMES[c] for c in COLUMNS), "ratio", "met"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|---|" + "--:|" * 7 + "---|"]
    for found in judged:
        cells = [found.row.what, found.row.unit]
        cells.append("; ".join(text for text, *_ in found.ratios) or "–")
        cells.append(f"**{number(found.measured)}**")
        for column in COLUMNS:
            value = found.peers.get(column)
            cells.append(number(value) if value is not None else "–")
        ratios = [f"{ratio:.2f}" for _, ratio, goal, _ in found.ratios if goal.than]
        ratios += [
            f"{found.measured / found.peers[column]:.2f} × {NAMES[column]}"
            for column in found.row.beside
            if column in found.peers
        ]
        cells.append("; ".join(ratios) or "–")
        cells.append("; ".join("yes" if met else "**no**" for *_, met in found.ratios) or "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def ranges(results: Results, judged: Iterable[Judged]) -> str:
    """The lowest and the highest round of each, for the noise."""
    columns = ("ours", *COLUMNS)
    lines = [
        "| what | " + " | ".join(NAMES[column] for column in columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    for found in judged:
        row, cells = found.row, []
        for column in columns:
            key = row.of if column == "ours" else peer_column(row, column)
            values = results.get(row.scenario, {}).get(key, {}).get(row.figure)
            cells.append(f"{number(min(values))} to {number(max(values))}" if values else "–")
        lines.append(f"| {row.what}, {row.unit} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
