"""Every command that sockets can send, through REST and through Socket.IO: the same answer, the
same error, the same event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from task_app.commands import COMMANDS
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest, Socket, error_of
from tests.support.server import Server

ENVELOPE = {"task", "type", "seq", "epoch", "actor_id", "changes", "at", "request_id"}
# What differs between two tasks that were made alike.
OWN = {"id", "task", "task_id", "seq", "at", "created_at", "updated_at", "current", "request_id"}
# What only one of the two tells beside the answer itself.
OWN |= {"read"}
NOTICE, BOBS_NOTICE = "notice", "bob's notice"
MINE, BOBS, SHARED, GONE, NONE = "mine", "bobs", "shared", "gone", "none"
BAD_TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.bad"


@dataclass(frozen=True)
class Case:
    """`target` is whose task it is; `token` overrides Alice's, None sends none; `error` is the
    code that must come, None for success."""

    command: str
    name: str
    error: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    target: str = NONE
    version: int | None = None
    token: Any = "alice"


DONE = {"done": True}
CASES = [
    Case("task.list", "all"),
    Case("task.list", "by status", payload={"status": "Done"}),
    Case("task.list", "unknown filter", "validation_failed", {"colour": "red"}),
    Case("task.list", "odd limit", "validation_failed", {"limit": "many"}),
    Case("task.list", "no token", "unauthorized", token=None),
    Case("task.get", "mine", target=MINE),
    Case("task.get", "shared with me", target=SHARED),
    Case("task.get", "not mine", "task_not_found", target=BOBS),
    Case("task.get", "deleted", "task_not_found", target=GONE),
    Case("task.get", "bad token", "unauthorized", target=MINE, token=BAD_TOKEN),
    Case("task.create", "title alone", payload={"title": "Call Bob"}),
    Case("task.create", "done at once", payload={"title": "Call Bob", "done": True}),
    Case("task.create", "no title", "validation_failed", {"description": "x"}),
    Case("task.create", "unknown field", "validation_failed", {"title": "x", "colour": "red"}),
    Case("task.create", "for somebody else", "forbidden", {"title": "x", "user_id": 1}),
    Case("task.create", "no such assignee", "validation_failed", {"title": "x", "assignee": 9**9}),
    Case("task.create", "no token", "unauthorized", {"title": "x"}, token=None),
    Case("task.create", "bad token", "unauthorized", {"title": "x"}, token=BAD_TOKEN),
    Case("task.update", "title", payload={"title": "Call Charlie"}, target=MINE),
    Case("task.update", "nothing new", payload={"title": "Call"}, target=MINE),
    Case("task.update", "status", payload=DONE, target=SHARED),
    Case("task.update", "right version", payload=DONE, target=MINE, version=1),
    Case("task.update", "wrong version", "version_conflict", DONE, MINE, version=7),
    Case("task.update", "empty title", "validation_failed", {"title": " "}, MINE),
    Case("task.update", "hand over as assignee", "forbidden", {"user_id": 1}, SHARED),
    Case("task.update", "not mine", "task_not_found", DONE, BOBS),
    Case("task.update", "deleted", "task_not_found", DONE, GONE),
    Case("task.update", "no token", "unauthorized", DONE, MINE, token=None),
    Case("task.delete", "mine", target=MINE),
    Case("task.delete", "wrong version", "version_conflict", target=MINE, version=7),
    Case("task.delete", "as assignee", "forbidden", target=SHARED),
    Case("task.delete", "not mine", "task_not_found", target=BOBS),
    Case("task.delete", "bad token", "unauthorized", target=MINE, token=BAD_TOKEN),
    Case("notification.list", "all", payload={"limit": 1}),
    Case("notification.list", "unknown filter", "validation_failed", {"colour": "red"}),
    Case("notification.list", "no token", "unauthorized", token=None),
    Case("notification.read", "mine", target=NOTICE),
    Case("notification.read", "back to unread", payload={"is_read": False}, target=NOTICE),
    Case("notification.read", "not mine", "notification_not_found", target=BOBS_NOTICE),
    Case("notification.read", "unknown field", "validation_failed", {"colour": 1}, NOTICE),
    Case("notification.read_all", "none left"),
    Case("notification.read_all", "bad token", "unauthorized", token=BAD_TOKEN),
]
ROUTES = {
    "task.list": ("GET", "/tasks"),
    "task.get": ("GET", "/tasks/{id}"),
    "task.create": ("POST", "/tasks"),
    "task.update": ("PUT", "/tasks/{id}"),
    "task.delete": ("DELETE", "/tasks/{id}"),
    "notification.list": ("GET", "/notifications"),
    "notification.read": ("PATCH", "/notifications/{id}"),
    "notification.read_all": ("POST", "/notifications/read"),
}


def bare(body: Any, ignored: set[str]) -> Any:
    """The body without the keys in which two equal tasks differ, however deep."""
    if isinstance(body, list):
        return [bare(item, ignored) for item in body]
    if isinstance(body, dict):
        return {key: bare(value, ignored) for key, value in body.items() if key not in ignored}
    return body


def prepare(case: Case, alice: Person, bob: Person) -> int | None:
    """A new task as the case wants it; its id."""
    if case.target == NONE:
        return None
    if case.target in (NOTICE, BOBS_NOTICE):
        giver, taker = (bob, alice) if case.target == NOTICE else (alice, bob)
        giver.rest.new_task("Call", assigned_to=taker.id)
        notice_id: int = taker.rest.get("/notifications?limit=1").json()[0]["id"]
        return notice_id
    owner = bob if case.target in (BOBS, SHARED) else alice
    fields = {"assigned_to": alice.id} if case.target == SHARED else {}
    task_id: int = owner.rest.new_task("Call", **fields)["id"]
    if case.target == GONE:
        owner.rest.delete(f"/tasks/{task_id}")
    return task_id


def over_rest(case: Case, target: int | None, token: str | None, url: str) -> tuple[Any, Any]:
    method, path = ROUTES[case.command]
    headers = {} if case.version is None else {"If-Match": f'"{case.version}"'}
    sent = {"params" if method == "GET" else "json": case.payload}
    answer = Rest(url, token).request(method, path.format(id=target), headers=headers, **sent)
    if answer.status_code >= 400:
        body = error_of(answer)
        return body["code"], body
    return None, answer.json()


def over_socket(case: Case, target: int | None, token: str | None, socket: Socket) -> Any:
    sent = dict(case.payload)
    sent |= {} if target is None else {"id": target}
    sent |= {} if token is None else {"token": token}
    sent |= {} if case.version is None else {"if_match": case.version}
    body = socket.call(COMMANDS[case.command].event or "", sent)
    return (body["code"], body) if "error" in body else (None, body)


def answer_over_rest(case: Case, ack: dict[str, Any]) -> Any:
    """What REST answers where a socket's acknowledgement is this."""
    if case.command == "task.delete":
        return {"message": "Task deleted successfully"}
    if case.command in ("task.list", "notification.list"):
        return ack[case.command.partition(".")[0] + "s"]
    return bare(ack, ENVELOPE)


