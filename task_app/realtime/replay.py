"""From the last event a client saw to the live feed, with no hole and no repeat.

The same brings a client up to date that had no room for a burst.

The log is read from there in pieces; when a piece comes up empty and the relay has not gone on
since, the subscriber joins the rooms in the same breath.  Events it was given in a piece and
that the relay delivers later are not given again: it joins with the number it has reached.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import current_app

from task_app import auth, database, events, queries
from task_app.access import Actor
from task_app.errors import AppError, invalid, unauthorized
from task_app.events import Damaged, Event
from task_app.extensions import socketio
from task_app.realtime.feeds import Subscriber, feeds
from task_app.realtime.relay import relay
from task_app.schemas.fields import MAX_SEQ
from task_app.transactions import Transaction

log = logging.getLogger(__name__)

PIECE = 50


@dataclass(frozen=True)
class Position:
    """The last event a client saw; `seq` is None for one that wants the live feed alone."""

    seq: int | None = None
    epoch: str | None = None


def position(since: Any, epoch: Any) -> Position:
    """What a client says of where it stands.  Raises 400 for what is no position."""
    if since is None or since == "":
        return Position()
    if isinstance(since, str) and since.isascii() and since.isdigit() and len(since) <= 19:
        since = int(since)
    if type(since) is not int or not 0 <= since <= MAX_SEQ:
        raise invalid({"since": ["Must be the seq of an event."]})
    if epoch is not None and not isinstance(epoch, str):
        raise invalid({"epoch": ["Must be the epoch that came with the seq."]})
    return Position(since, epoch or None)


def start(subscriber: Subscriber, actor: Actor, where: Position) -> dict[str, Any]:
    """Bring the subscriber up to date and let it join the live feed.

    Sends `resync` first when the log does not lead from there to now, and `ready` at the end,
    which is also returned: `seq`, `epoch`, `replayed`, `user_id`.
    """
    course = feeds.admit(subscriber, actor)
    _check(subscriber, actor)
    replayed = 0
    if where.seq is not None:
        with database.reading() as tx:
            broken = _broken(tx, actor, where)
        if broken:
            _resync(subscriber, course, broken)
        else:
            replayed = _chase(subscriber, course, actor, where.seq)
    if not subscriber.ended:
        subscriber.wait_for_room()  # what was replayed may have filled it
    with relay.lock:
        feeds.arrive(subscriber, course, relay.last_seq)
        return _ready(subscriber, replayed)


def _check(subscriber: Subscriber, actor: Actor) -> None:
    """End the connection, and raise 401, if the actor's token was ended just before control
    events began to reach the connection."""
    if not auth.still_holds(actor):
        subscriber.end("unauthorized")
        raise unauthorized()


def _broken(tx: Transaction, actor: Actor, where: Position) -> str | None:
    """Why the log does not lead from this position to now, if it does not."""
    log = events.log_state(tx)
    if where.epoch is not None and where.epoch != log.epoch:
        return "another_log"
    if where.seq is None or where.seq > log.seq:
        return "ahead_of_log"
    if where.seq < log.floor:
        return "too_old"
    user = queries.user_by_id(tx, actor.id or 0)
    if user is not None and where.seq < user.sight_seq:
        return "sight_changed"
    return None


def _chase(subscriber: Subscriber, course: int, actor: Actor, reached: int) -> int:
    """Replay until level with the relay, and join.  Returns how many events were replayed."""
    replayed = 0
    while subscriber.is_on(course):
        with database.reading() as tx:
            log = events.log_state(tx)
            piece = queries.events_for(tx, actor, reached, PIECE)
        if reached < log.floor:
            _resync(subscriber, course, "too_old")  # it was pruned while we read
            break
        for event in piece:
            if isinstance(event, Damaged):
                _resync(subscriber, course, "damaged_log")
                return replayed
            if not _give(subscriber, course, event):
                return replayed
            replayed += 1
        reached = piece[-1].seq if len(piece) == PIECE else max(log.seq, reached)
        if len(piece) < PIECE and _join_if_level(subscriber, course, reached):
            break
        socketio.sleep(0)
        if not subscriber.wait_for_room():
            break
    return replayed


def _join_if_level(subscriber: Subscriber, course: int, reached: int) -> bool:
    with relay.lock:
        return relay.last_seq <= reached and feeds.arrive(subscriber, course, reached)


def _give(subscriber: Subscriber, course: int, event: Event) -> bool:
    """Send one event of a replay, waiting for room.  False when the connection has ended, or who
    is signed in on it has another role, or is another, by now."""
    try:
        frame = subscriber.wire.encode(event, relay.epoch)
    except Exception:  # as in the live feed: one bad event must not keep the next from anybody
        log.exception("event %s could not be encoded", event.seq)
        return True
    while True:
        with feeds.lock:  # a control event is obeyed before or after, and nothing given after it
            if not subscriber.is_on(course):
                return False
            if subscriber.send(frame):
                subscriber.after = event.seq
                return True
        if not subscriber.wait_for_room():
            return False
        socketio.sleep(0)


def _resync(subscriber: Subscriber, course: int, reason: str) -> None:
    """Tell the client to read its list again.  It joins first: whatever happens after its list
    was read, it is given."""
    with relay.lock:
        told = {"reason": reason, "seq": relay.last_seq, "epoch": relay.epoch}
        if feeds.arrive(subscriber, course, relay.last_seq):
            subscriber.notice("resync", told)


def catch_up(subscriber: Subscriber, after: int) -> None:
    """Bring a subscriber that fell behind up to date from the log, beside whoever delivered.

    A burst is more than may wait for one client; only a client that then does not read either
    is slow, and is ended.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    actor = subscriber.actor
    course = feeds.set_out(subscriber, after)

    def work() -> None:
        with app.app_context(), or_end(subscriber):
            if subscriber.wait_for_room() and actor is not None:
                _chase(subscriber, course, actor, after)

    socketio.start_background_task(work)


feeds.when_full = catch_up


@contextmanager
def or_end(subscriber: Subscriber) -> Iterator[None]:
    """End a connection that could not be brought up to date: it would stay open and deaf.  Its
    client comes back with `since`."""
    try:
        yield
    except AppError as error:
        log.warning("a connection could not be brought up to date: %s", error.message)
        subscriber.end("unauthorized" if error.status == 401 else "server_stopping")
    except Exception:
        log.exception("a connection could not be brought up to date")
        subscriber.end("server_stopping")


def _ready(subscriber: Subscriber, replayed: int) -> dict[str, Any]:
    """Tell the client how far it is."""
    with relay.lock, feeds.lock:
        behind = subscriber.catching_up
        ready = {
            # What it has not been given yet, it must not believe to have.
            "seq": subscriber.after if behind else max(subscriber.after, relay.last_seq),
            "epoch": relay.epoch,
            "replayed": replayed,
            "user_id": subscriber.actor.id if subscriber.actor else None,
        }
        subscriber.notice("ready", ready)
    return ready


def renew(subscriber: Subscriber, actor: Actor, where: Position) -> dict[str, Any]:
    """A new token on a live connection: the same person goes on as they are, another person (or
    one in another role) starts anew."""
    if not feeds.renew(subscriber, actor):
        return start(subscriber, actor, where)
    _check(subscriber, actor)
    subscriber.wait_for_room()
    return _ready(subscriber, 0)
