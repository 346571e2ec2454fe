"""Connections and transactions: how the two engines are read and written.

Reads run in a snapshot.  On SQLite writes run one at a time in a process and take the database's
write lock at their start (`BEGIN IMMEDIATE`), so a transaction never fails half way because
somebody else wrote.  On PostgreSQL (`postgres.py`) they run side by side, lock the rows they
change, and are tried again when they lost a race.  Nothing here commits: `commands.py` does.

A statement is written in SQLAlchemy's Core.  One that is run all the time is `Prepared`: made
into SQL once, and then run by the driver without SQLAlchemy, which costs several times what
SQLite takes for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Connection, CursorResult, Engine, Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import ClauseElement

from task_app import jsonio, postgres, sqlite
from task_app.errors import AppError
from task_app.extensions import db, socketio

RETRY_SECONDS = 0.03
TURNS = "task_app.write_turns"  # among an application's extensions


class Busy(Exception):
    """Another process holds the write lock; try again."""


class Prepared:
    """A statement that the driver runs as text.

    Its rows are plain tuples as the driver gives them, so it must neither take nor return what
    SQLAlchemy would convert (JSON, booleans).  `columns` names those an INSERT is given.
    """

    __slots__ = ("_texts", "columns", "statement")

    def __init__(self, statement: ClauseElement, columns: Collection[str] | None = None) -> None:
        self.statement = statement
        self.columns = columns
        self._texts: dict[str, tuple[str, list[str] | None, dict[str, Any]]] = {}

    def text(self, dialect: Dialect) -> tuple[str, list[str] | None, dict[str, Any]]:
        """The SQL, the names of its parameters in order (None when it takes them by name), and
        the values that are part of the statement."""
        found = self._texts.get(dialect.name)
        if found is None:
            keys = None if self.columns is None else list(self.columns)
            compiled: Any = self.statement.compile(dialect=dialect, column_keys=keys)
            names = list(compiled.positiontup) if compiled.positional else None
            fixed = {name: value for name, value in compiled.params.items() if value is not None}
            found = self._texts[dialect.name] = (str(compiled), names, fixed)
        return found


class Session:
    """One open connection: SQLAlchemy's, and the driver's below it."""

    __slots__ = ("connection", "dialect", "driver")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.driver: Any = connection.connection.driver_connection
        self.dialect = connection.dialect

    def end(self) -> None:
        """Roll back whatever was not committed."""
        if self.connection.in_transaction():
            self.connection.rollback()
        else:
            self.driver.rollback()

    def close(self) -> None:
        with suppress(SQLAlchemyError):
            self.connection.invalidate()
            self.connection.close()


class Transaction:
    """What an action or a query works on: a connection and the events it has recorded so far."""

    __slots__ = ("_now", "events", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[Any] = []
        self._now = ""

    @property
    def now(self) -> str:
        """One time for everything the transaction writes."""
        if not self._now:
            self._now = utc_now()
        return self._now

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a statement by SQLAlchemy."""
        return self.session.connection.execute(statement, parameters)

    def run(self, prepared: Prepared, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a prepared statement; its rows."""
        session = self.session
        sql, names, fixed = prepared.text(session.dialect)
        if fixed:
            parameters = {**fixed, **parameters}
        given = parameters if names is None else [parameters[name] for name in names]
        try:
            cursor = session.driver.execute(sql, given)
            rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
        except Exception as error:
            raise _named(session, sql, error) from error
        return rows

    def run_many(self, prepared: Prepared, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a prepared statement once for each of `rows`."""
        session = self.session
        sql, names, _ = prepared.text(session.dialect)
        given = rows if names is None else [[row[name] for name in names] for row in rows]
        try:
            session.driver.cursor().executemany(sql, given)
        except Exception as error:
            raise _named(session, sql, error) from error

    def commit(self) -> None:
        """Keep what was written.  For `commands.py` alone."""
        session = self.session
        try:
            if session.connection.in_transaction():
                session.connection.commit()
            else:
                session.driver.commit()
        except SQLAlchemyError:
            raise
        except Exception as error:
            raise _named(session, "COMMIT", error) from error


class _OneStatement(Transaction):
    """A transaction that was not begun: the database makes one around each statement by itself."""

    __slots__ = ("done",)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.done = False

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        raise RuntimeError("only a prepared statement can be alone")

    def run(self, prepared: Prepared, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        if self.done:
            raise RuntimeError("two statements need a transaction to see the same")
        self.done = True
        return super().run(prepared, parameters)


def _named(session: Session, sql: str, error: Exception) -> BaseException:
    """The driver's error as SQLAlchemy names it, so that there is one kind to catch."""
    postgres.leave_out_the_row(error)
    base: Any = session.dialect.loaded_dbapi.Error  # type: ignore[attr-defined]
    return DBAPIError.instance(
        sql, None, error, base, hide_parameters=True, dialect=session.dialect
    )


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
        postgres.prepare(engine)
    app.extensions["task_app.database"] = _Pool(engine)


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
                return _OneStatement(self.session)
            try:
                self.session.driver.execute(self.pool.begin_reading)
            except Exception as error:
                self.session.close()
                raise _named(self.session, self.pool.begin_reading, error) from error
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
        turn.release()


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
                raise _named(session, pool.begin_writing, error) from error
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
