"""The fiber family (document 000): REST under `/api/v1`, spelt as the document spells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest

from config import Config
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest
from tests.support.server import Server

NEW = {
    "title": "New Task",
    "priority": "High",
    "status": "ToDo",
    "description": "Task description",
}
UPDATED = {"title": "Updated Task", "priority": "Medium", "status": "InProgress"}
KEYS = {
    "id",
    "title",
    "priority",
    "status",
    "assigned_to",
    "description",
    "created_by",
    "created_at",
    "updated_at",
}


@pytest.fixture(scope="module")
def people(server: Server) -> tuple[Person, ...]:
    """Alice, Bob and Charlie."""
    return tuple(accounts.people(server.url, "Alice", "Bob", "Charlie"))


def test_crud(people: tuple[Person, ...]) -> None:
    """Complete task CRUD; `High`, `ToDo`, `InProgress`; times in UTC with a `Z`."""
    alice, bob, _ = people
    made = alice.rest.post("/api/v1/tasks", {**NEW, "assigned_to": bob.id})
    assert made.status_code == 201
    task = made.json()
    assert task.keys() >= KEYS
    assert (NEW | {"assigned_to": bob.id, "created_by": alice.id}).items() <= task.items()
    assert type(task["id"]) is int
    assert task["created_at"].endswith("Z") and task["created_at"] == task["updated_at"]
    path = f"/api/v1/tasks/{task['id']}"
    assert alice.rest.get(path).json() == task
    assert task in alice.rest.get("/api/v1/tasks").json()
    changed = alice.rest.put(path, UPDATED)
    assert changed.status_code == 200
    assert UPDATED.items() <= changed.json().items()
    assert changed.json()["description"] == "Task description"
    assert alice.rest.delete(path).status_code == 200
    assert alice.rest.get(path).status_code == 404


def test_done(people: tuple[Person, ...]) -> None:
    task = people[0].rest.post("/api/v1/tasks", {"title": "x", "status": "Done"}).json()
    assert task["status"] == "Done"
    assert people[0].rest.get(f"/tasks/{task['id']}").json()["done"] is True


def test_what_is_read_can_be_sent_back(people: tuple[Person, ...]) -> None:
    task = people[0].rest.post("/api/v1/tasks", NEW).json()
    again = people[0].rest.put(f"/api/v1/tasks/{task['id']}", task)
    assert (again.status_code, again.json()) == (200, task)


def test_conflict_carries_the_task_in_this_dialect(people: tuple[Person, ...]) -> None:
    task = people[0].rest.post("/api/v1/tasks", NEW).json()
    late = {"If-Match": '"7"'}
    answer = people[0].rest.put(f"/api/v1/tasks/{task['id']}", UPDATED, headers=late)
    assert (answer.status_code, answer.json()["current"]) == (412, task)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/tasks/2000000000", None, 404),
        ("POST", "/api/v1/tasks", {"title": ""}, 400),
        ("POST", "/api/v1/tasks", {"title": "x", "priority": "Urgent"}, 400),
        ("GET", "/api/v1/users", None, 403),
        ("GET", "/api/v1/nothing", None, 404),
        ("DELETE", "/api/v1/tasks", None, 405),
    ],
)
def test_errors(people: tuple[Person, ...], method: str, path: str, body: Any, status: int) -> None:
    """Standard status codes, and `{"error": "…"}`."""
    answer = people[0].rest.request(method, path, json=body)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str) and answer.json()["error"]


@pytest.mark.parametrize("path", ["/tasks", "/tasks/1", "/users", "/users/profile"])
def test_jwt_for_all_endpoints(nobody: Rest, path: str) -> None:
    answer = nobody.get("/api/v1" + path)
    assert (answer.status_code, answer.json()["error"]) == (
        401,
        "The token is missing, invalid or expired",
    )


def test_user_management(nobody: Rest, server: Server, admin: Person) -> None:
    account = {"username": unique("Dora"), "password": PASSWORD}
    made = nobody.post("/api/v1/register", account)
    assert made.status_code == 201
    path = f"/api/v1/users/{made.json()['user']['id']}"
    token = nobody.post("/api/v1/login", account).json()["token"]
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == path.split("/")[-1]
    assert admin.rest.get(path).json() == Rest(server.url, token).get(path).json()
    assert admin.rest.put(path, {"role": "admin"}).json()["role"] == "admin"
    assert admin.rest.delete(path).status_code == 200
    assert admin.rest.get(path).status_code == 404


def test_role_based_access_to_tasks(people: tuple[Person, ...], admin: Person) -> None:
    alice, bob, charlie = people
    path = f"/api/v1/tasks/{alice.rest.new_task(assigned_to=bob.id)['id']}"
    given = [who.rest.delete(path).status_code for who in (charlie, bob, admin)]
    assert given == [404, 403, 200]


def test_settings_of_the_document(tmp_path: Path) -> None:
    """`DB_*` is a PostgreSQL database, `JWT_SECRET` signs the tokens."""
    secret = "Wd2nT8hYq5pLx0vBz7kRf3mJc9sGa1eU"
    environ = {
        "DB_USER": "your_db_user",
        "DB_PASSWORD": "your/db@password",
        "DB_HOST": "localhost",
        "DB_PORT": "5432",
        "DB_NAME": "your_db_name",
        "JWT_SECRET": secret,
        "INSTANCE_PATH": str(tmp_path),
    }
    config = Config(environ)
    assert config.SQLALCHEMY_DATABASE_URI == (
        "postgresql+psycopg://your_db_user:your%2Fdb%40password@localhost:5432/your_db_name"
    )
    assert secret == config.JWT_SECRET_KEY
