"""What a server does by itself, again and again.

Each job may run in every process at once: it does its work in one transaction and finds nothing
left to do when another process was first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask

from task_app.access import SYSTEM
from task_app.commands import execute
from task_app.errors import AppError
from task_app.extensions import socketio
from task_app.realtime.feeds import feeds
from task_app.realtime.handlers import handlers
from task_app.realtime.hints import hints
from task_app.realtime.relay import relay

log = logging.getLogger(__name__)

PAUSE = 0.05  # between two transactions, for others to write


def _remind() -> None:
    execute(SYSTEM, "notification.remind", {})


def _prune() -> None:
    """In transactions that keep nobody waiting, as many as it takes: a busy server writes more
    in ten minutes than one of them deletes."""
    while execute(SYSTEM, "server.prune", {}).body["pruned"]:
        socketio.sleep(PAUSE)


# Seconds between two runs, and what runs.
JOBS: tuple[tuple[float, Callable[[], Any]], ...] = (
    (0.5, feeds.expire),
    (1.0, relay.catch_up),
    (5.0, handlers.reap),
    (60.0, _remind),
    (600.0, _prune),
)


def start(app: Flask) -> None:
    """Run every job in the background until the process ends, and listen to other processes."""
    hints.start(app)
    for seconds, job in JOBS:
        socketio.start_background_task(_repeat, app, seconds, job)


def _repeat(app: Flask, seconds: float, job: Callable[[], Any]) -> None:
    while True:
        socketio.sleep(seconds)
        try:
            with app.app_context():
                job()
        except AppError as error:
            log.warning("%s: %s", job.__name__, error.message)
        except Exception:  # the next run may do better; without a next run nobody would notice
            log.exception("%s failed", job.__name__)
