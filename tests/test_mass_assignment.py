"""What a body may not set, on every transport that takes one: read-only fields are ignored, and
what takes a right is refused; nothing has changed after either."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest, Socket, error_of
from tests.support.server import Server
from tests.support.websockets_client import PATHS, Client

pytestmark = pytest.mark.fault("mass")

# Sent along with a good change, these change nothing.
READ_ONLY: dict[str, Any] = {
    "id": 1,
    "version": 99,
    "created_by": 1,
    "created_at": "2000-01-01T00:00:00Z",
    "updated_at": "2000-01-01T00:00:00Z",
}
# Nobody knows these of a task: an error names them.
FOREIGN: dict[str, Any] = {"role": "admin", "is_active": False, "token_generation": 0}
Send = Callable[[str, dict[str, Any]], dict[str, Any]]  # an event and its payload: the answer


@pytest.fixture(scope="module")
def pair(server: Server) -> list[Person]:
    """Alice, who tries, and Bob, whom she would put in her place."""
    return accounts.people(server.url, "Alice", "Bob")


def over_rest(person: Person) -> Send:
    def send(event: str, payload: dict[str, Any]) -> dict[str, Any]:
        body = dict(payload)
        target = body.pop("task_id", None)
        if event == "create_task":
            return person.rest.post("/tasks", body).json()  # type: ignore[no-any-return]
        return person.rest.patch(f"/tasks/{target}", body).json()  # type: ignore[no-any-return]

    return send


def over_raw(client: Client) -> Send:
    def send(event: str, payload: dict[str, Any]) -> dict[str, Any]:
        client.send({"type": event, "data": payload})
        while (came := json.loads(client.ws.recv(timeout=5)))["type"] not in ("ack", "error"):
            pass
        return came["data"] if came["type"] == "ack" else came  # type: ignore[no-any-return]

    return send


@pytest.fixture(params=["REST", "Socket.IO", "raw WebSocket"])
def send(
    request: pytest.FixtureRequest,
    server: Server,
    pair: list[Person],
    listen: Callable[..., Socket],
) -> Any:
    alice = pair[0]
    if request.param == "REST":
        yield over_rest(alice)
    elif request.param == "Socket.IO":
        yield listen(alice).call
    else:
        client = Client(server, "/ws/native", alice)
        yield over_raw(client)
        client.ws.close()


def kept(person: Person, task_id: int) -> dict[str, Any]:
    return person.rest.get(f"/tasks/{task_id}").json()  # type: ignore[no-any-return]


def test_read_only_fields(pair: list[Person], send: Send) -> None:
    alice, _ = pair
    # On a socket `id` names the task a command is about; a new one has none yet.
    made = send("create_task", {"title": "Sow", **READ_ONLY})
    task = kept(alice, made.get("task", made["id"]))
    assert (task["version"], task["created_by"], task["user_id"]) == (1, alice.id, alice.id)
    assert task["created_at"] > "2020"
    given = {name: value for name, value in READ_ONLY.items() if name != "id"}
    send("update_task", {"task_id": task["id"], "title": "Reap", **given})
    changed = kept(alice, task["id"])
    ours = {"title": "Reap", "version": 2, "updated_at": changed["updated_at"]}
    assert changed == {**task, **ours} and changed["updated_at"] > "2020"


def test_fields_of_something_else(pair: list[Person], send: Send) -> None:
    alice, _ = pair
    task = alice.rest.new_task()
    for name, value in FOREIGN.items():
        for event in ("create_task", "update_task"):
            target = {"task_id": task["id"]} if event == "update_task" else {}
            refused = send(event, {**target, "title": "Reap", name: value})
            assert (refused["code"], list(refused["errors"])) == ("validation_failed", [name])
    assert kept(alice, task["id"]) == task


def test_another_owner(pair: list[Person], send: Send) -> None:
    """To hand a task over is its owner's right, to make one for somebody else an admin's."""
    alice, bob = pair
    before = {task["id"] for task in bob.rest.get("/tasks?limit=1000").json()}
    assert send("create_task", {"title": "Sow", "user_id": bob.id})["code"] == "forbidden"
    shared = bob.rest.new_task("Shared", assigned_to=alice.id)
    refused = send("update_task", {"task_id": shared["id"], "user_id": alice.id})
    assert refused["code"] == "forbidden"
    assert kept(bob, shared["id"]) == shared
    after = {task["id"] for task in bob.rest.get("/tasks?limit=1000").json()}
    assert after == before | {shared["id"]}


# What people say of themselves, and the answer to who registers with it and to who changes a
# profile.  Read-only fields are ignored, an admin's role is a right, nobody knows the rest.
ACCOUNT: list[tuple[str, Any, int, int]] = [
    ("role", "admin", 403, 403),
    ("is_active", False, 400, 403),
    ("id", 1, 201, 200),
    ("user_id", 1, 400, 400),
    ("version", 9, 400, 400),
    ("token_generation", 9, 400, 400),
    ("password_hash", "x", 400, 400),
    ("date_joined", "2000-01-01", 201, 200),
    ("external_id", "x", 400, 400),
]


def check_refused(answer: requests.Response, status: int, field: str) -> None:
    assert answer.status_code == status
    if status == 403:
        assert error_of(answer)["code"] == "forbidden"
    else:
        refused = error_of(answer)
        assert (refused["code"], list(refused["errors"])) == ("validation_failed", [field])


@pytest.mark.parametrize(("field", "value", "status", "_"), ACCOUNT)
def test_who_registers(nobody: Rest, field: str, value: Any, status: int, _: int) -> None:
    """May say no more of an account than its names and its password."""
    account = {"username": unique("Eve"), "password": PASSWORD}
    made = nobody.post("/register", {**account, field: value})
    if status != 201:
        check_refused(made, status, field)
        made = nobody.post("/register", account)  # nobody has the name
        assert made.status_code == 201
    assert made.status_code == 201
    user = made.json()["user"]  # like any other
    assert (user["role"], user["is_active"]) == ("member", True)
    assert user["username"] == account["username"]
    assert user["id"] != 1 and user["date_joined"] > "2020"


@pytest.mark.parametrize(("field", "value", "_", "status"), ACCOUNT)
def test_who_changes_a_profile(
    pair: list[Person], field: str, value: Any, _: int, status: int
) -> None:
    alice, _bob = pair
    before = alice.rest.get("/users/profile").json()
    changed = alice.rest.patch("/users/profile", {"username": before["username"], field: value})
    if status == 200:
        assert (changed.status_code, changed.json()) == (200, before)
    else:
        check_refused(changed, status, field)
    assert alice.rest.get("/users/profile").json() == before
    assert alice.rest.get("/users").status_code == 403


@PATHS
def test_no_socket_manages_accounts(pair: list[Person], server: Server, path: str) -> None:
    """Sockets send what their table says; the rest is no event, whatever its name."""
    client = Client(server, path, pair[0])
    for name in ("user.update", "update_user", "create_user", "ticket.redeem", "server.prune"):
        client.send({"type": name, "data": {"id": pair[0].id, "role": "admin"}})
        came = client.read()
        assert (came["type"], came["code"]) == ("error", "unknown_event")
    client.ws.close()
