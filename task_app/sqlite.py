"""How SQLite's connections are opened."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, event

NAME = "sqlite"
# A wait inside SQLite blocks the whole hub, so it is kept short and `commands` waits green.
BUSY_TIMEOUT_MS = 10
# The most SQLite maps.  It reads the file through the system's cache then instead of copying each
# page into 2 MB of its own: a member whose 1 000 tasks lie scattered over a million waited
# 1.6 ms for those copies on every sort, 0.7 ms without.  Address space, not memory.
MMAP_BYTES = 2**31 - 2**16
# A commit that finds the write-ahead log this long moves it into the database file, with an fsync,
# while everybody waits.  `database.checkpoint` does that before, on a thread of its own.
CHECKPOINT_PAGES = 20_000


def prepare(engine: Engine, synchronous: str) -> None:
    """Hook the engine's connections.  `synchronous` is `NORMAL` or `FULL`."""

    @event.listens_for(engine, "connect")
    def open_connection(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Sessions have begun by themselves; who connects past them (migrations) has not.
        driver: Any = connection.connection.driver_connection
        if not driver.in_transaction:
            driver.execute("BEGIN")


def keep_copies_in_memory(connection: sqlite3.Connection) -> None:
    """Within a savepoint, and for a statement with RETURNING, SQLite copies each page before it is
    changed, sixteen for a task, and past 64 KB of them into a file: two thirds of what a
    `POST /tasks` wrote.  Not for migrations, whose indexes are sorted there too."""
    connection.execute("PRAGMA temp_store = MEMORY")
