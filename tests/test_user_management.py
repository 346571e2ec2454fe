"""What admins do with accounts, and what that does to tokens, sockets and tasks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, register, sign_in, unique
from tests.support.clients import Rest, Socket, content_of
from tests.support.server import Server

CLOSED_WITHIN = 2


@pytest.fixture(scope="module")
def bob(server: Server) -> Person:
    """Somebody whom no test changes."""
    return register(server.url, "Bob")


def test_list_in_pages(admin: Person, bob: Person) -> None:
    whole = admin.rest.get("/users?limit=1000").json()
    assert [user["id"] for user in whole] == sorted(user["id"] for user in whole)
    assert bob.rest.get("/users/profile").json() in whole
    paged, path = [], "/users?limit=2"
    while path:
        page = admin.rest.get(path)
        assert len(page.json()) <= 2
        paged += page.json()
        path = page.links.get("next", {}).get("url", "")
    assert paged == whole
    assert not [key for user in whole for key in user if "password" in key or "token" in key]


def test_read(admin: Person, bob: Person) -> None:
    assert admin.rest.get(f"/users/{bob.id}").json() == bob.rest.get("/users/profile").json()
    assert admin.rest.get("/users/2000000000").status_code == 404
    assert bob.rest.get(f"/users/{bob.id}").status_code == 200
    hidden, absent = bob.rest.get(f"/users/{admin.id}"), bob.rest.get("/users/2000000000")
    assert (hidden.status_code, content_of(hidden)) == (403, content_of(absent))


def test_create(server: Server, admin: Person, bob: Person) -> None:
    account = {"username": unique("Ada"), "password": PASSWORD, "role": "admin"}
    assert bob.rest.post("/users", account).status_code == 403
    made = admin.rest.post("/users", account)
    assert (made.status_code, made.json()["user"]["role"]) == (201, "admin")
    assert sign_in(server.url, account["username"], PASSWORD).rest.get("/users").status_code == 200
    assert admin.rest.post("/users", account).status_code == 409


def test_disable(server: Server, admin: Person, listen: Callable[..., Socket]) -> None:
    alice = register(server.url, "Alice")
    socket, path = listen(alice), f"/users/{alice.id}"
    assert admin.rest.patch(path, {"is_active": False}).json()["is_active"] is False
    socket.wait_for("disconnect", CLOSED_WITHIN)
    login = {"username": alice.username, "password": PASSWORD}
    assert Rest(server.url).post("/login", login).status_code == 401
    assert admin.rest.post("/tasks", {"title": "x", "assigned_to": alice.id}).status_code == 400
    for _ in ("disabled", "enabled again"):  # old tokens stay dead
        assert alice.rest.get("/tasks").status_code == 401
        body = {"refresh_token": alice.refresh_token}
        assert Rest(server.url).post("/auth/refresh", body).status_code == 401
        admin.rest.patch(path, {"is_active": True})
    assert sign_in(server.url, alice.username, PASSWORD).id == alice.id


def test_new_password(server: Server, admin: Person) -> None:
    alice = register(server.url, "Alice")
    new = "a password from the admin"
    answer = admin.rest.patch(f"/users/{alice.id}", {"password": new})
    assert answer.status_code == 200
    assert new not in answer.text
    assert alice.rest.get("/tasks").status_code == 401
    assert sign_in(server.url, alice.username, new).id == alice.id


@pytest.mark.parametrize("named", [False, True])
def test_delete_hands_tasks_over(
    server: Server, admin: Person, bob: Person, listen: Callable[..., Socket], named: bool
) -> None:
    """Own tasks go to the admin or to `reassign_to`, assigned ones lose their assignee."""
    alice = register(server.url, "Alice")
    own = alice.rest.new_task("Mine")
    both = alice.rest.new_task("Mine and for me", assigned_to=alice.id)
    given = bob.rest.new_task("For Alice", assigned_to=alice.id)
    hers, his = listen(alice), listen(bob)
    heir = bob if named else admin
    params = {"reassign_to": bob.id} if named else {}
    assert bob.rest.delete(f"/users/{alice.id}").status_code == 403
    assert admin.rest.delete(f"/users/{alice.id}", params=params).status_code == 200
    hers.wait_for("disconnect", CLOSED_WITHIN)
    assert alice.rest.get("/tasks").status_code == 401
    assert admin.rest.get(f"/users/{alice.id}").status_code == 404
    for task in (own, both):
        found = heir.rest.get(f"/tasks/{task['id']}").json()
        assert (found["user_id"], found["assigned_to"]) == (heir.id, None)
        assert found["created_by"] == alice.id
    assert bob.rest.get(f"/tasks/{given['id']}").json()["assigned_to"] is None
    assert his.names(given["id"]) == ["task_updated"]


def test_delete_refuses_an_heir_who_is_none(server: Server, admin: Person) -> None:
    alice = register(server.url, "Alice")
    task = alice.rest.new_task()
    for heir in (alice.id, 2000000000):
        answer = admin.rest.delete(f"/users/{alice.id}?reassign_to={heir}")
        assert answer.status_code == 400
    assert alice.rest.get(f"/tasks/{task['id']}").json() == task


def test_last_admin_is_protected(start: Callable[..., Server]) -> None:
    server = start()
    only = accounts.admin(server)
    path = f"/users/{only.id}"
    for answer in (
        only.rest.patch(path, {"role": "member"}),
        only.rest.patch(path, {"is_active": False}),
        only.rest.delete(path),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    account = {"username": "second", "password": PASSWORD, "role": "admin"}
    second = only.rest.post("/users", account).json()["user"]
    only.rest.patch(f"/users/{second['id']}", {"is_active": False})
    # One who cannot sign in does not count.
    assert only.rest.patch(path, {"role": "member"}).status_code == 409
    only.rest.patch(f"/users/{second['id']}", {"is_active": True})
    assert only.rest.patch(path, {"role": "member"}).status_code == 200


def test_demotion(
    server: Server, admin: Person, bob: Person, listen: Callable[..., Socket]
) -> None:
    account = {"username": unique("Ada"), "password": PASSWORD, "role": "admin"}
    admin.rest.post("/users", account)
    ada = sign_in(server.url, account["username"], PASSWORD)
    socket, path = listen(ada), f"/users/{ada.id}"
    seen = bob.rest.new_task("Seen by the admin")
    assert socket.names(seen["id"]) == ["task_created"]
    assert admin.rest.patch(path, {"role": "member"}).json()["role"] == "member"
    assert socket.wait_for("resync", CLOSED_WITHIN).keys() == {"reason", "seq", "epoch"}
    unseen = bob.rest.new_task("Not seen any more")
    assert socket.names(unseen["id"]) == []
    assert ada.rest.get(f"/tasks/{seen['id']}").status_code == 404
    assert ada.rest.get("/users").status_code == 403
    own = ada.rest.new_task()  # the session goes on with the rights of a member
    assert socket.names(own["id"]) == ["task_created"]
    assert admin.rest.patch(path, {"role": "admin"}).status_code == 200
    socket.wait_for("resync", CLOSED_WITHIN, count=2)
    again = bob.rest.new_task()
    assert socket.names(again["id"]) == ["task_created"]
