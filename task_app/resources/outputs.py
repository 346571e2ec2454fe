"""JSON schemas of what goes out, in each dialect, and of errors.

A small table beside `queries` and `dialects`, which make the bodies (they take no detour through
a schema: it would cost more than the query).  A test holds real answers against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from task_app.dialects import FIBER_STATUS, GIN_STATUS, Dialect
from task_app.models.task import DESCRIPTION_LENGTH, PRIORITIES, STATUSES, TITLE_LENGTH
from task_app.models.user import ADMIN, MEMBER
from task_app.schemas.fields import MAX_ID

Json = dict[str, Any]

ID: Json = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
ID_OR_NULL: Json = {**ID, "type": ["integer", "null"]}
TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
TIME: Json = {"type": "string", "format": "date-time", "pattern": "Z$"}
COUNT: Json = {"type": "integer", "minimum": 0}


def object_of(properties: Mapping[str, Json], optional: tuple[str, ...] = ()) -> Json:
    """An object of exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(name: str) -> Json:
    return {"type": "array", "items": ref(name)}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_TASK: dict[str, Json] = {
    "id": ID,
    "title": {"type": "string", "minLength": 1, "maxLength": TITLE_LENGTH},
    "description": {"type": ["string", "null"], "maxLength": DESCRIPTION_LENGTH},
    "done": FLAG,
    "status": {"enum": list(STATUSES)},
    "priority": {"enum": list(PRIORITIES)},
    "due_date": {"type": ["string", "null"], "format": "date"},
    "user_id": {**ID, "description": "The owner."},
    "created_by": ID,
    "assigned_to": ID_OR_NULL,
    "created_at": TIME,
    "updated_at": TIME,
    "version": {"type": "integer", "minimum": 1, "description": "What `If-Match` compares."},
}
# The other families' clients know a task as their documents have it.
NATIVE_ONLY = {"done"}
_PLAIN_TASK = {name: schema for name, schema in _TASK.items() if name not in NATIVE_ONLY}
ID_TEXT: Json = {"type": "string", "pattern": "^[1-9][0-9]*$"}
# How a dialect's task differs from the native one.
_TASKS: dict[str, dict[str, Json]] = {
    "native": _TASK,
    "fiber": {
        **_PLAIN_TASK,
        "status": {"enum": list(FIBER_STATUS.values())},
        "priority": {"enum": [word.capitalize() for word in PRIORITIES]},
    },
    "channels": {
        ("assigned_user" if name == "assigned_to" else name): schema
        for name, schema in _PLAIN_TASK.items()
    },
    "gin": {
        "id": ID_TEXT,
        "title": _TASK["title"],
        "description": _TASK["description"],
        "statusId": {"enum": list(GIN_STATUS.values())},
        "priority": _TASK["priority"],
        "dueDate": _TASK["due_date"],
        "userId": ID_TEXT,
        "createdBy": ID_TEXT,
        "assigneeId": {**ID_TEXT, "type": ["string", "null"]},
        "createdAt": TIME,
        "updatedAt": TIME,
        "version": _TASK["version"],
    },
}
_NOTICE: dict[str, Json] = {
    "id": ID,
    "user_id": ID,
    "task_id": {**ID, "description": "The task may be gone."},
    "kind": {"enum": ["assigned", "unassigned", "moved", "completed", "due"]},
    "message": TEXT,
    "is_read": FLAG,
    "created_at": TIME,
}
_NOTICE_NAMES = {"channels": {"user_id": "user", "task_id": "task"}}

USER = object_of(
    {
        "id": ID,
        "username": TEXT,
        "email": {"type": ["string", "null"]},
        "role": {"enum": [ADMIN, MEMBER]},
        "is_active": FLAG,
        "date_joined": TIME,
        "last_login": {"type": ["string", "null"], "format": "date-time"},
    }
)
_TOKENS: dict[str, Json] = {
    "access_token": TEXT,
    "refresh_token": TEXT,
    "token": {"type": "string", "description": "The access token again."},
    "token_type": {"const": "Bearer"},
    "expires_in": {"type": "integer", "description": "Seconds the access token lives."},
    "user": ref("User"),
}
ERROR: dict[str, Json] = {
    "error": {"type": "string", "description": "What is wrong, in words."},
    "message": {"type": "string", "description": "The same."},
    "code": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$", "description": "Stable."},
    "errors": {"type": "object", "description": "What is wrong with each field."},
    "index": {**COUNT, "description": "The place of the operation, in a bulk request."},
    "request_id": {
        **TEXT,
        "description": "That of the request in the log; over HTTP also in `X-Request-ID`.",
    },
}
_HEALTH: Json = {
    "type": "object",
    "properties": {
        "status": {"enum": ["ok", "degraded"]},
        "version": {**TEXT, "description": "Of the server."},
        "connectedClients": {
            **COUNT,
            "description": "Open connections of all processes on this database; the others' as "
            "they were a few seconds ago.",
        },
        "database": {"enum": ["ok", "unavailable"]},
        "redis": {"enum": ["unused", "up", "down"]},
        "seq": {**COUNT, "description": "The last event this process has sent out."},
        "epoch": TEXT,
    },
    "required": ["status", "version", "connectedClients", "database", "redis", "seq", "epoch"],
}

