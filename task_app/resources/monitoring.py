"""What operators and balancers ask: health, readiness, metrics."""

from __future__ import annotations

import hmac
import logging
import math
import time
from typing import Any

from flask import Flask, Response, current_app, request
from flask_restful import Resource
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from task_app import auth, database, events, metrics, presence
from task_app.access import ALL
from task_app.errors import AppError, unauthorized
from task_app.realtime.feeds import feeds
from task_app.realtime.hints import hints
from task_app.realtime.relay import relay
from task_app.resources.base import current_request
from task_app.version import VERSION

log = logging.getLogger(__name__)

# Whatever else a client invents is one: each value of a label is kept for ever.
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def state() -> dict[str, Any]:
    """How the server is: `status` is `ok` or `degraded`.

    `connectedClients` are those of all processes, or of this one alone while the database, by
    which it knows of the others, is unavailable.
    """
    working, clients = True, len(feeds.connected)
    try:
        with database.reading() as tx:
            events.head(tx)
            clients += presence.elsewhere(tx).clients
    except (AppError, database.Busy):
        working = False
    return {
        "status": "ok" if working else "degraded",
        "version": VERSION,
        "connectedClients": clients,
        "database": "ok" if working else "unavailable",
        "redis": hints.state,  # nothing depends on it: the server is ok without
        "seq": relay.last_seq,
        "epoch": relay.epoch,
    }


class HealthResource(Resource):
    def get(self) -> Any:
        """How the server is: always 200 while the process lives.

        Restarting it would not mend a database.
        """
        return state()


class ReadyResource(Resource):
    def get(self) -> Any:
        """Whether this process should get requests: 503 while it should not."""
        found = state()
        return found, 200 if found["status"] == "ok" else 503


def register(app: Flask) -> None:
    """Serve the metrics, and count the requests they tell of."""
    metrics.SOCKETS.set_function(lambda: len(feeds.connected))
    metrics.PROCESS.labels(presence.PROCESS).set(1)
    metrics.SIGNED_IN.set_function(lambda: len(feeds.rooms.get(ALL, ())))
    metrics.LAG.set_function(_lag)
    metrics.PENDING.set_function(_pending)
    app.add_url_rule("/metrics", "metrics", _metrics)
    app.before_request(_start_clock)
    app.after_request(_count)


def _metrics() -> Response:
    _check_may_read_metrics()
    return Response(generate_latest(metrics.REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _lag() -> float:
    """How far the relay is behind the log; no number while the log cannot be read."""
    try:
        with database.reading() as tx:
            return max(0, events.head(tx)[0] - relay.last_seq)
    except (AppError, database.Busy):
        return math.nan


def _pending() -> int:
    with feeds.lock:
        outboxes = [getattr(subscriber, "outbox", None) for subscriber in feeds.connected]
    return sum(len(outbox.waiting) for outbox in outboxes if outbox is not None)


def _check_may_read_metrics() -> None:
    """Raises 401 unless the token is that of `METRICS_TOKEN`, or there is none and the request
    comes from this machine itself and through no proxy."""
    token = current_app.config["METRICS_TOKEN"]
    if token is None:
        if request.remote_addr in ("127.0.0.1", "::1") and "Forwarded" not in str(request.headers):
            return
        raise unauthorized("Set METRICS_TOKEN to read the metrics from another machine")
    given = auth.token_in_header(request.headers.get("Authorization", ""))
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise unauthorized()


def _start_clock() -> None:
    request.environ["task_app.started"] = time.perf_counter()


def _count(response: Response) -> Response:
    asked = current_request()
    took = time.perf_counter() - asked.environ["task_app.started"]
    rule = asked.url_rule.rule if asked.url_rule else "none"
    method = asked.method if asked.method in METHODS else "other"
    metrics.request_timer(method, rule, response.status_code).observe(took)
    if log.isEnabledFor(logging.DEBUG):
        # By its rule: a path, and more so a query, is whatever a client wants to have logged.
        log.debug("%s %s: %s in %.1f ms", method, rule, response.status_code, took * 1000)
    return response
