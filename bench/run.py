"""Is this the fastest task server a user could pick?  `make bench` says, side by side in one run.

Each server runs alone on the first core with the same data, the load client (`load.c`) on the
second.  Within a scenario the servers take turns, one round after the other, so that whatever
else the machine does falls on all; medians are compared.  `bench/scenarios.py` has what is
measured, `bench/rows.py` the table and its goals, `bench/peers/` the other servers.

The table goes to docs/benchmarks.md and the plot to docs/benchmarks.png.  `bench/notes.md`, where
there is one, goes into the document below the goals that were missed: where the time goes.  Below
that go the rows that `make bench-scaling` measured last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import rows, servers  # noqa: E402
from bench.client import WINDOW, ClientError  # noqa: E402
from bench.rows import NAMES, Results  # noqa: E402

PACKAGES = (
    "Flask", "Flask-SocketIO", "python-socketio", "python-engineio", "eventlet", "SQLAlchemy",
    "fastapi", "uvicorn", "uvloop",
)  # fmt: skip
NODE_PACKAGES = ("express", "socket.io", "ws", "better-sqlite3", "jsonwebtoken")
QUIET = 0.1  # share of a core that other work may take before the run is called disturbed
DOCUMENT = """# How fast, beside others

Made by `make bench` (`bench/run.py`) on {date}: {machine}.

{versions}

Median of {rounds} rounds; within each scenario the servers take turns. Each server runs alone on
one core, the load client on the other. The ratio is to the peer that the goal names.
{remark}
{table}
![The same as bars](benchmarks.png)

{misses}
{notes}## What is compared

- *this server*: `python app.py` with everything it always does: the schema, access, versions, the
  event log in the same transaction, revocation. `TASK_VISIBILITY=team`, so that everybody may see
  what is posted; rate limits are off, as no other has any. 10 000 accounts and 1 000 tasks.
- *Node*: Express, Socket.IO, better-sqlite3 in WAL with prepared statements, jsonwebtoken with its
  secret as a `KeyObject`. The same endpoints, checks of the body, and payloads, but no event log,
  no revocation and no access rule. For raw WebSockets, `ws` with the frame built once.
- *as it comes*: Flask-RESTful, Flask-JWT-Extended, Flask-SQLAlchemy's ORM, marshmallow, and
  Flask-SocketIO on eventlet with `socketio.run`, which stops at 1 024 connections in all.
- *FastAPI*: with python-socketio on uvicorn with uvloop and httptools; SQLAlchemy's ORM in `def`
  endpoints, and the standard library's sqlite3 in `async def` ones.
- *floor*: a C program that only writes the prepared frame to every socket.

## How it is measured

- From the request sent to the event received: one clock, from before the client's `write()` of
  `POST /tasks` to after the `read()` that brought the event, for every client and every event;
  one change every 200 ms (1 s to 10 000 clients). The *fan-out part* of it is the time from
  the first client's reception of an event to each client's.
- Burst: 50 changes over 16 connections, as fast as they are answered; messages received a second,
  from the first request to the last event.
- Connecting: after 200 clients that came and went, {window} at a time, each with a token of its
  own, until the last is in. A client of this server counts when it was told that its feed has
  begun; the others' when their connect was answered.
- Memory: what the server's process holds (PSS) with the clients connected and idle for 3 s, less
  what it held before, for each client.
- `POST /tasks`: one Socket.IO client listens, and must have received as many events as tasks were
  created. `GET /tasks/<id>` goes round 1 000 ids.
- Socket `create_task`: the token travels in each payload, as python-socketio clients of this
  stack do it. This server sends such a client the event as well as the ack; the others the ack
  alone. In the row below all 16 are signed in and receive one another's events, on every server.
- The client is one thread in C. It spent at most {busy} of its core in any measurement of fan-out
  (median of rounds), and less than that elsewhere; against the floor it takes {floor_rate}
  messages/s in a burst.

## The noise

Anything else on the machine, the host included, took {others} of a core (median of all
measurements). Lowest to highest round:

