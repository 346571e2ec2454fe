"""The AsyncAPI document is valid, whole, and true of what goes over every transport."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websocket
from jsonschema import Draft7Validator, FormatChecker, ValidationError

from task_app.commands import COMMANDS, Command
from task_app.events import EVENTS, EventType
from task_app.realtime.feeds import ENDINGS
from task_app.resources import PREFIXES, ROUTES, asyncapi, event_outputs
from tests.conftest import require
from tests.support import node
from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.server import ROOT, Server
from tests.support.taps import RawTap, SocketIOTap, StreamTap, Tap

Json = dict[str, Any]
TAPS: dict[str, Callable[..., Tap]] = {
    "socketio": SocketIOTap,
    "fiber": lambda url, *a, **k: RawTap(url, "/api/v1/ws", "fiber", *a, **k),
    "gin": lambda url, *a, **k: RawTap(url, "/ws", "gin", *a, **k),
    "channels": lambda url, *a, **k: RawTap(url, "/ws/tasks/", "channels", *a, **k),
    "native": lambda url, *a, **k: RawTap(url, "/ws/native", "native", *a, **k),
    "stream": lambda url, *a, **k: StreamTap(url, "/events", "native", *a, **k),
    "channels stream": lambda url, *a, **k: StreamTap(url, "/api/events", "channels", *a, **k),
    "fiber stream": lambda url, *a, **k: StreamTap(url, "/api/v1/events", "fiber", *a, **k),
}


class Judge:
    """Holds messages against the document and notes which of it they were."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.seen: set[str] = set()

    def resolve(self, reference: Json) -> Json:
        found: Any = self.document
        for key in reference["$ref"].split("/")[1:]:
            found = found[key]
        return dict(found)

    def messages(self, channel: str, action: str) -> dict[str, Json]:
        """Those the server sends (`send`; answers are) or takes (`receive`)."""
        references = []
        for operation in self.document["operations"].values():
            if operation["channel"]["$ref"] == f"#/channels/{channel}":
                references += operation["messages"] if operation["action"] == action else []
                references += operation.get("reply", {}).get("messages", ()) * (action == "send")
        return {one["$ref"].rpartition("/")[2]: self.resolve(one) for one in references}

    def validate(self, schema: Json, value: Any) -> None:
        whole = {"allOf": [schema], "components": self.document["components"]}
        Draft7Validator(whole, format_checker=FormatChecker()).validate(value)

    def check(self, channel: str, action: str, name: str, payload: Any, headers: Any) -> None:
        """Raises `ValidationError` when it is not what the document says."""
        messages = self.messages(channel, action)
        names = [name]
        if channel.startswith("websocket") and action == "send" and not name.startswith("ack."):
            kinds = {key: self.kind(message) for key, message in messages.items()}
            mine = {key: payload.get(key) for key in ("type", "action") if key in payload}
            names = [key for key, kind in kinds.items() if kind == mine] or ["broadcast"]
        matching = [key for key in names if self.matches(messages[key], payload, headers)]
        if not matching:
            self.validate(messages[names[0]]["payload"], payload)
            self.validate(messages[names[0]]["headers"], headers)
        self.seen |= set(matching)

    def kind(self, message: Json) -> Json:
        """What tells this message of a raw WebSocket from others."""
        schema = message["payload"]
        schema = self.resolve(schema) if "$ref" in schema else schema
        told = {key: schema["properties"].get(key, {}).get("const") for key in ("type", "action")}
        return {key: value for key, value in told.items() if value}

    def matches(self, message: Json, payload: Any, headers: Any) -> bool:
        try:
            self.validate(message["payload"], payload)
            if "headers" in message:
                self.validate(message["headers"], headers)
        except ValidationError:
            return False
        return True


@pytest.fixture(scope="module")
def document(server: Server) -> Json:
    answer = Rest(server.url).get("/asyncapi.json")
    assert answer.status_code == 200
    found: Json = answer.json()
    return found


@pytest.fixture
def opened() -> Iterator[list[Tap]]:
    taps: list[Tap] = []
    yield taps
    for tap in taps:
        tap.close()


def test_document_is_asyncapi(document: Json) -> None:
    modules = node.install(require("npm"), ROOT / "tests" / "node")
    schemas = modules / "@asyncapi" / "specs" / "schemas"
    specification = json.loads((schemas / "3.0.0.json").read_text())
    Draft7Validator(specification).validate(document)


def references(found: Any) -> Iterator[Json]:
    if isinstance(found, dict):
        yield from [found] if "$ref" in found else []
        found = list(found.values())
    if isinstance(found, list):
        for one in found:
            yield from references(one)


