"""Who sees what, who may do what, and whom which event reaches."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Socket, content_of

OWNER, ASSIGNEE, STRANGER, ADMIN = "owner", "assignee", "stranger", "admin"
# Status of: get, change, hand to another owner, delete.
RIGHTS = {
    OWNER: (200, 200, 200, 200),
    ADMIN: (200, 200, 200, 200),
    ASSIGNEE: (200, 200, 403, 403),
    STRANGER: (404, 404, 404, 404),
}


@pytest.mark.parametrize("role", RIGHTS)
def test_rights(role: str, people: tuple[Person, ...], admin: Person) -> None:
    alice, bob, charlie = people
    who = {OWNER: alice, ASSIGNEE: bob, STRANGER: charlie, ADMIN: admin}[role].rest
    path = f"/tasks/{alice.rest.new_task(assigned_to=bob.id)['id']}"
    given = (
        who.get(path),
        who.patch(path, {"title": "Changed"}),
        who.patch(path, {"user_id": charlie.id if role != OWNER else alice.id}),
        who.delete(path),
    )
    assert tuple(answer.status_code for answer in given) == RIGHTS[role]


def test_owner_hands_a_task_over(people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    path = f"/tasks/{alice.rest.new_task()['id']}"
    assert alice.rest.patch(path, {"user_id": bob.id}).json()["user_id"] == bob.id
    assert alice.rest.get(path).status_code == 404
    assert bob.rest.get(path).status_code == 200


@pytest.mark.fault("access")
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_unseen_is_like_absent(people: tuple[Person, ...], method: str) -> None:
    alice, _, charlie = people
    body = None if method == "GET" else {}
    hidden, absent = (
        charlie.rest.request(method, f"/tasks/{id}", json=body)
        for id in (alice.rest.new_task()["id"], 2_000_000_000)
    )
    assert (hidden.status_code, content_of(hidden)) == (404, content_of(absent))
    assert absent.status_code == 404


def test_list_shows_what_one_may_see(people: tuple[Person, ...], admin: Person) -> None:
    alice, bob, charlie = people
    task = alice.rest.new_task(assigned_to=bob.id)
    for person in (alice, bob):
        assert person.rest.get("/tasks").json() == [task]
    assert charlie.rest.get("/tasks").json() == []
    assert admin.rest.get("/tasks", params={"user_id": alice.id}).json() == [task]
    assert charlie.rest.get("/tasks", params={"user_id": alice.id}).json() == []


def test_events_reach_whom_they_may(
    people: tuple[Person, ...], admin: Person, listen: Callable[..., Socket]
) -> None:
    alice, bob, charlie = people
    sockets = [listen(person) for person in (alice, bob, charlie, admin)]
    sockets.append(listen())
    task_id = alice.rest.new_task(assigned_to=bob.id)["id"]
    bob.rest.patch(f"/tasks/{task_id}", {"title": "Changed"})
    alice.rest.patch(f"/tasks/{task_id}", {"done": True, "title": "Changed again"})
    alice.rest.delete(f"/tasks/{task_id}")
    all_of_it = ["task_created", "task_updated", "task_status_changed", "task_deleted"]
    expected = [all_of_it, all_of_it, [], all_of_it, []]
    assert [socket.names(task_id) for socket in sockets] == expected


def test_former_assignee(
    people: tuple[Person, ...], admin: Person, listen: Callable[..., Socket]
) -> None:
    alice, bob, charlie = people
    his, hers, admins = listen(bob), listen(alice), listen(admin)
    secret = "The surprise for Bob"
    task_id = alice.rest.new_task(assigned_to=bob.id)["id"]
    path = f"/tasks/{task_id}"
    alice.rest.patch(path, {"assigned_to": charlie.id, "title": secret})
    alice.rest.patch(path, {"description": secret})
    assert his.names(task_id) == ["task_created", "task_removed"]
    removed = his.wait_for("task_removed")
    envelope = {"id", "task", "type", "seq", "epoch", "actor_id", "changes", "at", "request_id"}
    assert removed.keys() == envelope
    assert removed["id"] == removed["task"] == task_id
    assert secret not in str(his.events)
    for method in ("get", "delete"):
        assert getattr(bob.rest, method)(path).status_code == 404
    assert bob.rest.patch(path, {"title": "Mine"}).status_code == 404
    for other in (hers, admins):
        assert other.names(task_id) == ["task_created", "task_updated", "task_updated"]


def test_team_visibility(start: Callable, listen: Callable[..., Socket]) -> None:
    server = start(TASK_VISIBILITY="team")
    alice, charlie = accounts.people(server.url, "Alice", "Charlie")
    his, anonymous = listen(charlie, server.url), listen(url=server.url)
    task = alice.rest.new_task(assigned_to=1)
    path = f"/tasks/{task['id']}"
    assert charlie.rest.get(path).json() == task
    assert charlie.rest.get("/tasks").json() == [task]
    assert charlie.rest.patch(path, {"title": "Mine"}).status_code == 403
    assert charlie.rest.delete(path).status_code == 403
    alice.rest.patch(path, {"assigned_to": None})
    assert his.names(task["id"]) == ["task_created", "task_updated"]
    assert anonymous.names(task["id"]) == []
    assert server.stop() == 0
