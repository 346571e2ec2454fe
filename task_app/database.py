"""Connections and transactions: how the two engines are opened, read and written.

Reads run in a snapshot.  On SQLite writes run one at a time in a process and take the database's
write lock at their start (`BEGIN IMMEDIATE`), so a transaction never fails half way because
somebody else wrote.  On PostgreSQL (`postgres.py`) they run side by side, lock the rows they
change, and are tried again when they lost a race.  Nothing here commits: `commands.py` does.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Connection, CursorResult, Engine, Executable, event
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from task_app import jsonio, postgres
from task_app.errors import AppError
from task_app.extensions import db, socketio

# A wait inside SQLite blocks the whole hub, so it is kept short and `commands` waits green.
BUSY_TIMEOUT_MS = 10
# The most SQLite maps.  It reads the file through the system's cache then instead of copying each
# page into 2 MB of its own: a member whose 1 000 tasks lie scattered over a million waited
# 1.6 ms for those copies on every sort, 0.7 ms without.  Address space, not memory.
MMAP_BYTES = 2**31 - 2**16
RETRY_SECONDS = 0.03
TURNS = "task_app.write_turns"  # among an application's extensions


class Busy(Exception):
    """Another process holds the write lock; try again."""


class Transaction:
    """What an action or a query works on: a connection and the events it has recorded so far.

    `now` is one time for everything the transaction writes.
    """

    __slots__ = ("connection", "events", "now")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self.now = utc_now()

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self.connection.execute(statement, parameters)


def utc_now() -> str:
    """The time as every table keeps it: `2026-01-31T09:30:00.000000Z`."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def configure(app: Flask) -> None:
    """Give Flask-SQLAlchemy the options of the engine.  Call before `db.init_app`."""
    options: dict[str, Any] = {
        "hide_parameters": True,  # a traceback would print password hashes and people's texts
        "json_serializer": jsonio.dumps,
        "json_deserializer": jsonio.loads_trusted,
    }
    if app.config["SQLALCHEMY_DATABASE_URI"].startswith(postgres.NAME):
        pool = app.config["DATABASE_POOL_SIZE"]
        options |= postgres.engine_options(pool, app.config["DATABASE_TIMEOUT_SECONDS"])
        # Writers wait for one another at the log's counter; the other half is for reading.
        turns = max(1, pool // 2)
    else:
        # SQLite grants its lock to whoever asks at the right moment; asking one at a time is fair
        # and keeps a crowd of waiting writers from blocking the hub in turn.
        turns = 1
    app.extensions[TURNS] = threading.BoundedSemaphore(turns)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options


def prepare(app: Flask) -> None:
    """Hook the engine's connections.  Call after `db.init_app`, once per application."""
    with app.app_context():
        engine = db.engine
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, app.config["SQLITE_SYNCHRONOUS"])
    else:
        postgres.prepare(engine)


def _prepare_sqlite(engine: Engine, synchronous: str) -> None:
    @event.listens_for(engine, "connect")
    def open_connection(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def reading() -> Iterator[Transaction]:
    """A transaction whose statements all see the database as of the first one."""
    with _translated(), db.engine.connect() as connection:
        if connection.dialect.name == postgres.NAME:
            connection = postgres.snapshot(connection)
        yield Transaction(connection)


@contextmanager
def writing(patience: float) -> Iterator[Transaction]:
    """A transaction that may write (on SQLite it alone may); rolled back unless it was committed.

    Waits up to `patience` seconds for this process's other writers and for other processes,
    serving others meanwhile.  Raises `Busy` when that was not enough, `AppError` 503 or 507 when
    the database is away or full.
    """
    deadline = time.monotonic() + patience
    turn = current_app.extensions[TURNS]
    if not turn.acquire(timeout=patience):
        raise Busy
    try:
        with _translated(), _begun(deadline) as connection:
            yield Transaction(connection)
    finally:
        turn.release()


def _begun(deadline: float) -> Connection:
    """A connection with the write lock, on SQLite.

    Whoever waits for another process keeps the turn: each attempt blocks the hub for the busy
    timeout, so only one may make them (with 50 waiting writers reads took a second).
    """
    while True:
        connection = db.engine.connect().execution_options(writing=True)
        try:
            connection.begin()
            return connection
        except OperationalError as error:
            connection.close()
            if "locked" not in str(error.orig) or time.monotonic() >= deadline:
                raise
        socketio.sleep(RETRY_SECONDS)


@contextmanager
def _translated() -> Iterator[None]:
    """Faults of the database that have a name, by that name."""
    try:
        yield
    except DBAPIError as error:
        text = str(error.orig)
        if "database is locked" in text:
            raise Busy from error
        if postgres.waited_too_long(error):
            raise unavailable() from error
        if postgres.disk_is_full(error) or "disk is full" in text:
            raise AppError("storage_full", 507, "The server's storage is full") from error
        if isinstance(error, IntegrityError):
            raise  # `commands` knows whose fault it may be
        if postgres.lost_race(error):
            raise Busy from error
        if error.connection_invalidated or isinstance(error, OperationalError):
            raise unavailable() from error
        raise
    except PoolTimeout as error:
        raise unavailable() from error


def unavailable() -> AppError:
    return AppError(
        "database_unavailable",
        503,
        "The database cannot be used at the moment; try again",
        retry_after=1,
    )


def is_race(error: IntegrityError) -> bool:
    """Whether the rows were in order when the transaction looked: another one was faster.  On
    SQLite nobody can be."""
    return postgres.lost_race(error)


@contextmanager
def alone() -> Iterator[None]:
    """Keep other processes' starts and migrations on this database waiting (on SQLite the
    instance's lock file does)."""
    if db.engine.dialect.name != postgres.NAME:
        yield
        return
    with postgres.alone(db.engine):
        yield
