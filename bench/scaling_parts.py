"""What `scaling.py` measures in each round, on real parts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from bench.client import BODY, ClientError, Figures, Sockets, http
from bench.installation import COPY, Installation
from bench.model import Observation
from bench.servers import DESCRIPTION
from bench.usage import CounterWatch, Look, Use
from deploy.cluster import Process
from deploy.services import HOST, program

LISTENERS, CROWD = 10, 200
CONNECTIONS = 16  # to each process that is written to
PROCESSES = (1, 2, 4)
PGBENCH_CLIENTS = (1, 2, 4, 8, 16)
NUMBERED_BY = ("counter", "sequence", "statement")  # the scripts
SCRIPTS = Path(__file__).resolve().parent / "pgbench"
REQUEST = "5e9d3c1f07b24a6880c1"  # as long as the server's
STAMP = "2026-01-01T00:00:00.000000Z"
APPENDING = "INSERT INTO tasks |WITH head AS"
PEACE_SECONDS = 0.01  # between two looks at the counter, where nobody is in a hurry
READING_PAUSE = 3.0  # the most that is waited for the others to have read everything


@dataclass
class Bench:
    """`observations` are what the model is fitted to: of server processes, PostgreSQL, Redis."""

    installation: Installation
    quick: bool
    observations: dict[str, list[Observation]] = field(
        default_factory=lambda: {"process": [], "postgres": [], "redis": []}
    )

    def amount(self, full: float, quick: float) -> float:
        return quick if self.quick else full

    @property
    def tokens(self) -> str:
        return str(self.installation.tokens)

    @contextmanager
    def listening(self, writer: Process, listener: Process, count: int) -> Iterator[Sockets]:
        """So many raw WebSockets on one process, requests to the other."""
        sockets = Sockets(listener.port, "ws", count, self.tokens, '"ready"')
        try:
            sockets.do("post", writer.port)
            yield sockets
        finally:
            sockets.close()

    def first_event(self) -> None:
        """So that there is one to see: the statements of a write, and what it leaves in the log."""
        with self.installation.running(1, hinted=False) as processes:
            _post(processes, 0.1, self.tokens)

    def observe(
        self, use: Use, writes: list[float], messages: list[float], *, hinted: bool
    ) -> None:
        """Note what was done, process by process, and how long each part was busy with it."""
        seconds, count = use.seconds, len(writes)
        for one, written, sent in zip(use.processes, writes, messages, strict=True):
            amounts = {"write": written, "read": one.reads, "row": one.rows}
            self._note("process", amounts | {"message": sent, "idle": seconds}, one.cpu)
        reads, rows = (
            sum(getattr(one, name) for one in use.processes) for name in ("reads", "rows")
        )
        total = {"write": sum(writes), "read": reads, "row": rows, "idle": seconds * count}
        self._note("postgres", total, use.postgres)
        told = {"write": sum(writes), "told": sum(writes) * count}
        if hinted:
            self._note("redis", told, use.redis)

    def _note(self, part: str, amounts: dict[str, float], measured: float) -> None:
        self.observations[part].append((amounts, measured))


# --- from a write on one process to a client on another


def delay(bench: Bench, *, hinted: bool) -> Figures:
    """Paced changes, by ten listeners of another process; and a burst."""
    found: Figures = {}
    with bench.installation.running(2, hinted=hinted) as (writer, listener):
        both = [writer, listener]
        with bench.listening(writer, listener, LISTENERS) as sockets:
            sockets.do("paced", 40, 20, "/tasks", BODY)
            # No divisor of the poll's second, so that changes come at any time in it.
            count = int(bench.amount(150 if not hinted else 200, 60 if not hinted else 40))
            look = Look(bench.installation, both)
            measured = sockets.do("paced", count, 47 if not hinted else 23, "/tasks", BODY)
            use = look.until()
            bench.observe(use, [count, 0], [0, count * LISTENERS], hinted=hinted)
            for figure in ("event", "after_answer", "request"):
                for part in ("p50", "p99"):
                    found[f"{figure}_{part}_ms"] = measured[f"{figure}_{part}_ms"]
            found["paced_client_cpu"] = measured["client_cpu"]
            found |= _costs_of_reading("paced", use, count)
            if hinted:
                found |= _costs_of_writing(use, count) | _hold_in_peace(bench, sockets, count)
        for name, listeners in (("burst", LISTENERS), ("crowd", CROWD)):
            with bench.listening(writer, listener, listeners) as sockets:
                found |= _burst(bench, sockets, both, name, listeners, hinted)
        if not hinted:
            _read_to_nobody(bench, both)
    return found


def _hold_in_peace(bench: Bench, sockets: Sockets, count: int) -> Figures:
    """How long a write keeps the counter's row where nobody competes with it."""
    with CounterWatch(bench.installation, PEACE_SECONDS) as watch:
        measured = sockets.do("paced", count, 23, "/tasks", BODY)
    if watch.busy is None:
        return {}
    return {"hold_ms": 1000 * watch.busy * measured["seconds"] / count}


