"""What PostgreSQL needs of this server: connections, and its errors by what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import DBAPIError

NAME = "postgresql"
IDLE = 0  # psycopg.pq.TransactionStatus.IDLE; psycopg is imported where it is used alone
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
CONNECT_SECONDS = 3  # libpq takes no less than two
GRACE_SECONDS = 2  # for the word that a statement was given up
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
# The database answers, but not as one that can serve this version of the server: a standby that
# was not promoted, rights that were taken away, a schema on its way to another version (42…).
UNFIT = frozenset({"25006", "42501", "42P01", "42703"})
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


def _bounded(seconds: float) -> Any:
    """A class of connections that do not wait for ever.

    A PostgreSQL that is frozen (a stopped process, a disk that does not answer) says nothing, so
    its own timeouts are none; and its kernel goes on acknowledging, so those of TCP are none.
    """
    import psycopg

    class Bounded(psycopg.Connection[Any]):
        patience: float | None = seconds

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, timeout or self.patience)
            except psycopg.errors._WaitTimeout as error:
                self.close()  # what still comes on it would answer the wrong question
                raise psycopg.OperationalError("the database does not answer") from error

    return Bounded


def prepare(engine: Engine, statement_seconds: int) -> None:
    """Hook the engine's connections."""
    bounded: list[Any] = []

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: Any, options: Any) -> Any:
        if not bounded:
            # A little more than the server's own bound: what it says of it goes before.
            bounded.append(_bounded(statement_seconds + GRACE_SECONDS))
        return bounded[0].connect(*args, **options)

    @event.listens_for(engine, "connect")
    def open_connection(connection: Any, _: Any) -> None:
        connection.autocommit = True  # the driver must not begin transactions of its own

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Sessions have begun by themselves; who connects past them (migrations) has not.
        driver: Any = connection.connection.driver_connection
        if driver.info.transaction_status == IDLE:
            driver.execute("BEGIN")

    @event.listens_for(engine, "handle_error")
    def handle_error(context: ExceptionContext) -> None:
        error = context.original_exception
        if leave_out_the_row(error) and context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (f"({type(error).__name__}) {error}",)


def leave_out_the_row(error: BaseException) -> bool:
    """Shorten a driver's error to what it says first.  After that PostgreSQL repeats the failing
    row: people's texts and password hashes, which must not come into a log."""
    told = getattr(getattr(error, "diag", None), "message_primary", None)
    if told:
        error.args = (told,)
    return bool(told)


def lost_race(error: DBAPIError) -> bool:
    """Whether to try the whole transaction again."""
    return _state(error) in RACES


def waited_too_long(error: DBAPIError) -> bool:
    """Whether a row's lock was not to be had within `WAIT_SECONDS`."""
    return _state(error) == LOCK_TIMEOUT


def disk_is_full(error: DBAPIError) -> bool:
    return _state(error) == DISK_FULL


def is_unfit(error: DBAPIError) -> bool:
    """Whether it cannot serve at the moment, though psycopg would not call that operational."""
    return _state(error) in UNFIT


def _state(error: DBAPIError) -> str | None:
    """The SQLSTATE; SQLite's errors have none."""
    return getattr(error.orig, "sqlstate", None)


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Keep every other process that asks the same waiting, on whichever machine it runs.

    The lock is the session's: it goes when the process does.
    """
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        # This one waits long: for the lock, or for a migration.  It is not used again.
        driver.patience = None
        try:
            driver.execute("SET statement_timeout = 0; SET lock_timeout = 0")
            driver.execute(f"SELECT pg_advisory_lock({START_LOCK})")
            yield
        finally:
            connection.invalidate()
