"""Who else serves this database, and how many clients they have.

Every process says how many it has in a row of its own (`jobs.py`), soon after that has changed and
as a sign of life now and then, so that any of them can answer for all.
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timedelta, timezone

from sqlalchemy import ColumnElement, Row, bindparam, delete, func, select

from task_app.extensions import table
from task_app.models import Process
from task_app.transactions import Transaction

BEAT_SECONDS = 5.0
NEWS_SECONDS = 1.0  # from a change to its word
# Two beats may come to nothing, as when the database is busy; a process silent for longer is gone.
SILENT_SECONDS = 15
# A row says no more than so many, and is written every beat; who is left out seems away.
PEOPLE_TOLD = 1000
PROCESS = secrets.token_hex(16)  # the id of this one


def _be_another() -> None:
    """A process that was forked off after the import is not the one it comes from: under one id
    each would take the other's word for its own."""
    global PROCESS
    PROCESS = secrets.token_hex(16)


os.register_at_fork(after_in_child=_be_another)

_PROCESSES = table(Process)
# A clock that was put back must not keep the dead alive: a row from the future is no good either.
_ALIVE = _PROCESSES.c.seen_at.between(bindparam("first"), bindparam("last"))


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


_ELSEWHERE = select(
    _sum(_PROCESSES.c.clients).label("clients"), _sum(_PROCESSES.c.signed_in).label("signed_in")
).where(_PROCESSES.c.id != bindparam("own"), _ALIVE)

_PEOPLE = select(_PROCESSES.c.people).where(_PROCESSES.c.id != bindparam("own"), _ALIVE)
_OTHERS = select(func.count()).where(_PROCESSES.c.id != bindparam("own"), _ALIVE)


def elsewhere(tx: Transaction) -> Row[tuple[int, int]]:
    """`clients` (open connections) and `signed_in` (those that get broadcasts) of all other
    processes together, as they last said."""
    return tx.execute(
        _ELSEWHERE, {"own": PROCESS, "first": _from_now(-1), "last": _from_now(1)}
    ).one()


def people_elsewhere(tx: Transaction) -> set[int]:
    """The ids of the accounts that are signed in at the other processes, as they last said."""
    rows = tx.execute(_PEOPLE, {"own": PROCESS, "first": _from_now(-1), "last": _from_now(1)})
    return {user_id for row in rows for user_id in row.people}


def others(tx: Transaction) -> int:
    """How many other processes serve this database."""
    given = {"own": PROCESS, "first": _from_now(-1), "last": _from_now(1)}
    return int(tx.execute(_OTHERS, given).scalar_one())


def forget_silent(tx: Transaction) -> None:
    """Delete the rows of processes that ended without a word."""
    tx.execute(delete(_PROCESSES).where(_PROCESSES.c.seen_at < _from_now(-1)))


def _from_now(silences: int) -> str:
    moment = datetime.now(timezone.utc) + timedelta(seconds=silences * SILENT_SECONDS)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
