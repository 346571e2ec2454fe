"""Housekeeping."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

from flask import current_app
from sqlalchemy import bindparam, delete, func, insert, select, update

from task_app import events, presence
from task_app.actions.call import Call
from task_app.errors import AppError
from task_app.extensions import table
from task_app.models import (
    Event,
    EventRoom,
    IdempotencyKey,
    LogHead,
    Process,
    RevokedToken,
    Ticket,
)
from task_app.transactions import Transaction

# A retry comes within seconds; a day is for clients that were offline.
IDEMPOTENCY_DAYS = 1
# A transaction that deletes more would keep writers waiting.
EVENTS_AT_ONCE = 5_000
ROOMS_AT_ONCE = 200  # or the bound on waiting for PostgreSQL's answer would count all of them
_LEAVE = delete(table(EventRoom)).where(
    EventRoom.room == bindparam("in_room"), EventRoom.seq <= bindparam("last")
)


def settle_log(tx: Transaction, call: Call) -> dict[str, Any]:
    """Begin a new epoch when TASK_VISIBILITY is not what it was: the audience of the events so
    far was chosen under another rule, and nobody may resume across that."""
    wanted = current_app.config["TASK_VISIBILITY"]
    head = tx.execute(select(LogHead.visibility, LogHead.epoch)).one()
    if head.visibility != wanted:
        epoch = head.epoch if head.visibility is None else events.new_epoch()
        floor = LogHead.floor if head.visibility is None else LogHead.seq
        tx.execute(update(LogHead).values(visibility=wanted, epoch=epoch, floor=floor))
    return {}


def new_epoch(tx: Transaction, call: Call) -> dict[str, Any]:
    """Say that the log is another one than clients know, as after a restored backup.

    Raises 409 while a server runs: it would go on under the old name.
    """
    if presence.others(tx):
        raise AppError(
            "server_running",
            409,
            "A server uses this database; stop every one first "
            f"(one that was killed counts for {presence.SILENT_SECONDS} s)",
        )
    epoch = events.new_epoch()
    tx.execute(update(LogHead).values(epoch=epoch, floor=LogHead.seq))
    return {"epoch": epoch}


def prune(tx: Transaction, call: Call) -> dict[str, Any]:
    """Delete what is past its time: old events (nobody can resume from before `log_head.floor`
    then), kept answers, tickets, revocations of tokens that have expired, processes that ended
    without a word."""
    days = current_app.config["EVENT_RETENTION_DAYS"]
    floor, pruned = tx.execute(select(LogHead.floor)).scalar_one(), 0
    # Only the next so many are looked at, and only the rooms they went to: reading the log
    # or its rooms from end to end would keep every writer waiting.
    oldest = (
        select(Event.seq, Event.created_at)
        .where(Event.seq > 0)
        .order_by(Event.seq)
        .limit(EVENTS_AT_ONCE)
        .subquery()
    )
    past = select(func.max(oldest.c.seq)).where(oldest.c.created_at < _days_ago(days))
    last = tx.execute(past).scalar_one()
    if last is not None:
        rooms = _rooms_until(tx, last)
        for at in range(0, len(rooms), ROOMS_AT_ONCE):
            some = rooms[at : at + ROOMS_AT_ONCE]
            tx.execute(_LEAVE, [{"in_room": room, "last": last} for room in some])
        pruned = tx.execute(delete(Event).where(Event.seq <= last)).rowcount
        floor = max(floor, last)
    tx.execute(
        delete(IdempotencyKey).where(IdempotencyKey.created_at < _days_ago(IDEMPOTENCY_DAYS))
    )
    tx.execute(delete(Ticket).where(Ticket.expires_at < int(time.time())))
    tx.execute(delete(RevokedToken).where(RevokedToken.expires_at < int(time.time())))
    presence.forget_silent(tx)
    if pruned:
        # Last, for all writers wait for this row.  Another process may have gone further meanwhile.
        tx.execute(update(LogHead).where(LogHead.floor < floor).values(floor=floor))
    return {"floor": floor, "pruned": pruned}


def _rooms_until(tx: Transaction, last: int) -> list[str]:
    """The rooms of the events up to `last`; every room there is when the row of one is damaged."""
    try:
        audiences = tx.execute(select(Event.rooms).where(Event.seq > 0, Event.seq <= last))
        return sorted({str(room) for audience in audiences.scalars() for room in audience})
    except events.UNREADABLE:
        return list(tx.execute(select(EventRoom.room).distinct()).scalars())


def beat(tx: Transaction, call: Call) -> dict[str, Any]:
    """Write how many connections a process has: one statement, two the first time."""
    told = {name: call.data[name] for name in ("clients", "signed_in", "people")} | {
        "seen_at": tx.now
    }
    known = update(Process).where(Process.id == call.data["id"]).values(told)
    if not tx.execute(known).rowcount:
        tx.execute(insert(Process).values(id=call.data["id"], **told))
    return {}


def leave(tx: Transaction, call: Call) -> dict[str, Any]:
    """Strike out a process that stops: its connections have been closed."""
    tx.execute(delete(Process).where(Process.id == call.data["id"]))
    return {}


def _days_ago(days: int) -> str:
    moment = datetime.now(timezone.utc) - timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
