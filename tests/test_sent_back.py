"""What a client has received it may send back: what is read-only there is ignored, and a right that
it does not change it need not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.accounts import Person, register, unique
from tests.support.clients import Rest, Socket
from tests.support.server import Server

pytestmark = pytest.mark.parametrize("prefix", ["", "/api", "/api/v1"])
METHODS = pytest.mark.parametrize("method", ["PUT", "PATCH"])
MOVING = {"version", "updated_at"}


def sent_back(person: Person, path: str, method: str, change: dict[str, Any]) -> None:
    """Read it, send all of it back with the change, and see that nothing else is another."""
    before = person.rest.get(path).json()
    answer = person.rest.request(method, path, json={**before, **change})
    assert answer.status_code == 200, answer.text
    now = person.rest.get(path).json()
    assert answer.json() == now
    assert {name for name in before if now[name] != before[name]} - MOVING == {*change}


@METHODS
@pytest.mark.parametrize("path", ["/profile", "/users/profile"])
@pytest.mark.parametrize("who", ["alice", "admin"])
def test_a_profile(
    request: pytest.FixtureRequest, who: str, prefix: str, path: str, method: str
) -> None:
    person: Person = request.getfixturevalue(who)
    sent_back(person, prefix + path, method, {})
    sent_back(person, prefix + path, method, {"email": f"{unique('mail')}@example.com"})


@METHODS
def test_an_account(admin: Person, alice: Person, prefix: str, method: str) -> None:
    path = f"{prefix}/users/{alice.id}"
    sent_back(admin, path, method, {})
    sent_back(admin, path, method, {"username": unique("Alicia")})


def test_an_admin_may_change_their_own_rights(server: Server, admin: Person, prefix: str) -> None:
    erin = register(server.url, "Erin")
    admin.rest.patch(f"/users/{erin.id}", {"role": "admin"})
    path = f"{prefix}/profile"
    sent_back(erin, path, "PUT", {"role": "member"})
    answer = erin.rest.put(path, {"role": "admin"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@METHODS
def test_a_task(people: tuple[Person, ...], prefix: str, method: str) -> None:
    """Its assignee may not hand it to another owner, and sends the owner along."""
    alice, bob, _ = people
    path = f"{prefix}/tasks/{alice.rest.new_task(assigned_to=bob.id)['id']}"
    for person in (alice, bob):
        sent_back(person, path, method, {})
        sent_back(person, path, method, {"title": f"{person.username} was here"})


@METHODS
def test_a_notification(people: tuple[Person, ...], prefix: str, method: str) -> None:
    alice, bob, _ = people
    alice.rest.new_task(assigned_to=bob.id)
    listed = f"{prefix}/notifications"
    [notice] = bob.rest.get(listed).json()
    assert notice["is_read"] is False
    path = f"{listed}/{notice['id']}"
    assert bob.rest.request(method, path, json=notice).json() == notice
    read = {**notice, "is_read": True}
    assert bob.rest.request(method, path, json=read).json() == read
    assert bob.rest.get(listed).json() == [read]


def test_what_an_event_brought(
    people: tuple[Person, ...], listen: Callable[..., Socket], prefix: str
) -> None:
    """The task of an event, or the notification, with all that stands beside it; on a socket under
    a `request_id` of the sender's own, which is the idempotency key there."""
    alice, bob, _ = people
    socket = listen(bob)
    path = f"{prefix}/tasks/{alice.rest.new_task(assigned_to=bob.id)['id']}"
    task = socket.wait_for("task_created")
    notice = socket.wait_for("notification_created")
    assert {"seq", "epoch", "type", "actor_id", "changes", "at", "request_id"} <= task.keys()
    answer = bob.rest.put(path, {**task, "title": "Reap"})
    assert (answer.status_code, answer.json()["title"]) == (200, "Reap"), answer.text
    eaten = {**task, "title": "Eat", "request_id": unique("eat")}
    assert socket.call("update_task", eaten)["title"] == "Eat"
    answer = bob.rest.put(f"{prefix}/notifications/{notice['id']}", {**notice, "is_read": True})
    assert (answer.status_code, answer.json()["is_read"]) == (200, True), answer.text
    unread = {**notice, "request_id": unique("unread")}
    assert socket.call("read_notification", unread)["is_read"] is False


def test_the_answer_to_a_login(nobody: Rest, admin: Person, server: Server, prefix: str) -> None:
    """Whoever keeps it as it came, the refresh token in it, refreshes with it."""
    login = {"username": "admin", "password": server.admin_password}
    tokens = nobody.post(f"{prefix}/login", login).json()
    again = nobody.post(f"{prefix}/auth/refresh", tokens)
    assert (again.status_code, again.json()["user"]["id"]) == (200, admin.id), again.text


def test_a_key_in_the_wrong_place(alice: Person, prefix: str) -> None:
    """Over REST a new task's idempotency key is a header: whoever sends it in the body is told."""
    answer = alice.rest.post(f"{prefix}/tasks", {"title": "Sow", "request_id": "once"})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["request_id"])