def test_document_holds_together(document: Json) -> None:
    judge = Judge(document)
    for reference in references(document):
        judge.resolve(reference)
    for schema in document["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            Draft7Validator.check_schema(message["payload"])
    for operation in document["operations"].values():
        own = operation["channel"]["$ref"] + "/messages/"
        replies = operation.get("reply", {}).get("messages", [])
        assert all(one["$ref"].startswith(own) for one in [*operation["messages"], *replies])


def test_everything_of_the_tables_is_in_it(document: Json) -> None:
    judge = Judge(document)
    commands = {f"command.{row.event}" for row in COMMANDS.values() if row.event}
    for name in document["channels"]:
        assert set(event_outputs.types()) <= set(judge.messages(name, "send"))
        if not name.startswith("stream"):
            assert commands <= set(judge.messages(name, "receive"))
    described = "".join(channel["description"] for channel in document["channels"].values())
    for reason, code in ENDINGS.items():
        assert f"| `{reason}` | {code} |" in described


def test_new_rows_appear_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVENTS, "task_archived", EventType(lambda _: (), "a task was put away"))
    row = COMMANDS["task.get"]
    command = Command(row.schema, row.action, shape="task", reads=True, event="peek_task")
    monkeypatch.setitem(COMMANDS, "task.get", command)
    monkeypatch.setitem(asyncapi.EVENT_COMMANDS, "peek_task", "task.get")
    channels = asyncapi.build(ROUTES, PREFIXES)["channels"]
    assert all("task_archived" in channel["messages"] for channel in channels.values())
    assert "ack.peek_task" in channels["websocket-gin"]["messages"]


def test_event_without_a_schema_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVENTS, "comment_created", EventType(lambda _: (), "a comment was made"))
    with pytest.raises(KeyError, match="Comment"):
        asyncapi.build(ROUTES, PREFIXES)


def live_a_life(tap: Tap, alice: Person, bob: Person, admin: Person) -> None:
    """Cause every event, answer and error there is, seen by Alice."""
    ask = tap.ask
    ask("create_task", {"title": "Water the plants", "assigned_to": bob.id, "request_id": "1"})
    task = alice.rest.get("/tasks").json()[0]["id"]
    ask("get_task", {"id": task})
    ask("list_tasks", {"limit": 1})
    ask("update_task", {"id": task, "title": "Water the garden", "if_match": 1})
    ask("update_task", {"id": task, "title": "Water nothing", "if_match": 1})  # 412
    ask("update_task", {"id": task, "title": "Water the garden"})  # changes nothing
    ask("update_task", {"id": task, "priority": "utmost"})  # 400
    for status in ("in progress", "todo"):
        assert bob.rest.put(f"/tasks/{task}", {"status": status}).status_code == 200
    notice = alice.rest.get("/notifications").json()[0]["id"]
    ask("list_notifications", {})
    ask("read_notification", {"id": notice})
    ask("read_notifications", {})
    lent = bob.rest.new_task("Borrowed", assigned_to=alice.id)["id"]
    assert bob.rest.put(f"/tasks/{lent}", {"assigned_to": None}).status_code == 200
    ask("delete_task", {"id": task})
    ask("authenticate", {"token": alice.token, "people": True})
    if not isinstance(tap, StreamTap):
        tap.wait(lambda name, _: name == "people")
    if tap.channel.startswith("websocket"):
        ask("ping", {})
        tap.wait(lambda name, _: name == "pong")
    news = {"type": "news", "data": {"any": ["thing"]}}
    assert admin.rest.post("/api/broadcast", news).status_code == 200
    tap.wait(lambda _, payload: payload.get("type") == "news")
    assert alice.rest.post("/logout").status_code == 200


@pytest.mark.parametrize("transport", TAPS)
def test_traffic(
    server: Server,
    document: Json,
    people: tuple[Person, ...],
    admin: Person,
    opened: list[Tap],
    transport: str,
) -> None:
    alice, bob, _ = people
    tap = TAPS[transport](server.url, alice, since=0, epoch="another")  # which brings a resync
    opened.append(tap)
    live_a_life(tap, alice, bob, admin)
    if isinstance(tap, StreamTap):
        tap.wait(lambda name, _: name == "end")
    if isinstance(tap, SocketIOTap):
        tap.wait(lambda name, data: name == "message" and data["data"].startswith("Disconn"))
    judge = Judge(document)
    for name, payload, headers in list(tap.sent):
        judge.check(tap.channel, "send", name, payload, headers)
    assert judge.seen == set(judge.messages(tap.channel, "send"))  # all of it was seen
    asked = tap.beside.asked if isinstance(tap, StreamTap) else tap.asked
    channel = "socketio" if isinstance(tap, StreamTap) else tap.channel
    wrong = [payload for _, payload, _ in asked if "utmost" in json.dumps(payload)]
    for name, payload, _ in asked:
        if payload not in wrong:
            judge.check(channel, "receive", f"command.{name}", payload, None)
    with pytest.raises(ValidationError):
        judge.check(channel, "receive", "command.update_task", wrong[0], None)
    refuses_what_is_not_whole(judge, tap)


def refuses_what_is_not_whole(judge: Judge, tap: Tap) -> None:
    """The check can fail: without any one of its keys, an event is none."""
    events = [one for one in tap.sent if one[0] in EVENTS or "seq" in one[1]]
    for name, payload, headers in events:
        for key in payload:
            if key in ("type", "action"):
                continue
            broken = copy.deepcopy(payload)
            del broken[key]
            with pytest.raises(ValidationError):
                judge.check(tap.channel, "send", name, broken, headers)


def test_refused_token_on_a_raw_socket(server: Server, document: Json, alice: Person) -> None:
    socket = websocket.create_connection(f"ws://127.0.0.1:{server.port}/ws", timeout=5)
    socket.send(json.dumps({"type": "auth", "token": "x"}))
    judge = Judge(document)
    judge.check("websocket-gin", "send", "error", json.loads(socket.recv()), None)
    socket.close()
