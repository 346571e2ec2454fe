"""Who is here, told to the connections that want to know, so that nobody has to ask all the time.

What is told is the whole state, not what has changed: whoever was left out once, for want of room,
is right again by the next.  Somebody is gone after a moment only: loading a page anew is no
departure.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from task_app import database, people
from task_app.errors import AppError
from task_app.extensions import socketio
from task_app.realtime.feeds import Subscriber, feeds
from task_app.transactions import Transaction

MOST = 100  # people who are named; of more the number is told
GRACE_SECONDS = 3.0  # for which somebody may be away unnoticed
SHARE = 0.02  # of this process's time that telling may take, however many want to know
BREATH = 50  # after so many are told, everybody else is served


class Whereabouts:
    """`told` is who was here when everyone was last told; None when somebody was not."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.told: frozenset[int] | None = None
        self.seen: dict[int, float] = {}  # when each was last here, on the monotonic clock
        self.rest_until = 0.0

    def watch(self, subscriber: Subscriber) -> None:
        """Tell it who is here, now and whenever that changes."""
        feeds.watch(subscriber)
        try:
            with self.lock, database.reading() as tx:
                message = _message(tx, self._present(tx))
            subscriber.remark("people", message)
        except (AppError, SQLAlchemyError, database.Busy):
            self.told = None  # no reason to turn a client away: it is told with everyone, soon

    def tell(self) -> None:
        """Tell everyone who wants to know, if there is anything new and enough time has passed."""
        began = time.monotonic()
        if not feeds.watching or began < self.rest_until:
            return
        with self.lock, database.reading() as tx:
            present = self._present(tx)
            if present == self.told:
                return
            self.told = present
            message = _message(tx, present)
        for number, subscriber in enumerate(list(feeds.watching), 1):
            subscriber.remark("people", message)
            if number % BREATH == 0:
                socketio.sleep(0)
        self.rest_until = began + (time.monotonic() - began) / SHARE

    def _present(self, tx: Transaction) -> frozenset[int]:
        now = time.monotonic()
        self.seen |= dict.fromkeys(people.here(tx), now)
        self.seen = {id_: at for id_, at in self.seen.items() if now - at < GRACE_SECONDS}
        return frozenset(self.seen)


def _message(tx: Transaction, present: Iterable[int]) -> dict[str, Any]:
    """`here`, the first of them with their names, and `count`, how many there are."""
    ids = sorted(present)
    return {"here": people.named(tx, ids[:MOST]), "count": len(ids)}


whereabouts = Whereabouts()
watch, tell = whereabouts.watch, whereabouts.tell
