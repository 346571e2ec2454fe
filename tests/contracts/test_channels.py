"""The channels family (document 003): REST under `/api`, each URL with its slash at the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, register, unique
from tests.support.clients import Rest, Socket, content_of
from tests.support.server import Server
from tests.support.waits import until

TASK_KEYS = {
    "id",
    "title",
    "description",
    "priority",
    "status",
    "due_date",
    "assigned_user",
    "created_at",
    "updated_at",
}
USER_KEYS = {"id", "username", "email", "role", "is_active", "date_joined", "last_login"}


@pytest.fixture(scope="module")
def people(server: Server) -> tuple[Person, ...]:
    """Alice, Bob and Charlie."""
    return tuple(accounts.people(server.url, "Alice", "Bob", "Charlie"))


def with_token(url: str, token: str) -> Rest:
    """A client as the document has it: `Authorization: Token your_token_here`."""
    client = Rest(url)
    client.session.headers["Authorization"] = f"Token {token}"
    return client


def test_login_verify_logout(server: Server, nobody: Rest, listen: Callable[..., Socket]) -> None:
    """`POST /api/auth/login/`, `GET /api/auth/verify/`, `POST /api/auth/logout/`."""
    account = {"username": unique("Dora"), "password": PASSWORD}
    assert nobody.post("/api/auth/register/", account).status_code == 201
    answer = nobody.post("/api/auth/login/", account)
    assert answer.status_code == 200
    client = with_token(server.url, answer.json()["token"])
    verified = client.get("/api/auth/verify/")
    assert verified.status_code == 200
    assert verified.json().keys() == USER_KEYS
    user = {"username": account["username"], "role": "member", "is_active": True}
    assert user.items() <= verified.json().items()
    assert verified.json()["last_login"] >= verified.json()["date_joined"]
    socket = listen()
    socket.call("authenticate", {"token": answer.json()["token"]})
    assert client.post("/api/auth/logout/").status_code == 200
    socket.wait_for("disconnect", timeout=2)
    until(lambda: client.get("/api/auth/verify/").status_code == 401, seconds=server.HEARS_SECONDS)
    assert client.post("/api/auth/logout/").status_code == 401


@pytest.mark.parametrize("word", ["Token", "token", "TOKEN", "Bearer", "bearer"])
def test_token_or_bearer(nobody: Rest, people: tuple[Person, ...], word: str) -> None:
    headers = {"Authorization": f"{word} {people[0].token}"}
    assert nobody.get("/api/auth/verify/", headers=headers).json()["id"] == people[0].id


def test_crud(server: Server, people: tuple[Person, ...]) -> None:
    """`/api/tasks/` and `/api/tasks/{id}/`, with this family's fields."""
    alice, bob, _ = people
    client = with_token(server.url, alice.token)
    sent = {
        "title": "New Task",
        "description": "Description",
        "priority": "high",
        "status": "todo",
        "due_date": "2030-01-31",
        "assigned_user": bob.id,
    }
    made = client.post("/api/tasks/", sent)
    assert made.status_code == 201
    task = made.json()
    assert task.keys() >= TASK_KEYS
    assert sent.items() <= task.items()
    path = f"/api/tasks/{task['id']}/"
    assert client.get(path).json() == task
    assert task in client.get("/api/tasks/").json()
    changed = client.put(path, sent | {"status": "in_progress", "assigned_user": None})
    assert changed.status_code == 200
    assert (changed.json()["status"], changed.json()["assigned_user"]) == ("in_progress", None)
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404


def test_slash_or_none(people: tuple[Person, ...]) -> None:
    for prefix in ("", "/api", "/api/v1"):
        plain, slashed = (
            people[0].rest.get(f"{prefix}/tasks{end}", allow_redirects=False) for end in ("", "/")
        )
        assert (plain.status_code, content_of(plain)) == (slashed.status_code, content_of(slashed))
        assert plain.status_code == 200


def test_filters(server: Server, people: tuple[Person, ...]) -> None:
    """`due_date`, `priority`, `status`, `assigned_user`; alone and together."""
    bob, dora = people[1], register(server.url, "Dora")
    base = {"due_date": "2030-01-31", "priority": "high", "status": "completed"}
    base["assigned_user"] = bob.id
    others = {"due_date": "2030-02-01", "priority": "low", "status": "in_progress"}
    others["assigned_user"] = dora.id
    wanted = dora.rest.post("/api/tasks/", {"title": "Wanted", **base}).json()
    for name, value in others.items():
        dora.rest.post("/api/tasks/", {"title": f"Other {name}", **base, name: value})
    for name, value in others.items():
        found = dora.rest.get("/api/tasks/", params={name: value}).json()
        assert [task["title"] for task in found] == [f"Other {name}"]
    assert dora.rest.get("/api/tasks/", params=base).json() == [wanted]
    assert dora.rest.get("/api/tasks/", params={"due_date": "31.1.2030"}).status_code == 400


def test_admin_sees_all_and_a_user_the_assigned(people: tuple[Person, ...], admin: Person) -> None:
    alice, bob, charlie = people
    path = f"/api/tasks/{alice.rest.new_task(assigned_to=bob.id)['id']}/"
    seen = [who.rest.get(path).status_code for who in (admin, bob, charlie)]
    assert seen == [200, 200, 404]


def test_roles_are_admin_and_user(admin: Person, people: tuple[Person, ...]) -> None:
    """The document calls a member `user`: understood on the way in."""
    path = f"/api/users/{people[2].id}/"
    answer = admin.rest.put(path, {"role": "user"})
    assert (answer.status_code, answer.json()["role"]) == (200, "member")
    assert answer.json().keys() == USER_KEYS


def test_console_log(start: Callable[..., Server]) -> None:
    """`{levelname} {asctime} {module} {message}`."""
    server = start()
    assert server.stop() == 0
    line = r"INFO \d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} server stopping"
    assert re.search(f"^{line}$", server.log, re.M), server.log


def test_notifications(people: tuple[Person, ...]) -> None:
    """`GET /api/notifications/`: one's own, in this family's fields."""
    alice, bob, _ = people
    task = alice.rest.new_task("Water the roses", assigned_to=bob.id)
    newest: dict[str, Any] = bob.rest.get("/api/notifications/").json()[0]
    assert {"id", "user", "message", "is_read", "created_at"} <= newest.keys()
    assert (newest["user"], newest["is_read"], newest["task"]) == (bob.id, False, task["id"])
    assert newest["message"] == 'You were assigned "Water the roses"'
    assert newest not in alice.rest.get("/api/notifications/").json()