@pytest.fixture(scope="module")
def pair(server: Server) -> list[Person]:
    """Alice and Bob, the same for all cases: each has tasks of its own."""
    return accounts.people(server.url, "Alice", "Bob")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.command}: {case.name}")
def test_twins(
    case: Case, server: Server, pair: list[Person], admin: Person, listen: Callable
) -> None:
    alice, bob = pair
    token = {"alice": alice.token, "admin": admin.token}.get(case.token, case.token)
    admins, sender = listen(admin), listen()
    first, second = prepare(case, alice, bob), prepare(case, alice, bob)
    start = len(admins.of_tasks())
    code, body = over_rest(case, first, token, server.url)
    after_rest = len(admins.of_tasks())
    socket_code, ack = over_socket(case, second, token, sender)
    events = admins.of_tasks()
    assert code == socket_code == case.error
    if case.error is None:
        assert bare(answer_over_rest(case, ack), OWN) == bare(body, OWN)
    else:
        assert bare(body, OWN) == bare(ack, OWN)
        assert sender.wait_for("error") == ack
    from_rest, from_socket = events[start:after_rest], events[after_rest:]
    assert bare([list(event) for event in from_rest], OWN) == bare(
        [list(event) for event in from_socket], OWN
    )
    writes = case.command.startswith("task.") and not COMMANDS[case.command].reads
    writes = writes and case.name != "nothing new"
    assert len(from_rest) == (1 if writes and case.error is None else 0)


def test_every_socket_command_has_cases() -> None:
    for name, command in COMMANDS.items():
        outcomes = {case.error is None for case in CASES if case.command == name}
        assert outcomes == ({True, False} if command.event else set()), name