PERSON = object_of({"id": ID, "username": TEXT, "is_active": FLAG, "here": FLAG})
_SHORT = ("title", "status", "priority", "due_date", "user_id", "assigned_to")
_ACTIVITY = object_of(
    {
        "seq": {"type": "integer", "minimum": 1},
        "type": {"type": "string", "description": "The event's."},
        "task_id": {**ID, "description": "The task may be gone."},
        "actor_id": {**ID_OR_NULL, "description": "Who did it; null for the server itself."},
        "actor": {
            "type": ["string", "null"],
            "description": "Their name, if they have an account.",
        },
        "changes": {"type": "array", "items": TEXT, "description": "Names of changed fields."},
        "task": {
            "anyOf": [object_of({name: _TASK[name] for name in _SHORT}), {"type": "null"}],
            "description": "As it was then; null for one that went out of sight.",
        },
        "at": TIME,
    }
)

# The bodies that are the same in every dialect, by the name of their schema.
COMMON: Mapping[str, Json] = {
    "User": USER,
    "UserList": _list("User"),
    "Person": PERSON,
    "PersonList": _list("Person"),
    "Activity": _ACTIVITY,
    "ActivityList": _list("Activity"),
    "NewUser": object_of({"message": TEXT, "user": ref("User")}),
    "Tokens": object_of(_TOKENS),
    "AccessToken": object_of({k: v for k, v in _TOKENS.items() if k != "refresh_token"}),
    "NewTokens": object_of({**_TOKENS, "message": TEXT}),
    "Message": object_of({"message": TEXT}),
    "AllRead": object_of({"message": TEXT, "read": COUNT}),
    # An answer that is repeated for an idempotency key reached nobody anew.
    "BroadcastSent": object_of(
        {
            "success": FLAG,
            "message": TEXT,
            "recipients": {**COUNT, "description": "Connections it was sent to, in all processes."},
        },
        optional=("recipients",),
    ),
    "Ticket": object_of({"ticket": TEXT, "expires_in": COUNT}),
    "Error": object_of(ERROR, optional=("errors", "index", "request_id")),
    "Health": _HEALTH,
}
# The body of a command that has no shape.
BODIES: Mapping[str, str] = {
    "user.register": "NewUser",
    "user.create": "NewUser",
    "user.login": "Tokens",
    "user.refresh": "AccessToken",
    "user.change_password": "NewTokens",
    "user.logout": "Message",
    "user.delete": "Message",
    "task.delete": "Message",
    "notification.read_all": "AllRead",
    "broadcast.send": "BroadcastSent",
    "ticket.create": "Ticket",
}


def of_dialect(dialect: Dialect) -> dict[str, Json]:
    """The bodies that this dialect spells in its own way, by the name of their schema."""
    task, notice = name_of("task", dialect), name_of("notification", dialect)
    names = _NOTICE_NAMES.get(dialect.name, {})
    one: dict[str, Json] = {
        "op": {"enum": ["create", "update", "delete"]},
        "status": {"enum": [200, 201]},
        "id": ID,
        "task": {"anyOf": [ref(task), {"type": "null"}]},
    }
    results = {"type": "array", "items": object_of(one)}
    return {
        task: object_of(_TASKS[dialect.name]),
        name_of("task_list", dialect): _list(task),
        notice: object_of({names.get(name, name): schema for name, schema in _NOTICE.items()}),
        name_of("notification_list", dialect): _list(notice),
        name_of("bulk", dialect): object_of({"results": results}),
        name_of("conflict", dialect): object_of(
            {**ERROR, "current": {**ref(task), "description": "The task as it is now."}},
            optional=("errors", "index", "request_id"),
        ),
    }


def name_of(shape: str, dialect: Dialect) -> str:
    """The name of the schema of this shape of body."""
    words = "".join(word.capitalize() for word in shape.split("_"))
    return words if words in COMMON else f"{dialect.name.capitalize()}{words}"
