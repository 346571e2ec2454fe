"""What a server does by itself, again and again.

Each job may run in every process at once: it does its work in one transaction and finds nothing
left to do when another process was first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flask import Flask

from task_app import database, presence
from task_app.access import ALL, SYSTEM
from task_app.commands import execute
from task_app.errors import AppError
from task_app.extensions import socketio
from task_app.realtime import whereabouts
from task_app.realtime.feeds import feeds
from task_app.realtime.handlers import handlers
from task_app.realtime.hints import hints
from task_app.realtime.relay import relay
from task_app.shared_pages import shared_pages

log = logging.getLogger(__name__)

PAUSE = 0.05  # between two transactions, for others to write
LEAVE_SECONDS = 1.0  # the most a stop waits to be struck out; a row that stays is soon too old
_word = threading.Lock()  # the last word of a process is that it leaves
_leaving = threading.Event()


class _LastBeat:
    """What the other processes were told, and when."""

    told: Mapping[str, Any] = MappingProxyType({})
    at = -presence.BEAT_SECONDS


_last = _LastBeat()


def _remind() -> None:
    execute(SYSTEM, "notification.remind", {})


def _prune() -> None:
    """In transactions that keep nobody waiting, as many as it takes: a busy server writes more
    in ten minutes than one of them deletes."""
    while execute(SYSTEM, "server.prune", {}).body["pruned"]:
        socketio.sleep(PAUSE)


def here() -> dict[str, Any]:
    """How many connections this process has, how many of them get broadcasts, and whose."""
    return {
        "clients": len(feeds.connected),
        "signed_in": len(feeds.rooms.get(ALL, ())),
        "people": sorted(feeds.people())[: presence.PEOPLE_TOLD],
    }


def beat() -> None:
    """Tell the other processes how many connections this one has, and whose."""
    told = here()
    with _word:
        if not _leaving.is_set():
            execute(SYSTEM, "server.beat", {"id": presence.PROCESS, **told})
            _last.told, _last.at = told, time.monotonic()


def tell_news() -> None:
    """Beat when the numbers have changed, or a sign of life is due."""
    if here() != _last.told or time.monotonic() >= _last.at + presence.BEAT_SECONDS:
        beat()


# Seconds between two runs, and what runs.
JOBS: tuple[tuple[float, Callable[[], Any]], ...] = (
    (0.5, feeds.expire),
    (1.0, relay.catch_up),
    (1.0, database.checkpoint),
    (5.0, handlers.reap),
    (presence.NEWS_SECONDS, tell_news),
    (0.25, whereabouts.tell),
    (60.0, _remind),
    (600.0, _prune),
)


def start(app: Flask) -> None:
    """Run every job in the background until the process ends, and listen to other processes."""
    _leaving.clear()
    hints.start(app)
    shared_pages.start(app)
    run(app, beat)  # it is known to be there before it serves anybody
    for seconds, job in JOBS:
        socketio.start_background_task(_repeat, app, seconds, job)


def stop(app: Flask) -> None:
    """Tell the other processes that this one leaves.  Returns within `LEAVE_SECONDS`."""
    _leaving.set()
    told = threading.Event()
    socketio.start_background_task(_leave, app, told)
    told.wait(LEAVE_SECONDS)


def _leave(app: Flask, told: threading.Event) -> None:
    try:
        with app.app_context(), _word:
            execute(SYSTEM, "server.leave", {"id": presence.PROCESS})
    except Exception as error:  # the row stays, and is soon too old to count
        log.warning("the other processes could not be told of the stop: %s", error)
    told.set()


def _repeat(app: Flask, seconds: float, job: Callable[[], Any]) -> None:
    while True:
        socketio.sleep(seconds)
        run(app, job)


def run(app: Flask, job: Callable[[], Any]) -> None:
    """Do a job once.  Never raises: the next run may do better, and must come."""
    try:
        with app.app_context():
            job()
    except AppError as error:
        log.warning("%s: %s", job.__name__, error.message)
    except Exception:
        log.exception("%s failed", job.__name__)
