"""The AsyncAPI 3.0 document of every socket and stream, made from the tables.

`EVENTS` gives what is sent, `COMMANDS` what is taken, `door.PATHS` and the URL table where, and
`feeds.ENDINGS` why a connection ends; `event_outputs` and `inputs` give the schemas.  `send` is
what the server sends, `receive` what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apispec import APISpec

from task_app.commands import COMMANDS
from task_app.dialects import NATIVE, Dialect
from task_app.events import EVENTS
from task_app.models.idempotency import KEY_LENGTH
from task_app.realtime.door import PATHS
from task_app.realtime.feeds import ENDINGS
from task_app.realtime.messages import EVENT_COMMANDS, TARGETS
from task_app.resources import event_outputs, outputs
from task_app.resources.base import DIALECTS
from task_app.resources.inputs import Plugin
from task_app.resources.openapi import Operation, first_sentence
from task_app.resources.outputs import Json
from task_app.resources.streams import EventStreamResource
from task_app.schemas.task import PageQuery
from task_app.version import VERSION

DESCRIPTION = """\
The same events and commands on Socket.IO, on raw WebSockets and as Server-Sent Events; where a
client connects picks the **dialect**, the names of keys and the spelling of words.

Every event has a `seq` and the log's `epoch`. `GET /tasks` answers with both (`X-Event-Seq`,
`X-Event-Epoch`): connect with them as `since` and `epoch` and nothing is missed. Keep the last
`seq` that came; after a break connect with that. On `resync`, list again.

A token goes into the `Authorization` header, the first message, or Socket.IO's `auth`; never into
a URL, where a one-use ticket (`POST /api/v1/ws/ticket`) stands for it."""
SIGN_IN = "authenticate"
_POSITION: dict[str, Json] = {
    "since": {**outputs.COUNT, "description": "The `seq` of the last event you have."},
    "epoch": {"type": "string", "description": "The `epoch` that came with it."},
}
_TOKEN: Json = {"type": "string", "description": "An access token."}
_PEOPLE: Json = {"type": "boolean", "description": "Whether to be told who is here."}
_TICKET: Json = {"type": "string", "description": "A one-use ticket, in place of a token."}
_OPTIONAL = ("since", "epoch", "people")
_SCHEMES: Mapping[str, Json] = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "ticket": {"type": "httpApiKey", "name": "ticket", "in": "query"},
    "message": {
        "type": "userPassword",
        "description": "The first message, Socket.IO's `auth`, or `token` in a payload.",
    },
}
_HOST = {"host": {"default": "localhost:5000", "description": "With https, use wss."}}
_SERVERS: Mapping[str, Json] = {
    "socketio": {"protocol": "socket.io", "protocolVersion": "5", "description": "EIO=4."},
    "websocket": {"protocol": "ws", "protocolVersion": "13"},
    "stream": {"protocol": "http", "protocolVersion": "1.1"},
}


@dataclass
class Channel:
    """One address and what goes over it."""

    name: str
    address: str
    server: str
    description: str
    bindings: Json
    messages: dict[str, Json] = field(default_factory=dict)
    operations: dict[str, Json] = field(default_factory=dict)

    def message(self, key: str, summary: str, payload: Json, **more: Any) -> Json:
        """Add a message; a reference to it.  A command can be called like an event, so its key
        says that it is one; the message's name is what it is called on the wire."""
        name = key.removeprefix("command.")
        told = {"name": name, "summary": summary, **more, "payload": payload}
        self.messages[key] = told
        return {"$ref": f"#/channels/{self.name}/messages/{key}"}

    def sends(self, key: str, summary: str, messages: list[Json]) -> None:
        self._operation(key, "send", summary, messages)

    def receives(self, key: str, summary: str, message: Json, replies: list[Json]) -> None:
        operation = self._operation(key, "receive", summary, [message])
        if replies:
            operation["reply"] = {"channel": self._ref, "messages": replies}

    def _operation(self, key: str, action: str, summary: str, messages: list[Json]) -> Json:
        told = {"action": action, "channel": self._ref, "summary": summary, "messages": messages}
        return self.operations.setdefault(f"{self.name}.{key}", told)

    @property
    def _ref(self) -> Json:
        return {"$ref": f"#/channels/{self.name}"}

    def describe(self) -> Json:
        return {
            "address": self.address,
            "description": self.description,
            "servers": [{"$ref": f"#/servers/{self.server}"}],
            "messages": self.messages,
            "bindings": self.bindings,
        }


@dataclass(frozen=True)
class Request:
    """A command as sockets send it."""

    event: str
    name: str
    summary: str
    payload: Json
    needs_payload: bool


