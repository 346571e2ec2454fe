"""Transactions and the statements in them.

A statement is written in SQLAlchemy's Core.  One that is run all the time is `Prepared`: made
into SQL once, and then run by the driver without SQLAlchemy, which costs several times what
SQLite takes for it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.sql import ClauseElement

from task_app import postgres


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
            raise named(session, sql, error) from error
        return rows

    def run_many(self, prepared: Prepared, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a prepared statement once for each of `rows`."""
        session = self.session
        sql, names, _ = prepared.text(session.dialect)
        given = rows if names is None else [[row[name] for name in names] for row in rows]
        try:
            session.driver.cursor().executemany(sql, given)
        except Exception as error:
            raise named(session, sql, error) from error

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
            raise named(session, "COMMIT", error) from error


class LoneStatement(Transaction):
    """A transaction that was not begun: SQLite makes one around each statement by itself."""

    __slots__ = ("done",)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events = []
        self._now = ""
        self.done = False

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        raise RuntimeError("only a prepared statement can be alone")

    def run(self, prepared: Prepared, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        if self.done:
            raise RuntimeError("two statements need a transaction to see the same")
        self.done = True
        return super().run(prepared, parameters)


def named(session: Session, sql: str, error: Exception) -> BaseException:
    """The driver's error as SQLAlchemy names it, so that there is one kind to catch."""
    postgres.leave_out_the_row(error)
    base: Any = session.dialect.loaded_dbapi.Error  # type: ignore[attr-defined]
    return DBAPIError.instance(
        sql, None, error, base, hide_parameters=True, dialect=session.dialect
    )


_second = (0, "")


def utc_now() -> str:
    """The time as every table keeps it: `2026-01-31T09:30:00.000000Z`."""
    global _second
    second, rest = divmod(time.time_ns(), 1_000_000_000)
    known = _second
    if known[0] != second:
        known = _second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
    return f"{known[1]}.{rest // 1000:06}Z"
