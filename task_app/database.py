"""Connections and transactions: how the two engines are read and written.

Reads run in a snapshot.  On SQLite writes run one at a time in a process and take the database's
write lock at their start (`BEGIN IMMEDIATE`), so a transaction never fails half way because
somebody else wrote.  On PostgreSQL (`postgres.py`) they run side by side, lock the rows they
change, and are tried again when they lost a race.  Nothing here commits: `commands.py` does.
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
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from task_app import jsonio, postgres, sqlite
from task_app.errors import AppError
from task_app.extensions import db, offload, socketio
from task_app.transactions import LoneStatement, Session, Transaction, named

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.03
TURNS = "task_app.write_turns"  # among an application's extensions


class Busy(Exception):
    """Another process holds the write lock; try again."""


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
        options |= {"poolclass": NullPool}  # `_Pool` keeps the connections
    app.extensions[TURNS] = threading.BoundedSemaphore(turns)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options


def prepare(app: Flask) -> None:
    """Hook the engine's connections.  Call after `db.init_app`, once per application."""
    with app.app_context():
        engine = db.engine
    if engine.dialect.name == sqlite.NAME:
        sqlite.prepare(engine, app.config["SQLITE_SYNCHRONOUS"])
    else:
        postgres.prepare(engine, app.config["DATABASE_TIMEOUT_SECONDS"])
    app.extensions["task_app.database"] = _Pool(engine)


def checkpoint() -> None:
    """Move what was committed from SQLite's write-ahead log into the file, keeping nobody waiting.

    What somebody is still reading past stays for the next time.
    """
    engine = db.engine
    if engine.dialect.name == sqlite.NAME and engine.url.database:
        # Told here: whoever logs on a thread of the pool's holds a lock of eventlet's for which the
        # hub's thread may have to wait, and would wait for ever.
        try:
            offload(_checkpoint, engine.url.database)
        except sqlite3.Error as error:
            log.warning("the write-ahead log stays as it is: %s", error)


def _checkpoint(path: str) -> None:
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


class _Pool:
    """The sessions of one application.

    On SQLite they are kept for the next who needs one; elsewhere they go back to SQLAlchemy's
    pool, which bounds their number and finds out those that have died.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.keeps = engine.dialect.name == sqlite.NAME
        self.free: list[Session] = []
        self.begin_reading = "BEGIN" if self.keeps else postgres.SNAPSHOT
        self.begin_writing = "BEGIN IMMEDIATE" if self.keeps else "BEGIN"

    def take(self) -> Session:
        try:
            return self.free.pop()
        except IndexError:
            session = Session(self.engine.connect())
            if self.keeps:
                sqlite.keep_copies_in_memory(session.driver)
            return session

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
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        self.pool: _Pool = app.extensions["task_app.database"]
        if not self.begin:
            try:
                self.session = self.pool.free.pop()
            except IndexError:
                with _TRANSLATED:
                    self.session = self.pool.take()
            return LoneStatement(self.session)
        with _TRANSLATED:
            self.session = self.pool.take()
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
            with _TRANSLATED:
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
        try:
            session.end()
        except Exception:  # what was refused stays refused, though the database has gone as well
            session.close()
        else:
            pool.give_back(session)
    else:
        session.close()


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
    pool: _Pool = current_app.extensions["task_app.database"]
    try:
        with _TRANSLATED:
            session = _begun(pool, deadline)
            try:
                yield Transaction(session)
            except BaseException as error:
                _abandon(pool, session, error)
                raise
            session.end()
            pool.give_back(session)
    finally:
        turn.release()


def groups_writers() -> bool:
    """Whether writers form groups (`groups.py`): greenlets on SQLite do."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    pool: _Pool = app.extensions["task_app.database"]
    return pool.keeps and app.config["ASYNC_MODE"] == "eventlet"


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


class _Translated:
    """Faults of the database that have a name, by that name.  (A class, as `_Reading` is.)"""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, PoolTimeout):
            raise unavailable() from error
        if isinstance(error, DBAPIError):
            _translate(error)


_TRANSLATED = _Translated()


def _translate(error: DBAPIError) -> None:
    """Raises what this fault is; returns when it has no name."""
    text = str(error.orig)
    if "database is locked" in text:
        raise Busy from error
    if postgres.waited_too_long(error):
        raise unavailable() from error
    if postgres.disk_is_full(error) or "disk is full" in text:
        raise AppError("storage_full", 507, "The server's storage is full") from error
    if isinstance(error, IntegrityError):
        return  # `commands` knows whose fault it may be
    if postgres.lost_race(error):
        raise Busy from error
    if error.connection_invalidated or isinstance(error, OperationalError):
        raise unavailable() from error
    if postgres.is_unfit(error):
        log.warning("the database cannot serve: %s", error.orig)
        raise unavailable() from error


def unavailable() -> AppError:
    return AppError(
        "database_unavailable",
        503,
        "The database cannot be used at the moment; try again",
        retry_after=1,
    )


def sentence(error: DBAPIError | OSError | Busy) -> str:
    """Why the database cannot be used, for the operator's terminal."""
    if isinstance(error, Busy):
        return "The database is busy; try again."
    reason = getattr(error, "orig", None) or error
    return as_sentence(f"The database cannot be used: {reason}")  # PostgreSQL's take several lines


def as_sentence(told: str) -> str:
    """In one line, with an end."""
    told = " ".join(told.split()).rstrip(".")
    return told if told.endswith(("?", "!")) else f"{told}."


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
