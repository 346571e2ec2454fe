"""What each part of an installation used between two looks: CPU, statements, rows, bytes."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench.installation import Installation, role
from deploy.cluster import Process
from deploy.services import Service

# The relay's read of the log, and how often and how many rows each process read so; all that it
# ran; BEGIN is counted by some versions until it is prepared, and so not at all here.
STATEMENTS = """
    SELECT rolname, coalesce(sum(calls) FILTER (WHERE query NOT LIKE 'BEGIN%'), 0),
        coalesce(sum(calls) FILTER (WHERE query LIKE '%FROM events%'), 0),
        coalesce(sum(rows) FILTER (WHERE query LIKE '%FROM events%'), 0)
    FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid GROUP BY rolname
"""
# Who has the counter's row: it is the last but one that a write takes, and kept until the commit.
HOLDERS = """
    SELECT count(*) FILTER (WHERE holds), count(*) FILTER (WHERE wait_event_type = 'Lock')
    FROM (
        SELECT wait_event_type, coalesce(wait_event_type, '') <> 'Lock' AND (
            query LIKE 'INSERT INTO event%' OR query = 'COMMIT' AND state = 'active'
            OR query LIKE 'UPDATE log_head%'
        ) AND state IN ('active', 'idle in transaction') AS holds
        FROM pg_stat_activity WHERE usename LIKE 'process%'
    ) AS sessions
"""
LOOK_SECONDS = 0.02


def cpu_seconds(pid: int) -> float:
    """Of all threads of a process, to the nanosecond (`/proc/<pid>/stat` counts in 10 ms).  0 when
    it has ended."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(task.read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


def machine_seconds() -> float:
    """What all cores have been busy with, what the host took of them included."""
    words = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    ticks = [int(word) for word in words]  # user nice system idle iowait irq softirq steal
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def children(service: Service) -> list[int]:
    """The processes that PostgreSQL has made, and itself."""
    assert service.process is not None
    pid = service.process.pid
    try:
        made = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        made = []
    return [pid, *map(int, made)]


def socket_bytes(postgres_port: int) -> dict[int, tuple[int, int]]:
    """Bytes that each process has sent to PostgreSQL and received from it, over the connections it
    has now."""
    told = subprocess.run(
        ["ss", "-tinpH", "dport", "=", f":{postgres_port}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found: dict[int, tuple[int, int]] = {}
    for connection in re.split(r"\n(?=\S)", told):
        pid = re.search(r"pid=(\d+)", connection)
        if pid is None:
            continue
        sent, received = found.get(int(pid[1]), (0, 0))
        counts = {name: int(n) for name, n in re.findall(r"(bytes_\w+):(\d+)", connection)}
        sent += counts.get("bytes_sent", 0)
        received += counts.get("bytes_received", 0)
        found[int(pid[1])] = (sent, received)
    return found


@dataclass
class Spent:
    """Of one process, between two looks."""

    cpu: float = 0.0
    statements: int = 0
    reads: int = 0  # of the log
    rows: int = 0  # in these
    sent: int = 0  # to PostgreSQL
    received: int = 0


@dataclass
class Use:
    seconds: float = 0.0
    processes: list[Spent] = field(default_factory=list)
    postgres: float = 0.0
    redis: float = 0.0
    wal: float = 0.0  # bytes
    machine: float = 0.0  # all cores' CPU seconds, the host's too
    harness: float = 0.0  # those of this program itself


class Look:
    """How everything stands.  `until` gives what was used from then on."""

    def __init__(self, installation: Installation, processes: list[Process]) -> None:
        self.installation, self.processes = installation, processes
        db = installation.db
        self.statements = {name: counts for name, *counts in db.execute(STATEMENTS)}
        self.wal = int(db.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()[0])
        self.bytes = socket_bytes(installation.postgres.port)
        self.at, self.machine = time.monotonic(), machine_seconds()
        self.harness = time.process_time()
        self.cpu = {pid: cpu_seconds(pid) for pid in self._all()}

    def _all(self) -> list[int]:
        mine = [pid for one in self.processes if (pid := _pid(one))]
        return [*mine, _pid(self.installation.redis), *children(self.installation.postgres)]

    def until(self) -> Use:
        """Call while the same processes run."""
        now = Look(self.installation, self.processes)
        use = Use(now.at - self.at, wal=float(now.wal - self.wal))
        use.machine, use.harness = now.machine - self.machine, now.harness - self.harness
        for number, process in enumerate(self.processes):
            use.processes.append(self._spent(now, number, _pid(process)))
        use.redis = now._since(self, _pid(self.installation.redis))
        backends = children(self.installation.postgres)
        use.postgres = sum(now._since(self, pid) for pid in backends)
        return use

    def _since(self, before: Look, pid: int) -> float:
        return max(0.0, self.cpu.get(pid, 0.0) - before.cpu.get(pid, 0.0))

    def _spent(self, now: Look, number: int, pid: int) -> Spent:
        early = self.statements.get(role(number), [0, 0, 0])
        late = now.statements.get(role(number), [0, 0, 0])
        counts = [int(a - b) for a, b in zip(late, early, strict=True)]
        was, is_now = self.bytes.get(pid, (0, 0)), now.bytes.get(pid, (0, 0))
        sent, received = (max(0, a - b) for a, b in zip(is_now, was, strict=True))
        return Spent(now._since(self, pid), *counts, sent, received)


def _pid(service: Service) -> int:
    assert service.process is not None
    return service.process.pid


class CounterWatch:
    """Looks again and again whether somebody has the counter's row, and how many wait.

    `busy` is the share of looks at which somebody had it (its utilisation), `waiting` the mean
    number of sessions that waited for a lock."""

    def __init__(self, installation: Installation, pause: float = LOOK_SECONDS) -> None:
        self.url, self.pause = installation.postgres.url(), pause
        self.found: list[tuple[int, int]] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as db:
            while not self.over.wait(self.pause):
                self.found += db.execute(HOLDERS).fetchall()

    def __enter__(self) -> CounterWatch:
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        self.thread.join()

    @property
    def busy(self) -> float | None:
        return sum(held > 0 for held, _ in self.found) / len(self.found) if self.found else None

    @property
    def waiting(self) -> float | None:
        return sum(waiting for _, waiting in self.found) / len(self.found) if self.found else None
