"""Committed events to this process's feeds, in `seq` order, each once.

Who commits calls `publish`.  An event that follows the last one is delivered at once; anything
else means that somebody else (another thread, another process) committed too, and the log is
read from where this process stands.  A poll (`jobs.py`) picks up what nobody here published.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from task_app import auth, database, events
from task_app.errors import AppError
from task_app.events import EVENTS, Damaged, Event
from task_app.extensions import socketio
from task_app.realtime.feeds import feeds

log = logging.getLogger(__name__)

BATCH = 500
BREATH = 50
REMEMBERED = 1_000


class Relay:
    """`last_seq` is the number of the last event that was handed to the feeds; `reached` is how
    many connections here were given each of the last ones."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.last_seq = 0
        self.epoch = ""
        self.reached: OrderedDict[int, int] = OrderedDict()
        # Tells other processes up to where there is something to read (`hints.py`); must neither
        # wait nor raise.
        self.announce: Callable[[int], None] = lambda seq: None

    def start(self, app: Flask) -> None:
        """Stand at the end of the log as it is now.  The database must be migrated."""
        with app.app_context(), database.reading() as tx:
            self.last_seq, self.epoch = events.head(tx)

    def publish(self, committed: list[Event]) -> None:
        """Deliver what was just committed.

        Never raises: the change is done, and whatever cannot be delivered now is picked up by
        the poll.
        """
        try:
            self.announce(committed[-1].seq)
            with self.lock:
                if committed[0].seq == self.last_seq + 1:
                    self._deliver_all(committed)
                elif committed[-1].seq > self.last_seq:
                    self.catch_up()
        except Exception:  # whoever asked for the change would not know that it was made
            log.exception("events up to %s could not be delivered", committed[-1].seq)

    def reached_by(self, committed: list[Event]) -> int:
        """How many connections here were given these events, which were published just now (by
        whom does not matter: the poll may have been first)."""
        with self.lock:
            return sum(self.reached.get(event.seq, 0) for event in committed)

    def catch_up(self) -> None:
        """Deliver what the log holds past `last_seq`."""
        try:
            while True:
                with self.lock:
                    with database.reading() as tx:
                        batch = events.since(tx, self.last_seq, BATCH)
                    self._deliver_all(batch)
                if len(batch) < BATCH:
                    return
        except (AppError, SQLAlchemyError, database.Busy):
            log.warning("the event log cannot be read at the moment")

    def _deliver_all(self, batch: list[Event]) -> None:
        for number, event in enumerate(batch, 1):
            self.reached[event.seq] = self._deliver(event)
            if len(self.reached) > REMEMBERED:
                self.reached.popitem(last=False)
            if number % BREATH == 0:
                socketio.sleep(0)  # a long batch must not keep the hub from everybody else

    def _deliver(self, event: Event) -> int:
        self.last_seq = event.seq
        try:
            if isinstance(event, Damaged):
                self._pass_over(event)
                return 0
            if not EVENTS[event.type].control:
                reached = feeds.deliver(event, self.epoch)
                if log.isEnabledFor(logging.DEBUG):
                    told = {"request_id": event.request_id or ""}
                    words = "event %s (%s) reached %s connections"
                    log.debug(words, event.seq, event.type, reached, extra=told)
                return reached
            auth.forget(event.type, event.data)
            feeds.obey(event, self.epoch)
        except Exception:  # one bad event must not keep the next from anybody
            log.exception("event %s could not be delivered", event.seq)
            if event.type in EVENTS and EVENTS[event.type].control:
                self._pass_over(event)
        return 0

    def _pass_over(self, event: Event) -> None:
        """What it told nobody knows.  Clients read their lists again; where it may have ended a
        session or changed a role, everybody comes back and shows their token."""
        kind = EVENTS.get(event.type)
        if kind is None or kind.control:
            auth.forget_everybody()
            feeds.send_away()
        else:
            feeds.resync("damaged_log", event.seq, self.epoch)


relay = Relay()