def _read_to_nobody(bench: Bench, both: list[Process]) -> None:
    """Many rows at once, with nobody to send them to: for the model alone."""
    look = Look(bench.installation, both)
    made = _post(both[:1], bench.amount(2, 1), bench.tokens)[0]["http"]
    _wait_until_read(both)
    bench.observe(look.until(), [made, 0], [0, 0], hinted=False)


def _burst(
    bench: Bench, sockets: Sockets, both: list[Process], name: str, listeners: int, hinted: bool
) -> Figures:
    count = int(bench.amount(600, 200))
    sockets.do("burst", 50, CONNECTIONS, "/tasks", BODY)
    look = Look(bench.installation, both)
    measured = sockets.do("burst", count, CONNECTIONS, "/tasks", BODY)
    use = look.until()
    bench.observe(use, [count, 0], [0, count * listeners], hinted=hinted)
    return _costs_of_reading(name, use, count) | {
        f"{name}_events_per_s": count / measured["seconds"],
        f"{name}_after_answer_p50_ms": measured["after_answer_p50_ms"],
        f"{name}_after_answer_p99_ms": measured["after_answer_p99_ms"],
        f"{name}_client_cpu": measured["client_cpu"],
    }


def _costs_of_reading(name: str, use: Use, events: int) -> Figures:
    """At the process that only listens."""
    reader = use.processes[1]
    return {
        f"{name}_reader_rows": reader.rows / events,
        f"{name}_reader_reads": reader.reads / events,
        f"{name}_reader_cpu_ms": 1000 * reader.cpu / events,
        f"{name}_writer_cpu_ms": 1000 * use.processes[0].cpu / events,
        f"{name}_reader_received": reader.received / events,
    }


def _costs_of_writing(use: Use, events: int) -> Figures:
    writer = use.processes[0]
    return {
        "statements": writer.statements / events,
        "sent": writer.sent / events,
        "received": writer.received / events,
        "wal": use.wal / events,
    }


# --- writes a second


def writes(bench: Bench, *, count: int) -> Figures:
    """`POST /tasks` to each of so many processes, as fast as they answer."""
    seconds = bench.amount(3, 1)
    with bench.installation.running(count, hinted=True) as processes:
        _post(processes, bench.amount(1, 0.5), bench.tokens)
        with CounterWatch(bench.installation) as watch:
            look = Look(bench.installation, processes)
            measured = _post(processes, seconds, bench.tokens)
        _wait_until_read(processes)
        use = look.until()
    made = [float(one["http"]) for one in measured]
    total = sum(made)
    bench.observe(use, made, [0.0] * count, hinted=True)
    rate = sum(one["requests_per_s"] for one in measured)
    rows, reads = (sum(getattr(one, name) for one in use.processes) for name in ("rows", "reads"))
    found = {
        "writes_per_s": rate,
        "p50_ms": max(one["request_p50_ms"] for one in measured),
        "p99_ms": max(one["request_p99_ms"] for one in measured),
        "client_cpu": sum(one["client_cpu"] for one in measured),
        "client_cpu_ms": 1000 * sum(one["client_cpu"] for one in measured) / rate,
        "process_cpu_ms": 1000 * sum(one.cpu for one in use.processes) / total,
        "postgres_cpu_ms": 1000 * use.postgres / total,
        "redis_cpu_ms": 1000 * use.redis / total,
        "rows_per_read": rows / reads if count > 1 and reads else None,
        "counter_busy": watch.busy,
        "counter_waiting": watch.waiting,
    }
    own = sum(one.cpu for one in use.processes) + use.postgres + use.redis + use.harness
    own += sum(one["client_cpu"] for one in measured) * seconds
    found["others"] = max(0.0, use.machine - own) / use.seconds
    if watch.busy is not None:
        found["hold_ms"] = 1000 * watch.busy / rate  # the utilisation law
    return found


def _post(processes: list[Process], seconds: float, tokens: str) -> list[Figures]:
    with ThreadPoolExecutor(len(processes)) as pool:
        return list(
            pool.map(lambda one: http(one.port, "POST", "/tasks", seconds, tokens, BODY), processes)
        )


