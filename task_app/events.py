"""The catalogue of events and the log they are appended to.

An action calls `record` for what it did; `commands.execute` calls `append` last in the same
transaction, so a change and its event are kept together or not at all.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, bindparam, insert, select, text, update

from task_app import access, jsonio, postgres
from task_app.access import Actor
from task_app.extensions import table
from task_app.models import Event as EventRow
from task_app.models import EventRoom, LogHead
from task_app.transactions import Prepared, Transaction

log = logging.getLogger(__name__)

HEAD = 1  # the id of the one row of log_head


@dataclass(frozen=True)
class Event:
    """One committed (or, with `seq` 0, recorded) event.  `data` is the snapshot after it."""

    seq: int
    type: str
    task_id: int | None
    actor_id: int | None
    data: dict[str, Any]
    changes: tuple[str, ...]
    rooms: tuple[str, ...]
    created_at: str
    request_id: str | None = None  # of the request that caused it; None: the server by itself

    def numbered(self, seq: int, request_id: str | None) -> Event:
        # `dataclasses.replace` takes several times as long, for each event of a server.
        return Event(
            *(seq, self.type, self.task_id, self.actor_id),
            *(self.data, self.changes, self.rooms),
            *(self.created_at, request_id),
        )


class Damaged(Event):
    """One whose row cannot be read: what it told nobody knows."""


@dataclass(frozen=True)
class EventType:
    """`audience` gives the rooms from the event's data.  A control event has none: it tells the
    server's processes that something they keep in memory is out of date."""

    audience: Callable[[Mapping[str, Any]], tuple[str, ...]]
    help: str
    control: bool = False


def _addressee(data: Mapping[str, Any]) -> tuple[str, ...]:
    return (access.user_room(data["user_id"]),)


def _everyone(data: Mapping[str, Any]) -> tuple[str, ...]:
    return (access.ALL,)


def _nobody(data: Mapping[str, Any]) -> tuple[str, ...]:
    return ()


EVENTS: dict[str, EventType] = {
    "task_created": EventType(access.task_rooms, "a task was made"),
    "task_updated": EventType(access.task_rooms, "fields of a task changed, its status did not"),
    "task_status_changed": EventType(
        access.task_rooms, "a task moved to another status; other fields may have changed with it"
    ),
    "task_deleted": EventType(access.task_rooms, "a task was deleted"),
    "task_removed": EventType(_addressee, "you may no longer see this task"),
    "notification_created": EventType(_addressee, "something concerns you"),
    "notification_read": EventType(_addressee, "you marked notifications read or unread"),
    "broadcast": EventType(_everyone, "a message of its own type to everyone signed in"),
    "session_revoked": EventType(_nobody, "a session was ended", control=True),
    "user_changed": EventType(_nobody, "an account changed", control=True),
}


def record(
    tx: Transaction,
    actor: Actor,
    event_type: str,
    data: Mapping[str, Any],
    *,
    task_id: int | None = None,
    changes: Iterable[str] = (),
) -> None:
    """Note that this happened; it is written when the transaction ends.

    Raises KeyError for a type that is not in `EVENTS`.
    """
    rooms = EVENTS[event_type].audience(data)
    tx.events.append(
        Event(0, event_type, task_id, actor.id, dict(data), tuple(changes), rooms, tx.now)
    )


def append(tx: Transaction, request_id: str = "") -> list[Event]:
    """Write the recorded events to the log and return them with their numbers, as those of this
    request (empty: of none).

    Taking the numbers is the last thing but one a transaction does: on PostgreSQL the row lock
    on `log_head` is then held only until the commit that follows.
    """
    if not tx.events:
        return []
    by = request_id or None
    if tx.session.dialect.name == postgres.NAME:
        return _append_at_once(tx, by)
    [(head,)] = tx.run(_ADVANCE, {"number": len(tx.events)})
    numbered = _numbered(tx, head - len(tx.events) + 1, by)
    tx.run_many(_INSERT, [_row(event) for event in numbered])
    rooms = [{"room": room, "seq": event.seq} for event in numbered for room in event.rooms]
    if rooms:
        tx.run_many(_INSERT_ROOM, rooms)
    return numbered


def _append_at_once(tx: Transaction, request_id: str | None) -> list[Event]:
    """In one statement: every writer of every process waits for as long as the numbers are taken,
    and would wait for two more questions and answers."""
    rows = [_row(event) for event in tx.events]
    parameters: dict[str, Any] = {name: [row[name] for row in rows] for name in _OWN}
    parameters |= {"number": len(rows), "request_id": request_id}
    [(before,)] = tx.run(_APPEND, parameters)
    return _numbered(tx, before + 1, request_id)


def _numbered(tx: Transaction, first: int, request_id: str | None) -> list[Event]:
    return [event.numbered(first + i, request_id) for i, event in enumerate(tx.events)]


def log_state(tx: Transaction) -> Row[Any]:
    """`seq` of the last event, `floor` (the last that was pruned) and `epoch` of the log."""
    return tx.execute(_HEAD).one()


def head(tx: Transaction) -> tuple[int, str]:
    """Number of the last event, and the epoch of the log."""
    [(seq, _, epoch)] = tx.run(_PREPARED_HEAD, {})
    return seq, epoch


