"""What a socket's client asks, whichever socket it is: the same commands, arguments and answers
on Socket.IO and on raw WebSockets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from task_app import logs
from task_app.access import ANONYMOUS
from task_app.commands import COMMANDS, Result, authenticate, execute
from task_app.dialects import Dialect
from task_app.errors import AppError, invalid, unauthorized
from task_app.events import Event
from task_app.realtime import replay, whereabouts
from task_app.realtime.feeds import Subscriber

log = logging.getLogger(__name__)

EVENT_COMMANDS = {row.event: name for name, row in COMMANDS.items() if row.event}
# The names a payload may give the thing it speaks of.
TARGETS = ("id", "task_id", "task")


@dataclass(frozen=True)
class Answer:
    """`body` is spelt in the client's dialect; `kind` names a list (`tasks`, …), else it is
    empty; `events` are those the request caused."""

    status: int
    body: Any
    kind: str = ""
    events: list[Event] = field(default_factory=list)


def answer(subscriber: Subscriber, event: str, payload: Any, dialect: Dialect) -> Answer:
    """Do what the client asks under the name `event`.  Raises `AppError`.

    The `request_id` in the payload is the request's id in the log and in its events, and its
    idempotency key.
    """
    given = payload.get("request_id") if isinstance(payload, dict) else None
    logs.begin_request(given if isinstance(given, str) else None)
    if not isinstance(payload, dict):
        raise AppError("invalid_payload", 400, "The payload must be one JSON object")
    payload = dict(payload)
    if event == "authenticate":
        return Answer(200, sign_in(subscriber, payload))
    name = EVENT_COMMANDS.get(event)
    if name is None:
        raise AppError("unknown_event", 400, f"There is no event {str(event)[:40]!r}")
    # The payload's token goes before the connection's.
    token = payload.pop("token", None)
    actor = (subscriber.actor or ANONYMOUS) if token is None else authenticate(token)
    request_id = payload.pop("request_id", None)
    versions = _expected_versions(payload)
    target = None if name in ("task.create", "task.list") else _target(payload)
    result = execute(
        actor,
        name,
        payload,
        target=target,
        expected_versions=versions,
        request_id=request_id,
    )
    log.debug("%s by a socket: %s", name, result.status)
    return _answer(name, result, dialect)


def sign_in(subscriber: Subscriber, payload: dict[str, Any]) -> dict[str, Any]:
    """Bring a token, or renew it.  Returns `ready`, which the client is sent too.  Raises 401."""
    if payload.get("token") is None:
        raise unauthorized()
    where = replay.position(payload.get("since"), payload.get("epoch"))
    ready = replay.renew(subscriber, authenticate(payload["token"]), where)
    if is_curious(payload):
        whereabouts.watch(subscriber)
    return ready


def is_curious(credentials: Any) -> bool:
    """Whether whoever signs in with these wants to be told who is here."""
    return isinstance(credentials, Mapping) and credentials.get("people") is True


def _answer(name: str, result: Result, dialect: Dialect) -> Answer:
    body = dialect.body(result.shape, result.body)
    kind = ""
    if result.page is not None:
        kind = name.partition(".")[0] + "s"
        body = {kind: body, "cursor": result.page.cursor, **result.page.facts}
        body |= {"seq": result.seq, "epoch": result.epoch}
    return Answer(result.status, body, kind, result.events)


def _expected_versions(payload: dict[str, Any]) -> frozenset[int] | None:
    version = payload.pop("if_match", None)
    if version is None:
        return None
    if type(version) is not int:
        raise invalid({"if_match": ["Must be the version as a whole number."]})
    return frozenset({version})


def _target(payload: dict[str, Any]) -> int | None:
    """The id in the payload: a whole number, or its digits (one family keeps ids as text)."""
    named = [payload.pop(key) for key in TARGETS if key in payload]
    if not named:
        return None
    found = named[0]
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) <= 19:
        found = int(found)
    if type(found) is not int:
        raise invalid({"id": ["Must be a whole number."]})
    return found
