"""Connections and transactions: how the two engines are opened, read and written.

Reads run in a snapshot.  Writes run one at a time in a process and take the database's write
lock at their start (`BEGIN IMMEDIATE` on SQLite), so a transaction never fails half way because
somebody else wrote.  Nothing here commits: `commands.py` does.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from task_app import jsonio
from task_app.errors import AppError
from task_app.extensions import db, offload, socketio
from task_app.transactions import LoneStatement, Session, Transaction, named

log = logging.getLogger(__name__)

# A wait inside SQLite blocks the whole hub, so it is kept short and `commands` waits green.
BUSY_TIMEOUT_MS = 10
# The most SQLite maps.  It reads the file through the system's cache then instead of copying each
# page into 2 MB of its own: a member whose 1 000 tasks lie scattered over a million waited
# 1.6 ms for those copies on every sort, 0.7 ms without.  Address space, not memory.
MMAP_BYTES = 2**31 - 2**16
RETRY_SECONDS = 0.03
# A commit that finds the write-ahead log this long moves it into the database file, with an fsync,
# while everybody waits.  `checkpoint` does that before, on a thread of its own.
CHECKPOINT_PAGES = 20_000
# SQLite grants its lock to whoever asks at the right moment; asking one at a time is fair and
# keeps a crowd of waiting writers from blocking the hub in turn.
_write_turn = threading.Lock()


class Busy(Exception):
    """Another process holds the write lock; try again."""


def configure(app: Flask) -> None:
    """Give Flask-SQLAlchemy the options of the engine.  Call before `db.init_app`."""
    options: dict[str, Any] = {
        "hide_parameters": True,  # a traceback would print password hashes and people's texts
        "json_serializer": jsonio.dumps,
        "json_deserializer": jsonio.loads_trusted,
    }
    if app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite"):
        options |= {"poolclass": NullPool}  # `_Pool` keeps the connections
    else:
        options |= {"pool_pre_ping": True}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options


def prepare(app: Flask) -> None:
    """Hook the engine's connections.  Call after `db.init_app`, once per application."""
    with app.app_context():
        engine = db.engine
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, app.config["SQLITE_SYNCHRONOUS"])
    app.extensions["task_app.database"] = _Pool(engine)


def _prepare_sqlite(engine: Engine, synchronous: str) -> None:
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


def checkpoint() -> None:
    """Move what was committed from SQLite's write-ahead log into the file, keeping nobody waiting.

    What somebody is still reading past stays for the next time.
    """
    engine = db.engine
    if engine.dialect.name == "sqlite" and engine.url.database:
        offload(_checkpoint, engine.url.database)


def _checkpoint(path: str) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.Error as error:
        log.warning("the write-ahead log stays as it is: %s", error)


class _Pool:
    """The sessions of one application.

    On SQLite they are kept for the next who needs one; elsewhere they go back to SQLAlchemy's
    pool, which bounds their number and finds out those that have died.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.keeps = engine.dialect.name == "sqlite"
        self.free: list[Session] = []
        postgresql = engine.dialect.name == "postgresql"
        self.begin_reading = (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if postgresql else "BEGIN"
        )
        self.begin_writing = "BEGIN" if postgresql else "BEGIN IMMEDIATE"

    def take(self) -> Session:
        try:
            return self.free.pop()
        except IndexError:
            return Session(self.engine.connect())

    def give_back(self, session: Session) -> None:
        if self.keeps:
            self.free.append(session)
        else:
            session.connection.close()


class _Reading:
    """What `reading` returns: a class, because a generator costs as much as the statements."""

    __slots__ = ("begin", "pool", "session")

    def __init__(self, *, begin: bool) -> None:
        self.begin = begin

    def __enter__(self) -> Transaction:
        self.pool: _Pool = current_app.extensions["task_app.database"]
        with _translated():
            self.session = self.pool.take()
            if not self.begin:
                return LoneStatement(self.session)
            try:
                self.session.driver.execute(self.pool.begin_reading)
            except Exception as error:
                self.session.close()
                raise named(self.session, self.pool.begin_reading, error) from error
        return Transaction(self.session)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            try:
                if self.begin:
                    self.session.end()
            except Exception:
                self.session.close()  # what was read is as good as it was
            else:
                self.pool.give_back(self.session)
            return
        _abandon(self.pool, self.session, error)
        if isinstance(error, DBAPIError):
            with _translated():
                raise error


def reading(*, once: bool = False) -> AbstractContextManager[Transaction]:
    """A transaction whose statements all see the database as of the first one.

    `once`: there is but one, a prepared one, which needs no transaction around it.
    """
    return _Reading(begin=not once)


def _abandon(pool: _Pool, session: Session, error: BaseException) -> None:
    """End a transaction that failed.  A connection that the database has refused something is
    not used again: it may be broken, and the next one is cheap beside a failure."""
    if isinstance(error, AppError):
        session.end()
        pool.give_back(session)
    else:
        session.close()


@contextmanager
def writing(patience: float) -> Iterator[Transaction]:
    """A transaction that holds the right to write; rolled back unless it was committed.

    Waits up to `patience` seconds for this process's other writers and for other processes,
    serving others meanwhile.  Raises `Busy` when that was not enough, `AppError` 503 or 507 when
    the database is away or full.
    """
    deadline = time.monotonic() + patience
    if not _write_turn.acquire(timeout=patience):
        raise Busy
    pool: _Pool = current_app.extensions["task_app.database"]
    try:
        with _translated():
            session = _begun(pool, deadline)
            try:
                yield Transaction(session)
            except BaseException as error:
                _abandon(pool, session, error)
                raise
            session.end()
            pool.give_back(session)
    finally:
        _write_turn.release()


def _begun(pool: _Pool, deadline: float) -> Session:
    """A session with the write lock.

    Whoever waits for another process keeps the turn: each attempt blocks the hub for the busy
    timeout, so only one may make them (with 50 waiting writers reads took a second).
    """
    session = pool.take()
    while True:
        try:
            session.driver.execute(pool.begin_writing)
            return session
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                session.close()
                raise named(session, pool.begin_writing, error) from error
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
        if "disk is full" in text or "No space left" in text:
            raise AppError("storage_full", 507, "The server's storage is full") from error
        if error.connection_invalidated or isinstance(error, OperationalError):
            raise unavailable() from error
        raise


def unavailable() -> AppError:
    return AppError(
        "database_unavailable",
        503,
        "The database cannot be used at the moment; try again",
        retry_after=1,
    )
