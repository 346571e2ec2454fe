"""JSON schemas of what sockets and streams are sent: events in each dialect, and the rest.

Beside `dialects`, which makes these messages, as `outputs` is beside `queries`; a test holds real
traffic against it.  An event carries what its name begins with (`task_created`: a task) unless
`_DATA` says otherwise, so a new one of a known kind needs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from task_app.commands import COMMANDS
from task_app.dialects import CHANNELS, FIBER, GIN, NATIVE, Dialect
from task_app.events import EVENTS
from task_app.realtime.feeds import ENDINGS
from task_app.resources import outputs
from task_app.resources.outputs import COUNT, ERROR, FLAG, ID, ID_OR_NULL, TEXT, TIME, Json
from task_app.schemas.task import PageQuery

SEQ: Json = {**COUNT, "description": "The number of the last event there is, or of this one."}
EPOCH: Json = {"type": "string", "description": "Which log that number belongs to."}
_ENVELOPE = {"seq": SEQ, "epoch": EPOCH}
_ANYTHING: Json = {"description": "Anything, untouched."}
_REMOVED = outputs.object_of({"id": ID})
_READ = outputs.object_of(
    {"user_id": ID, "ids": {"type": "array", "items": ID}, "is_read": FLAG},
)
# A broadcast's own type, which can be any word.
_WORD: Json = {"type": "string", "minLength": 1, "maxLength": 64}
# What an event carries that is not the thing its name begins with.
_DATA: Mapping[str, Json] = {
    "task_removed": _REMOVED,
    "notification_read": _READ,
    "broadcast": outputs.object_of({"type": _WORD, "data": _ANYTHING}),
}
# Of these a client needs the id alone.
_GONE = ("task_deleted", "task_removed")
# What some lists tell beside their items.
_FACTS: Mapping[str, dict[str, Json]] = {"notification_list": {"unread": COUNT}}

# What is no event, by its name.  On a raw WebSocket the name is the message's `type`.
NOTICES: Mapping[str, tuple[str, Json]] = {
    "ready": (
        "You are signed in and up to date; what follows is live.",
        outputs.object_of({**_ENVELOPE, "replayed": COUNT, "user_id": ID_OR_NULL}),
    ),
    "resync": (
        "The log does not lead from where you stand to now (`another_log`, `ahead_of_log`, "
        "`too_old`, `damaged_log`), or what you may see has changed as a whole (`sight_changed`): "
        "list again.",
        outputs.object_of({"reason": TEXT, **_ENVELOPE}),
    ),
}
# Told to those who sign in with `people`, which a stream cannot.
PEOPLE: tuple[str, Json] = (
    "Who is here, whenever that changes: the first hundred by name, and how many there are.",
    outputs.object_of(
        {
            "here": {"type": "array", "items": outputs.object_of({"id": ID, "username": TEXT})},
            "count": COUNT,
        }
    ),
)
MESSAGE = outputs.object_of({"data": TEXT})
END = outputs.object_of({"reason": {"enum": list(ENDINGS)}})
PONG = outputs.object_of({"type": {"const": "pong"}})


def types() -> list[str]:
    """The events that clients are sent."""
    return [name for name, event in EVENTS.items() if not event.control]


def event_name(event_type: str, dialect: Dialect) -> str:
    """The name of an event's schema."""
    return f"{outputs.name_of(event_type, dialect)}Event"


def of_dialect(dialect: Dialect) -> dict[str, Json]:
    """The schema of every event in this dialect, by its name.

    Raises KeyError for an event of a kind that has no schema.
    """
    spell = _SPELLINGS[dialect.name]
    return {event_name(name, dialect): spell(name, dialect) for name in types()}


def _kind(event_type: str) -> str:
    return event_type.partition("_")[0]


def _properties(event_type: str, dialect: Dialect) -> dict[str, Json]:
    """What the event carries, key by key."""
    if event_type in _DATA:
        found: dict[str, Json] = _DATA[event_type]["properties"]
        return found
    name = outputs.name_of(_kind(event_type), dialect)
    properties: dict[str, Json] = outputs.of_dialect(dialect)[name]["properties"]
    return properties


def _native(event_type: str, dialect: Dialect) -> Json:
    found = dict(_properties(event_type, dialect))
    if event_type == "broadcast":
        found["type"] = _WORD
    else:
        found["type"] = {"const": event_type}
    if _kind(event_type) == "task" or "task_id" in found:
        found["task"] = {**ID, "description": "The task's id."}
    beside = {
        "actor_id": {**ID_OR_NULL, "description": "Who did it; null for the server itself."},
        "changes": {"type": "array", "items": TEXT, "description": "Names of changed fields."},
        "at": TIME,
        "request_id": {
            "type": ["string", "null"],
            "description": "Of the request that caused it; null for the server itself.",
        },
    }
    return outputs.object_of({**found, **_ENVELOPE, **beside})


