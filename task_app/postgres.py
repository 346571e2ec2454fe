"""What PostgreSQL needs of this server: connections, and its errors by what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event, text
from sqlalchemy.exc import DBAPIError

NAME = "postgresql"
CONNECT_SECONDS = 3  # libpq takes no less than two
# How long a request waits for one of the pool's connections, and a write for a row's lock.
WAIT_SECONDS = 5
# A peer that is gone without a word (power, cable) is noticed within about ten seconds.
ALIVE = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
# Another transaction was first (serialisation, deadlock, a unique or foreign key that was fine
# when we looked): the next try sees what it did.
RACES = frozenset({"40001", "40P01", "23505", "23503"})
LOCK_TIMEOUT = "55P03"
DISK_FULL = "53100"
# Any number will do, as long as all processes name the same.
START_LOCK = 7_201_511_300


def engine_options(pool_size: int, statement_seconds: int) -> dict[str, Any]:
    """Options for SQLAlchemy's engine.  A connection that broke is replaced when it is taken from
    the pool, so a restart of the database heals without one of ours."""
    session = {
        "statement_timeout": f"{statement_seconds}s",
        "lock_timeout": f"{WAIT_SECONDS}s",
        # A process that hangs in a transaction must not keep the log's counter from the others.
        "idle_in_transaction_session_timeout": f"{statement_seconds}s",
    }
    return {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": WAIT_SECONDS,
        "pool_pre_ping": True,
        "pool_use_lifo": True,  # the rest may idle, and be closed by whoever stands between
        "connect_args": {
            "application_name": "task-server",
            "connect_timeout": CONNECT_SECONDS,
            "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
            **ALIVE,
        },
    }


def prepare(engine: Engine) -> None:
    """Hook the engine.  PostgreSQL repeats the failing row in its errors: people's texts and
    password hashes, which must not come into a log."""

    @event.listens_for(engine, "handle_error")
    def leave_out_the_row(context: ExceptionContext) -> None:
        primary = getattr(getattr(context.original_exception, "diag", None), "message_primary", "")
        if primary and context.sqlalchemy_exception is not None:
            kind = type(context.original_exception).__name__
            context.original_exception.args = (primary,)
            context.sqlalchemy_exception.args = (f"({kind}) {primary}",)


def snapshot(connection: Connection) -> Connection:
    """The connection, such that all its statements see the database as of the first one."""
    return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def lost_race(error: DBAPIError) -> bool:
    """Whether to try the whole transaction again."""
    return _state(error) in RACES


def waited_too_long(error: DBAPIError) -> bool:
    """Whether a row's lock was not to be had within `WAIT_SECONDS`."""
    return _state(error) == LOCK_TIMEOUT


def disk_is_full(error: DBAPIError) -> bool:
    return _state(error) == DISK_FULL


def _state(error: DBAPIError) -> str | None:
    """The SQLSTATE; SQLite's errors have none."""
    return getattr(error.orig, "sqlstate", None)


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Keep every other process that asks the same waiting, on whichever machine it runs.

    The lock is the session's: it goes when the process does.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A migration takes its time; whoever waits for it is not to give up.
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": START_LOCK})
        try:
            yield
        finally:
            connection.invalidate()  # closes the session, and with it the lock and the settings