{ranges}"""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="short; writes no document")
    parser.add_argument(
        "--only", default="", help="scenarios whose names begin so (a,b,…); writes no document"
    )
    parser.add_argument("--servers", default="", help="columns (a,b,…); writes no document")
    parser.add_argument("--write", action="store_true", help="write the document all the same")
    return parser.parse_args()


def main() -> int:
    given = parse()
    servers.install()
    if Path(sys.prefix).resolve() != servers.PYTHON.parent.parent.resolve():
        os.execv(servers.PYTHON, [str(servers.PYTHON), *sys.argv])  # noqa: S606
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("Two cores are needed: one for the server, one for its clients.")
    os.sched_setaffinity(0, {servers.CLIENT_CORE})
    servers.raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        began = time.monotonic()
        results, failures = measure(given, Path(temporary))
    judged = rows.judge(results)
    print(rows.table(judged))
    for failure in failures:
        print(failure)
    if disturbance(results) > QUIET:
        print(f"The machine was not quiet: other work took {disturbance(results):.0%} of a core.")
    report = servers.BUILD / "results.json"
    report.write_text(json.dumps({"results": results, "failures": failures}, indent=1))
    print(f"{time.monotonic() - began:.0f} s; every figure is in {report.relative_to(ROOT)}")
    if given.write or not (given.quick or given.only or given.servers):
        write(results, judged, failures, given)
    return 0


def measure(given: argparse.Namespace, folder: Path) -> tuple[Results, list[str]]:
    from bench.scenarios import SCENARIOS, Bench

    results: Results = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    failures: list[str] = []
    chosen = [
        name
        for name in SCENARIOS
        if not given.only or name.startswith(tuple(given.only.split(",")))
    ]
    if not chosen:
        sys.exit(f"There are {', '.join(SCENARIOS)}.")
    data = folder / "data"
    data.mkdir()
    progress("making the data")
    servers.make_data(data)
    bench = Bench(data, folder / "place", given.quick)
    for name in chosen:
        for turn in range(given.rounds):
            for entry in SCENARIOS[name].entries:
                if given.servers and entry.key not in given.servers.split(","):
                    continue
                progress(f"{name}, round {turn + 1} of {given.rounds}: {NAMES[entry.key]}")
                before = busy()
                try:
                    found = SCENARIOS[name].measure(bench, entry)
                except (ClientError, RuntimeError) as error:
                    failures.append(f"{name}, {NAMES[entry.key]}: {error}")
                    continue
                found["others"] = others(before, busy())
                for figure, value in found.items():
                    if value is not None:
                        results[name][entry.key][figure].append(value)
    progress("")
    return results, failures


def busy() -> tuple[float, float, float]:
    """In seconds: now; all cores' busy time, with what the host took; and ours and that of the
    processes we have started and seen end."""
    line = Path("/proc/stat").read_text().split(maxsplit=9)
    ticks = [int(word) for word in line[1:9]]  # user nice system idle iowait irq softirq steal
    used = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    return time.monotonic(), used, sum(os.times()[:4])


def others(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    """The share of one core that went to something else meanwhile."""
    elapsed, used, own = (late - early for early, late in zip(before, after, strict=True))
    return max(0.0, used - own) / elapsed


def disturbance(results: Results) -> float:
    """The median of `others` over every measurement."""
    found = [
        share
        for columns in results.values()
        for figures in columns.values()
        for share in figures.get("others", [])
    ]
    return median(found) if found else 0.0


def progress(text: str) -> None:
    end = "" if sys.stderr.isatty() or not text else "\n"
    start = "\r\033[K" if sys.stderr.isatty() else ""
    print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


# --- the document


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = Path("/proc/cpuinfo").read_text()
    models = [
        line.partition(": ")[2] for line in found.splitlines() if line.startswith("model name")
    ]
    model = models[0] if models else platform.machine()
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB of memory, Linux {platform.release()}"
    )


def versions() -> str:
    from importlib.metadata import version

    node = subprocess.run(
        [str(servers.node() / "bin/node"), "--version"], capture_output=True, text=True, check=True
    )
    pinned = json.loads((servers.PEERS / "node/package.json").read_text())["dependencies"]
    packages = [f"{name} {pinned[name]}" for name in NODE_PACKAGES]
    python = [f"{name} {version(name)}" for name in PACKAGES]
    ours = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return (
        f"{ours}, {', '.join(python)}. "
        f"Node {node.stdout.strip().lstrip('v')}, {', '.join(packages)}."
    )


def misses(judged: list[rows.Judged], failures: list[str]) -> str:
    missed = [found for found in judged if found.is_met is False]
    lines = ["## What misses its goal", ""]
    for found in missed:
        reasons = [f"{ratio:.2f} for {text}" for text, ratio, _, met in found.ratios if not met]
        lines.append(f"- {found.row.what}: {'; '.join(reasons)}.")
    if not missed:
        lines.append("Nothing.")
    if failures:
        lines += ["", "Not everything could be measured:", ""]
        for text in dict.fromkeys(failures):
            lines.append(f"- {text.splitlines()[0]} ({failures.count(text)} times)")
    return "\n".join(lines) + "\n"


def write(
    results: Results, judged: list[rows.Judged], failures: list[str], given: argparse.Namespace
) -> None:
    from bench import plot, scaling_report

    shares = [
        rows.middle(results, scenario, column, figure) or 0
        for scenario in ("fanout", "fanout_wide")
        for column in results.get(scenario, {})
        for figure in ("client_cpu", "burst_client_cpu")
    ]
    remark = "\n**A short run (`--quick`): not for comparison.**\n" if given.quick else ""
    if disturbance(results) > QUIET:
        remark += "\n**The machine was not quiet: see under the noise.**\n"
    notes = servers.BENCH / "notes.md"
    date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    text = DOCUMENT.format(
        date=date,
        machine=machine(),
        versions=versions(),
        rounds=given.rounds,
        remark=remark,
        table=rows.table(judged),
        misses=misses(judged, failures),
        notes=notes.read_text() + "\n" if notes.exists() else "",
        others=f"{disturbance(results):.0%}",
        window=rows.number(WINDOW),
        busy=f"{max(shares, default=0):.0%}",
        floor_rate=rows.number(rows.middle(results, "fanout", "floor", "burst_per_s")),
        ranges=rows.ranges(results, judged),
    )
    if scaling_report.KEPT.exists():
        text = scaling_report.with_section(text, scaling_report.saved_section())
    (ROOT / "docs" / "benchmarks.md").write_text(text)
    plot.draw(judged, ROOT / "docs" / "benchmarks.png", f"{date}, {machine()}")


if __name__ == "__main__":
    sys.exit(main())
