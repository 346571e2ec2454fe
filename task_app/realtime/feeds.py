"""Rooms and the subscribers of this process.

A subscriber is one connection of any transport.  It joins the rooms its actor may see; the relay
hands each committed event to `deliver`, which encodes it once per wire form and gives it to every
subscriber in the event's rooms, once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Protocol

from task_app import metrics
from task_app.access import Actor
from task_app.events import Event
from task_app.extensions import socketio

log = logging.getLogger(__name__)

# Why the server ends a connection -> the close code of a WebSocket.  4401: bring another token;
# 4408 and 1012: come back with `since`.
ENDINGS = {
    "unauthorized": 4401,
    "token_expired": 4401,
    "logged_out": 4401,
    "account_changed": 4401,
    "slow_reader": 4408,
    "timeout": 1001,
    "server_stopping": 1012,
}


class Wire(Protocol):
    """A transport and a dialect together: how an event looks on the way out."""

    def encode(self, event: Event, epoch: str) -> Any:
        """The frame that `Subscriber.send` takes."""


class Subscriber:
    """One connection.

    `actor` is who is signed in on it, None for nobody; `rooms` are those it has joined; `after`
    is the number of the last event it had by then, or has had since it is being brought up to
    date; `ended` is set once the server has ended it.

    `send(frame)` puts one encoded event on its way; it neither waits nor raises.  False when no
    more can wait for this client; the event is not put then.  It is an attribute, so that what
    writes can be called without anything in between: a thousand times for each event.

    While it is `catching_up` it is in no room, and is given what it lacks from the log.  Whoever
    does that does it for one `course`; another one has begun as soon as the number is another,
    and whatever belonged to the old one is void.
    """

    wire: Wire
    send: Callable[[Any], bool]

    def __init__(self) -> None:
        self.actor: Actor | None = None
        self.rooms: frozenset[str] = frozenset()
        self.after = 0
        self.ended = False
        self.catching_up = False
        self.course = 0

    def is_on(self, course: int) -> bool:
        """Whether it is still being brought up to date by whoever does so for `course`."""
        return self.catching_up and self.course == course and not self.ended

    def notice(self, name: str, payload: dict[str, Any]) -> None:
        """Tell the client something that is no event: `ready`, `resync`."""
        raise NotImplementedError

    def remark(self, name: str, payload: dict[str, Any]) -> None:
        """Tell the client what it can do without: left out where it has not read what waits."""
        raise NotImplementedError

    def wait_for_room(self) -> bool:
        """Wait until the client has read most of what waits for it.  False, and the connection
        is ended, when it does not."""
        raise NotImplementedError

    def end(self, reason: str) -> None:
        """Close the connection, for one of `ENDINGS`."""
        raise NotImplementedError


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Trouble with one connection, which the others must not feel."""
    try:
        yield
    except Exception:
        log.exception("a connection could not be told of %s", what)