def build(routes: Iterable[tuple[Any, ...]], prefixes: Mapping[str, str]) -> Json:
    """The document; `routes` and `prefixes` are the URL table."""
    routes = list(routes)
    plugin = Plugin()
    spec = APISpec("", VERSION, "3.1.0", plugins=[plugin])
    requests = list(_requests(routes, plugin.converter))
    # Schemas inside of the commands', which stand in the messages themselves.
    schemas = {**spec.components.schemas, **outputs.COMMON}
    for dialect in {d.name: d for d in (*DIALECTS.values(), *PATHS.values())}.values():
        schemas |= outputs.of_dialect(dialect) | event_outputs.of_dialect(dialect)
    channels = [_socketio(requests)]
    channels += [_websocket(path, dialect, requests) for path, dialect in PATHS.items()]
    channels += [_stream(path, DIALECTS[name]) for name, path in _streams(routes, prefixes)]
    operations: Json = {}
    for channel in channels:
        operations |= channel.operations
    info = {"title": "Task server", "version": VERSION, "description": DESCRIPTION}
    return {
        "asyncapi": "3.0.0",
        "info": info,
        "defaultContentType": "application/json",
        "servers": {name: _server(told) for name, told in _SERVERS.items()},
        "channels": {channel.name: channel.describe() for channel in channels},
        "operations": operations,
        "components": {"schemas": schemas, "securitySchemes": dict(_SCHEMES)},
    }


def _server(told: Json) -> Json:
    security = [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SCHEMES]
    return {"host": "{host}", **told, "variables": _HOST, "security": security}


def _streams(
    routes: list[tuple[Any, ...]], prefixes: Mapping[str, str]
) -> Iterable[tuple[str, str]]:
    for resource, *urls in routes:
        if resource is EventStreamResource:
            yield from ((name, prefix + url) for name, prefix in prefixes.items() for url in urls)


def _requests(routes: list[tuple[Any, ...]], converter: Any) -> Iterable[Request]:
    on_rest: dict[str, Operation] = {}
    for resource, *urls in routes:
        for method, name in getattr(resource, "commands", {}).items():
            operation = Operation(resource, method, urls[0], NATIVE, name, COMMANDS[name])
            on_rest.setdefault(name, operation)
    for event, name in EVENT_COMMANDS.items():
        yield _request(str(event), on_rest[name], converter)


def _request(event: str, operation: Operation, converter: Any) -> Request:
    """The command's own fields, and beside them what REST has in the URL and the headers."""
    beside: dict[str, Json] = {"token": {**_TOKEN, "description": "Goes before the connection's."}}
    if operation.keeps_answer:
        key = {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH}
        beside["request_id"] = {**key, "description": "The idempotency key; also in the events."}
    if 412 in operation.codes:
        version = {"type": "integer", "description": "Do it only if this is still the version."}
        beside["if_match"] = version
    payload: Json = converter.schema2jsonschema(operation.command.schema)
    if operation.targets:
        which: Json = {"anyOf": [outputs.ID, outputs.ID_TEXT], "description": "Which one."}
        beside |= dict.fromkeys(TARGETS, which)
        payload["anyOf"] = [{"required": [name]} for name in TARGETS]
    payload["properties"] = {**payload.get("properties", {}), **beside}
    needed = any(one.required for one in operation.command.schema.fields.values())
    return Request(
        event,
        operation.name,
        first_sentence(operation.command.action.__doc__),
        payload,
        bool(operation.targets) or needed,
    )


def _endings() -> str:
    rows = "\n".join(f"| `{reason}` | {code} |" for reason, code in ENDINGS.items())
    return (
        "Why the server ends the connection, and the close code. After 4401 bring another token; "
        f"after the others come back with `since`.\n\n| reason | code |\n|---|---|\n{rows}"
    )