def _wait_until_read(processes: list[Process]) -> None:
    """Until every process stands at the same event: what they read belongs to the writes."""
    late = time.monotonic() + READING_PAUSE
    while time.monotonic() < late:
        stands = set()
        for process in processes:
            connection = HTTPConnection(HOST, process.port, timeout=READING_PAUSE)
            connection.request("GET", "/health")
            stands.add(json.load(connection.getresponse())["seq"])
            connection.close()
        if len(stands) == 1:
            return
        time.sleep(0.05)
    raise RuntimeError("the processes do not catch up with their log")


# --- what the counter costs PostgreSQL alone


def pgbench(bench: Bench, *, clients: int, script: str) -> Figures:
    """The statements of a write by so many sessions of pgbench's."""
    event = _a_recorded_event(bench)
    command = [
        *(program("pgbench"), "--no-vacuum", "--protocol=prepared", "--report-per-command"),
        *("--host", HOST, "--port", str(bench.installation.postgres.port)),
        *("--username", "postgres", "--client", str(clients), "--jobs", "1"),
        *("--time", str(int(bench.amount(2, 1))), "--file", str(SCRIPTS / f"{script}.sql")),
        *(f"--define={name}={value}" for name, value in event.items()),
        COPY,
    ]
    known = os.environ | {"PGPASSWORD": bench.installation.postgres.password}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=known)
    if done.returncode:
        raise ClientError(done.stderr[-500:])
    return _figures_of_pgbench(done.stdout)


def _a_recorded_event(bench: Bench) -> dict[str, str]:
    """Of the size and kind that the server writes: the last one it wrote."""
    row = bench.installation.db.execute(
        "SELECT type, data::text, changes::text, rooms::text FROM events ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    names = ("type", "data", "changes", "rooms", "created_at", "task_id", "actor_id")
    event = dict(zip(names, map(_one, (*row, STAMP, "1", "2")), strict=True))
    fixed = {"title": "bench-1", "description": DESCRIPTION, "status": "todo", "priority": "high"}
    return {**event, **fixed, "now": STAMP, "number": "1", "request_id": REQUEST}


def _one(text: str) -> str:
    """PostgreSQL's array of this one text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{"{escaped}"}}'


def _figures_of_pgbench(told: str) -> Figures:
    rate = re.search(r"tps = ([\d.]+)", told)
    latency = re.search(r"latency average = ([\d.]+)", told)
    steps = re.findall(r"^ +([\d.]+) +\d+ +(\S.*)$", told, re.M)
    assert rate
    assert latency
    names = [command.split("(")[0].strip() for _, command in steps]
    taking = ("UPDATE", "SELECT", "WITH")  # a number for the event
    number = next(i for i, name in enumerate(names) if name.startswith(taking))
    held = sum(float(took) for took, _ in steps[number + 1 :])
    return {
        "writes_per_s": float(rate[1]),
        "latency_ms": float(latency[1]),
        "number_ms": float(steps[number][0]),
        "hold_ms": held,
        "commit_ms": float(steps[-1][0]),
    }


def check_scripts(bench: Bench) -> None:
    """The scripts must be what the server sends, but for the number.  Raises RuntimeError.

    Compared as PostgreSQL has kept them, parameters and constants alike."""
    sent = _kept(bench, "process_0", "postgres")
    pgbench(bench, clients=1, script="counter")
    mine = _kept(bench, "postgres", COPY)
    if not mine or not mine <= sent:
        raise RuntimeError(f"bench/pgbench has what the server does not send: {mine - sent}")
    missing = {one for one in sent if re.match(APPENDING, one)} - mine
    if missing:
        raise RuntimeError(f"bench/pgbench lacks what the server sends: {missing}")


def _kept(bench: Bench, user: str, database: str) -> set[str]:
    rows = bench.installation.db.execute(
        "SELECT query FROM pg_stat_statements s JOIN pg_roles r ON r.oid = userid "
        "JOIN pg_database d ON d.oid = dbid WHERE rolname = %s AND datname = %s",
        (user, database),
    ).fetchall()
    texts = (" ".join(re.sub(r"\$\d+", "$", text).split()) for (text,) in rows)
    writing = re.compile(r"INSERT|UPDATE|WITH|SELECT nextval")
    return {text for text in texts if writing.match(text)}


Part = Callable[[Bench], Figures]


def _parts() -> dict[str, Part]:
    found: dict[str, Part] = {
        "hints": lambda bench: delay(bench, hinted=True),
        "poll": lambda bench: delay(bench, hinted=False),
    }
    for count in PROCESSES:
        found[f"writes_{count}"] = lambda bench, count=count: writes(bench, count=count)
    for clients in PGBENCH_CLIENTS:
        for script in NUMBERED_BY:
            found[f"{script}_{clients}"] = lambda bench, clients=clients, script=script: pgbench(
                bench, clients=clients, script=script
            )
    return found


PARTS = _parts()