def _content(event_type: str, dialect: Dialect) -> Json:
    """What stands under the one key of the families that put it there."""
    if event_type in _GONE:
        return outputs.object_of({"id": outputs.ID_TEXT}) if dialect is GIN else ID
    if event_type == "broadcast":
        return _ANYTHING
    if event_type in _DATA:
        return _DATA[event_type]
    _properties(event_type, dialect)  # there is one, or KeyError
    return outputs.ref(outputs.name_of(_kind(event_type), dialect))


def _plain(event_type: str, dialect: Dialect) -> Json:
    """The `type` that goes with it."""
    if event_type == "broadcast":
        return _WORD
    moved = event_type == "task_status_changed" and dialect is not GIN
    return {"const": "task_updated" if moved else event_type}


def _fiber(event_type: str, dialect: Dialect) -> Json:
    content = {"data": _content(event_type, dialect)}
    return outputs.object_of({"type": _plain(event_type, dialect), **content, **_ENVELOPE})


def _gin(event_type: str, dialect: Dialect) -> Json:
    content = {"payload": _content(event_type, dialect)}
    return outputs.object_of({"type": _plain(event_type, dialect), **content, **_ENVELOPE})


def _channels(event_type: str, dialect: Dialect) -> Json:
    if _kind(event_type) != "task":
        return _fiber(event_type, dialect)
    removed = event_type == "task_removed"
    task = _REMOVED if removed else outputs.ref(outputs.name_of("task", dialect))
    action = {"const": "task_deleted"} if removed else _plain(event_type, dialect)
    head = {"type": {"const": "task_update"}, "action": action}
    return outputs.object_of({**head, "task": task, **_ENVELOPE})


_SPELLINGS: Mapping[str, Callable[[str, Dialect], Json]] = {
    NATIVE.name: _native,
    FIBER.name: _fiber,
    GIN.name: _gin,
    CHANNELS.name: _channels,
}


def answer(command: str, dialect: Dialect) -> Json:
    """The body of a command's answer on a socket.  Raises KeyError for one that has none."""
    row = COMMANDS[command]
    body = outputs.ref(outputs.BODIES.get(command) or outputs.name_of(row.shape, dialect))
    if not isinstance(row.schema, PageQuery):
        return body
    cursor = {"type": ["string", "null"], "description": "Send it back for the next page."}
    facts = _FACTS.get(row.shape, {})
    return outputs.object_of({list_event(command): body, "cursor": cursor, **facts, **_ENVELOPE})


def list_event(command: str) -> str:
    """What a list is called on a socket: `tasks`."""
    return f"{command.partition('.')[0]}s"


# Events that a command can cause beside those with its own name.
_ALSO_CAUSED = {"task.update": ["task_status_changed"]}


def socketio_ack(command: str) -> Json:
    """What Socket.IO acknowledges a command with: the event it caused, or its answer's body when
    it caused none (nothing changed, or it was done before under the same `request_id`)."""
    kind, _, verb = command.partition(".")
    caused = [name for name in types() if name.startswith(f"{kind}_{verb}") and kind == "task"]
    caused += _ALSO_CAUSED.get(command, [])
    body = answer(command, NATIVE)
    refs = [outputs.ref(event_name(name, NATIVE)) for name in caused]
    return {"anyOf": [*refs, body]} if refs else body


def raw_error(dialect: Dialect) -> Json:
    """An error on a raw WebSocket."""
    head: dict[str, Json] = {"type": {"const": "error"}, "status": {"type": "integer"}}
    current = outputs.ref(outputs.name_of("task", dialect))
    properties = {**head, **ERROR, "current": current, "request_id": {}}
    return outputs.object_of(properties, optional=("errors", "index", "current", "request_id"))


def raw_ack(command: str, dialect: Dialect) -> Json:
    """The answer to a command on a raw WebSocket."""
    head: dict[str, Json] = {
        "type": {"const": "ack"},
        "status": {"const": COMMANDS[command].status},
    }
    properties = {**head, "data": answer(command, dialect), "request_id": {}}
    return outputs.object_of(properties, optional=("request_id",))


def raw(name: str, schema: Json) -> Json:
    """A notice as a raw WebSocket is told it."""
    return outputs.object_of({"type": {"const": name}, **schema["properties"]})