def next_seq(tx: Transaction) -> int:
    """The number of the first event this transaction will append.  From here on nobody else gets
    one until it ends: ask late, and take no other lock after it."""
    seq: int = tx.execute(_HEAD.with_for_update()).one().seq
    return seq + 1


def since(tx: Transaction, seq: int, limit: int) -> list[Event]:
    """The next `limit` events after `seq`, for everybody (the relay's reading)."""
    return read(tx, _SINCE, {"after": seq, "most": limit})


def read(tx: Transaction, statement: Select[Any], values: Any = None) -> list[Event]:
    """The events whose rows `statement` selects; `Damaged` for each that cannot be read."""
    try:
        return [_from_row(row) for row in tx.execute(statement, values)]
    except UNREADABLE:
        keys = statement.with_only_columns(_EVENTS.c.seq, _EVENTS.c.type)
        return [_alone(tx, row.seq, row.type) for row in tx.execute(keys, values).all()]


def _alone(tx: Transaction, seq: int, kind: str) -> Event:
    try:
        return _from_row(tx.execute(_BY_SEQ, {"seq": seq}).one())
    except UNREADABLE as error:
        if seq not in _told:
            _told.add(seq)
            log.error(DAMAGE, seq, kind, error)
        return Damaged(seq, kind, None, None, {}, (), (), "")


def new_epoch() -> str:
    return secrets.token_hex(8)


# What a row raises that somebody has edited: text that is no JSON, or JSON of another form.
UNREADABLE = (ValueError, TypeError)
DAMAGE = (
    "event %s (%s) of the log cannot be read: %s.  Clients are told to read their lists again; "
    "tasks are not affected.  Nothing need be done: the row goes with EVENT_RETENTION_DAYS.  "
    "If nobody edited it, see whether the disk or the database is failing"
)
_told: set[int] = set()  # the damaged rows that this process has logged
_EVENTS = table(EventRow)
_HEAD = select(LogHead.seq, LogHead.floor, LogHead.epoch).where(LogHead.id == HEAD)
_PREPARED_HEAD = Prepared(_HEAD)
_ADVANCE = Prepared(
    update(LogHead)
    .where(LogHead.id == HEAD)
    .values(seq=LogHead.seq + bindparam("number"))
    .returning(LogHead.seq)
)
_OWN = ("type", "task_id", "actor_id", "data", "changes", "rooms", "created_at")  # each event's
_COLUMNS = ("seq", *_OWN, "request_id")
# JSON goes in as its text, and only the rooms are looked into: PostgreSQL looks into none that has
# a NUL somewhere, which a broadcast may.
_APPEND = Prepared(
    text("""
    WITH head AS (
        UPDATE log_head SET seq = seq + :number WHERE id = 1 RETURNING seq - :number AS before
    ), given AS (
        SELECT before + list.n AS seq, list.*
        FROM head, unnest(
            CAST(:type AS text[]), CAST(:task_id AS integer[]), CAST(:actor_id AS integer[]),
            CAST(:data AS text[]), CAST(:changes AS text[]), CAST(:rooms AS text[]),
            CAST(:created_at AS text[])
        ) WITH ORDINALITY AS list (type, task_id, actor_id, data, changes, rooms, created_at, n)
    ), logged AS (
        INSERT INTO events
            (seq, type, task_id, actor_id, data, changes, rooms, created_at, request_id)
        SELECT seq, type, task_id, actor_id, CAST(data AS json), CAST(changes AS json),
               CAST(rooms AS json), created_at, CAST(:request_id AS text)
        FROM given
    ), told AS (
        INSERT INTO event_rooms (room, seq)
        SELECT room, seq FROM given, json_array_elements_text(CAST(rooms AS json)) AS room
    )
    SELECT before FROM head
    """)
)
_INSERT = Prepared(insert(_EVENTS), _COLUMNS)
_INSERT_ROOM = Prepared(insert(table(EventRoom)), ("room", "seq"))
_SINCE = (
    select(_EVENTS)
    .where(_EVENTS.c.seq > bindparam("after"))
    .order_by(_EVENTS.c.seq)
    .limit(bindparam("most"))
)
_BY_SEQ = select(_EVENTS).where(_EVENTS.c.seq == bindparam("seq"))


def _row(event: Event) -> dict[str, Any]:
    """The event as the driver takes it: JSON as its text."""
    return {
        "seq": event.seq,
        "type": event.type,
        "task_id": event.task_id,
        "actor_id": event.actor_id,
        "data": jsonio.dumps(event.data),
        "changes": jsonio.dumps(event.changes),
        "rooms": jsonio.dumps(event.rooms),
        "created_at": event.created_at,
        "request_id": event.request_id,
    }


def _from_row(row: Any) -> Event:
    if type(row.data) is not dict or type(row.rooms) is not list:
        raise TypeError("it is not what this server writes")
    return Event(
        row.seq,
        row.type,
        row.task_id,
        row.actor_id,
        row.data,
        tuple(row.changes),
        tuple(row.rooms),
        row.created_at,
        row.request_id,
    )