class Feeds:
    """The rooms.  `lock` orders joining and delivering: whoever joins knows which event was the
    last before, and misses none after."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.rooms: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self.of_user: defaultdict[int | None, set[Subscriber]] = defaultdict(set)
        self.connected: set[Subscriber] = set()  # signed in or not
        self.watching: set[Subscriber] = set()  # those that want to know who is here
        self.closing = False  # whoever still comes is sent away
        # Around all that is sent of one event.
        self.together: Callable[[], AbstractContextManager[None]] = nullcontext
        # What becomes of a subscriber that took the events up to this number and has no room
        # for the next (`replay.py`).
        self.when_full: Callable[[Subscriber, int], None] = lambda subscriber, _: subscriber.end(
            "slow_reader"
        )

    def clear(self) -> None:
        with self.lock:
            self.rooms.clear()
            self.of_user.clear()
            self.connected.clear()
            self.watching.clear()
            self.closing = False

    def connect(self, subscriber: Subscriber) -> None:
        """Count the connection.  It is in no room yet."""
        with self.lock:
            self.connected.add(subscriber)
        if self.closing:  # not in here: its transport is still setting it up
            socketio.start_background_task(subscriber.end, "server_stopping")

    def disconnect(self, subscriber: Subscriber) -> None:
        """The connection is gone."""
        with self.lock:
            subscriber.ended = True
            self._leave(subscriber)
            self._dismiss(subscriber)
            self.connected.discard(subscriber)
            self.watching.discard(subscriber)

    def watch(self, subscriber: Subscriber) -> None:
        """Note that this one wants to know who is here."""
        with self.lock:
            if not subscriber.ended:
                self.watching.add(subscriber)

    def admit(self, subscriber: Subscriber, actor: Actor) -> int:
        """Note who is signed in; from here on control events reach the connection.  It leaves the
        rooms it was in, which may have been another's or another role's, and is to be brought up
        to date: returns its new course."""
        with self.lock:
            self._identify(subscriber, actor)
            return self.set_out(subscriber, 0)

    def renew(self, subscriber: Subscriber, actor: Actor) -> bool:
        """Note another token of whoever is signed in; the feed goes on as it is.  False when it
        is another person, or one in another role, or has no feed."""
        with self.lock:
            known = subscriber.actor
            if known is None or (known.id, known.role) != (actor.id, actor.role):
                return False
            if not subscriber.rooms and not subscriber.catching_up:
                return False
            self._identify(subscriber, actor)
            return True

    def _identify(self, subscriber: Subscriber, actor: Actor) -> None:
        self._dismiss(subscriber)
        subscriber.actor = actor
        if not subscriber.ended:
            self.of_user[actor.id].add(subscriber)

    def set_out(self, subscriber: Subscriber, after: int) -> int:
        """Take the subscriber, which has had the events up to `after`, out of its rooms until it
        is up to date.  Returns the number of its new course."""
        with self.lock:
            self._leave(subscriber)
            subscriber.after = after
            subscriber.course += 1
            subscriber.catching_up = True
            return subscriber.course

    def arrive(self, subscriber: Subscriber, course: int, after: int) -> bool:
        """Let a subscriber that is up to date join.  False when it is not on this course."""
        with self.lock:
            if not subscriber.is_on(course):
                return False
            self._join(subscriber, after)
            return True

    def _join(self, subscriber: Subscriber, after: int) -> None:
        """Let the subscriber have what its actor may see from the event after `after` on."""
        self._leave(subscriber)
        if subscriber.actor is None or subscriber.ended:
            return
        subscriber.course += 1
        subscriber.catching_up = False
        subscriber.after = after
        subscriber.rooms = subscriber.actor.rooms
        for room in subscriber.rooms:
            self.rooms[room].add(subscriber)

    def _leave(self, subscriber: Subscriber) -> None:
        for room in subscriber.rooms:
            _discard(self.rooms, room, subscriber)
        subscriber.rooms = frozenset()

    def _dismiss(self, subscriber: Subscriber) -> None:
        if subscriber.actor is not None:
            _discard(self.of_user, subscriber.actor.id, subscriber)

    def obey(self, event: Event, epoch: str) -> None:
        """Do what a control event asks: end sessions, give people the rooms of their new role."""
        with self.lock:
            for subscriber in list(self.of_user.get(event.data["user_id"], ())):
                with _logged(f"event {event.seq}"):
                    self._obey(subscriber, event, epoch)

    def _obey(self, subscriber: Subscriber, event: Event, epoch: str) -> None:
        actor = subscriber.actor
        if actor is None:
            return
        if event.type == "session_revoked":
            if actor.session == event.data["session"]:
                subscriber.end("logged_out")
        elif event.data["ended"]:
            subscriber.end("account_changed")
        elif event.data["role"] != actor.role:
            # What is visible changes as a whole: the client must read its list again, and has
            # everything after that, whether it was up to date or not.
            subscriber.actor = replace(actor, role=event.data["role"])
            self._join(subscriber, max(event.seq, subscriber.after))
            told = {"reason": "sight_changed", "seq": subscriber.after, "epoch": epoch}
            subscriber.notice("resync", told)

    def resync(self, reason: str, seq: int, epoch: str) -> None:
        """Tell whoever has had all before `seq` to read their list again.  (Others learn from the
        log.)"""
        told = {"reason": reason, "seq": seq, "epoch": epoch}
        with self.lock:
            for subscriber in set().union(*self.rooms.values()):
                if seq > subscriber.after:
                    with _logged(f"event {seq}"):
                        subscriber.notice("resync", told)

    def send_away(self) -> None:
        """End every connection that somebody is signed in on; their clients come back."""
        with self.lock:
            for subscriber in set().union(*self.of_user.values()):
                with _logged("its end"):
                    subscriber.end("server_stopping")

    def deliver(self, event: Event, epoch: str) -> int:
        """Give the event to everyone in its rooms who has not had it; returns to how many.

        Called in `seq` order.
        """
        began = time.perf_counter()
        with self.lock, self.together():
            reached = self._send(event, epoch)
        metrics.FANOUT.observe(time.perf_counter() - began)
        return reached

    def _send(self, event: Event, epoch: str) -> int:
        reached, seq = 0, event.seq
        frames: dict[Wire, Any] = {}
        for subscriber in self._audience(event.rooms):
            if seq <= subscriber.after:
                continue
            # No call here but the one that writes: this is most of a fan-out's time.
            try:
                wire = subscriber.wire
                if wire not in frames:
                    frames[wire] = wire.encode(event, epoch)
                if not subscriber.send(frames[wire]):
                    # It gets the rest from the log once it has read what waits for it.
                    self.when_full(subscriber, seq - 1)
                reached += 1
            except Exception:  # one client's trouble, or one dialect's, is nobody else's
                log.exception("event %s could not be sent to a client", seq)
        return reached

    def _audience(self, rooms: Iterable[str]) -> set[Subscriber]:
        found = [members for room in rooms if (members := self.rooms.get(room))]
        return set().union(*found)

    def people(self) -> set[int]:
        """The ids of the accounts that have a connection to this process."""
        with self.lock:
            return {user_id for user_id in self.of_user if user_id is not None}

    def expire(self) -> None:
        """End the connections whose token has expired."""
        now = time.time()
        with self.lock:
            late = [
                subscriber
                for subscriber in self.connected
                if (actor := subscriber.actor) is not None
                and actor.expires_at is not None
                and actor.expires_at <= now
            ]
        for subscriber in late:
            subscriber.end("token_expired")


def _discard(groups: dict[Any, set[Subscriber]], key: Any, subscriber: Subscriber) -> None:
    members = groups.get(key)
    if members is not None:
        members.discard(subscriber)
        if not members:
            del groups[key]


feeds = Feeds()