def _socketio(requests: list[Request]) -> Channel:
    told = {"token": _TOKEN, **_POSITION, "people": _PEOPLE}
    credentials = outputs.object_of(told, optional=_OPTIONAL)
    channel = Channel(
        "socketio",
        "/socket.io/",
        "socketio",
        "Socket.IO, the namespace `/`, in the native dialect. A message's name is the event's; "
        "its payload the one argument. A reply is the acknowledgement, where one is asked for. "
        "`auth` at connect is what `authenticate` takes; without a token a connection is sent "
        "the answers to what it asks and nothing else.",
        {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    )
    _events(channel, NATIVE)
    ready, *others = [channel.message(k, *told) for k, told in event_outputs.NOTICES.items()]
    words = channel.message("message", "Hello, and good-bye.", event_outputs.MESSAGE)
    either = {"anyOf": [outputs.ref(_name) for _name in ("Error", "NativeConflict")]}
    error = channel.message("error", "What went wrong; to the sender alone.", either)
    here = channel.message("people", *event_outputs.PEOPLE)
    channel.sends("notices", "What is no event.", [ready, *others, here, words, error])
    hello = channel.message(f"command.{SIGN_IN}", "Bring a token, or renew it.", credentials)
    channel.receives(SIGN_IN, "Sign in.", hello, [ready, error])
    for request in requests:
        message = channel.message(f"command.{request.event}", request.summary, request.payload)
        answer = event_outputs.socketio_ack(request.name)
        summary = f"The acknowledgement of `{request.event}`."
        ack = channel.message(f"ack.{request.event}", summary, answer)
        channel.receives(request.event, request.summary, message, [ack, error])
        if isinstance(COMMANDS[request.name].schema, PageQuery):
            name = event_outputs.list_event(request.name)
            items = channel.message(name, f"The answer to `{request.event}`, as an event.", answer)
            channel.sends(name, f"Answers `{request.event}`.", [items])
    return channel


def _websocket(path: str, dialect: Dialect, requests: list[Request]) -> Channel:
    query = {"type": "object", "properties": {"ticket": _TICKET, **_POSITION}}
    channel = Channel(
        f"websocket-{dialect.name}",
        path,
        "websocket",
        f"A raw WebSocket in the {dialect.name} dialect, one JSON object as text in each message; "
        "a slash at the end does not matter. Without a token in the header or a ticket in the "
        f"URL, the first message is `auth`.\n\n{_endings()}",
        {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    )
    _events(channel, dialect)
    notices = [
        channel.message(name, summary, event_outputs.raw(name, schema))
        for name, (summary, schema) in event_outputs.NOTICES.items()
    ]
    pong = channel.message("pong", "The answer to `ping`.", event_outputs.PONG)
    wrong = "What went wrong; `request_id` as it was sent, or that of the log."
    error = channel.message("error", wrong, event_outputs.raw_error(dialect))
    summary, schema = event_outputs.PEOPLE
    here = channel.message("people", summary, event_outputs.raw("people", schema))
    channel.sends("notices", "What is no event.", [*notices, here, pong, error])
    for name in ("auth", SIGN_IN):
        told = {"type": {"const": name}, "token": _TOKEN, **_POSITION, "people": _PEOPLE}
        credentials = outputs.object_of(told, optional=_OPTIONAL)
        hello = channel.message(f"command.{name}", "Bring a token, or renew it.", credentials)
        channel.receives(name, "Sign in.", hello, [notices[0], error])
    alive = outputs.object_of({"type": {"const": "ping"}})
    ping = channel.message("command.ping", "A sign of life.", alive)
    channel.receives("ping", "A sign of life.", ping, [pong])
    for request in requests:
        message = channel.message(f"command.{request.event}", request.summary, _wrapped(request))
        ack = channel.message(
            f"ack.{request.event}",
            f"The answer to `{request.event}`.",
            event_outputs.raw_ack(request.name, dialect),
        )
        channel.receives(request.event, request.summary, message, [ack, error])
    return channel


def _wrapped(request: Request) -> Json:
    told = {"type": {"const": request.event}, "data": request.payload}
    told["request_id"] = {"description": "Comes back with the answer, and is the idempotency key."}
    optional = ("request_id",) if request.needs_payload else ("request_id", "data")
    return outputs.object_of(told, optional=optional)


def _stream(path: str, dialect: Dialect) -> Channel:
    query = {"type": "object", "properties": {"ticket": _TICKET, **_POSITION}}
    channel = Channel(
        f"stream-{dialect.name}",
        path,
        "stream",
        f"Server-Sent Events in the {dialect.name} dialect. A message's headers are the fields "
        "`event` and `id`; the payload is `data`. `Last-Event-ID` goes before `since`.",
        {},
    )
    _events(channel, dialect, framed=True)
    told = [
        channel.message(name, summary, schema, headers=_frame(name))
        for name, (summary, schema) in event_outputs.NOTICES.items()
    ]
    why = "The server ends the stream, and this is why."
    told.append(
        channel.message("end", why, event_outputs.END, headers=_frame("end", numbered=False))
    )
    channel.sends("notices", "What is no event.", told)
    for operation in channel.operations.values():
        method = {"method": "GET", "query": query, "bindingVersion": "0.3.0"}
        operation["bindings"] = {"http": method}
    return channel


def _frame(name: str, numbered: bool = True) -> Json:
    fields: dict[str, Json] = {"event": {"const": name}}
    if numbered:
        fields["id"] = {"type": "string", "pattern": "^[^-]+-[0-9]+$"}
    return outputs.object_of(fields)


def _events(channel: Channel, dialect: Dialect, framed: bool = False) -> None:
    refs = []
    for name in event_outputs.types():
        more = {"headers": _frame(name)} if framed else {}
        schema = outputs.ref(event_outputs.event_name(name, dialect))
        refs.append(channel.message(name, _sentence(EVENTS[name].help), schema, **more))
    channel.sends("events", "What happened, to everyone who may see it.", refs)


def _sentence(text: str) -> str:
    return re.sub(r"^\w", lambda first: first[0].upper(), text) + "."
