"""PostgreSQL, Redis and processes of our server on this machine.

Unlike that of `make cluster`, this PostgreSQL is one whose data would survive a power loss: what a
commit costs is what is asked here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import redis

from bench.servers import FIRST_PERSON, SECRET, tokens
from deploy.cluster import PROCESSES, Cluster, Process
from deploy.services import PostgreSQL, Redis

MOST_PROCESSES = 4
PEOPLE = 100
PATIENCE = 10.0  # seconds until a process has found Redis
SERVER = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",  # no checkpoint falls into a measurement by its size
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_utility": "on",
}
COPY = "pgbench"  # the database that pgbench writes to
PEOPLE_SQL = """
    INSERT INTO users
        (id, username, role, is_active, date_joined, token_generation, sight_seq)
    SELECT n, 'person-' || n, 'member', true, '2026-01-01T00:00:00.000000Z', 0, 0
    FROM generate_series(%s::int, %s::int) n
"""


class DurablePostgreSQL(PostgreSQL):
    """Settings of a server one would keep data on, and statistics of its statements."""

    def command(self) -> Sequence[str]:
        return [*super().command(), *(f"--{name}={value}" for name, value in SERVER.items())]


class Installation(Cluster):
    """A migrated database with people in it, and Redis; `running` starts servers on them.

    Each process logs in to PostgreSQL by a name of its own, by which its statements are known.
    """

    def start(self) -> Installation:
        """Raises `Missing`, RuntimeError."""
        self.given = {
            "JWT_SECRET_KEY": SECRET,
            "TASK_VISIBILITY": "team",
            "RATELIMIT_ENABLED": "0",
            "HASH_COST": "10",
            **self.given,
        }
        try:
            self.postgres = self._run(DurablePostgreSQL(connections=300))
            self.redis = self._run(Redis())
            self.settings = self._settings()
            self._migrate()
            self._fill()
            self.db = psycopg.connect(self.postgres.url(), autocommit=True)
            self.closing.callback(self.db.close)
        except BaseException:
            self.stop()
            raise
        return self

    def _fill(self) -> None:
        """The first admin, other people, and a copy of all that for pgbench."""
        with psycopg.connect(self.postgres.url(), autocommit=True) as db:
            db.execute("CREATE EXTENSION pg_stat_statements")
            for number in range(MOST_PROCESSES):
                known = f"SUPERUSER LOGIN PASSWORD '{self.postgres.password}'"
                db.execute(f"CREATE ROLE {role(number)} {known}".encode())
            with self.running(1, hinted=False):
                pass  # makes the admin, whose id is the first
            db.execute(PEOPLE_SQL, (FIRST_PERSON, FIRST_PERSON + PEOPLE - 1))
            # Would number the events if their order did not matter: `pgbench/sequence.sql`.
            db.execute("CREATE SEQUENCE bench_seq START 1000000000")
        with psycopg.connect(self.postgres.url("template1"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {COPY} TEMPLATE postgres".encode())
        self.tokens = self.postgres.folder / "tokens"
        self.tokens.write_text("".join(f"{token}\n" for token in tokens()[:PEOPLE]))

    @contextmanager
    def running(self, count: int, *, hinted: bool) -> Iterator[list[Process]]:
        """So many processes, each of which serves everything; they hear of one another's events by
        Redis, or by their poll alone."""
        settings = {k: v for k, v in self.settings.items() if hinted or k != "REDIS_URL"}
        every = ",".join(PROCESSES)
        found = []
        for number in range(count):
            url = self.postgres.url(user=role(number))
            found.append(Process(every, settings | {"DATABASE_URL": url}))
        with ThreadPoolExecutor(count) as pool:
            try:
                list(pool.map(Process.start, found))
                if hinted:
                    self._wait_for_hints(count)
                yield found
            finally:
                list(pool.map(Process.discard, found))

    def _wait_for_hints(self, count: int) -> None:
        """Until every process hears what the others tell it."""
        with redis.Redis.from_url(self.redis.url) as client:
            late = time.monotonic() + PATIENCE
            while _hearing(client) < count:
                if time.monotonic() > late:
                    raise RuntimeError("the processes did not find Redis")
                threading.Event().wait(0.02)


def _hearing(client: redis.Redis) -> int:
    return sum(client.pubsub_numsub(channel)[0][1] for channel in client.pubsub_channels())


def role(number: int) -> str:
    """The name by which a process logs in to PostgreSQL."""
    return f"process_{number}"
