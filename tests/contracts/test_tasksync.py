"""The tasksync family (document 002): what its clients send over HTTP and hear over Socket.IO."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest, Socket
from tests.support.server import Server, refusal

# The document's `.env`; its JWT_SECRET is an example, which no server of ours takes.
FRONTEND_URL = "http://localhost:3000"
EXAMPLE_SECRET = "your-secret-key-change-in-production"
JWT_SECRET = "Wd2nT8hYq5pLx0vBz7kRf3mJc9sGa1eU"


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    return accounts.register(server.url, "Alice")


def test_users_register_login_profile(nobody: Rest, server: Server) -> None:
    """`POST /users/register`, `POST /users/login`, `GET /users/profile`."""
    email = f"{unique('member')}@example.com"
    account = {"name": unique("Member"), "email": email, "password": PASSWORD}
    made = nobody.post("/users/register", account)
    assert made.status_code == 201
    assert made.json()["user"]["role"] == "member"
    signed_in = nobody.post("/users/login", {"email": email, "password": PASSWORD})
    assert signed_in.status_code == 200
    profile = Rest(server.url, signed_in.json()["token"]).get("/users/profile")
    assert profile.status_code == 200
    assert profile.json() == signed_in.json()["user"]
    assert profile.json()["email"] == email


def test_roles_admin_and_member(admin: Person, alice: Person, nobody: Rest) -> None:
    account = {"username": unique("Grace"), "password": PASSWORD, "role": "Member"}
    assert nobody.post("/users/register", account).json()["user"]["role"] == "member"
    account = {"username": unique("Ada"), "password": PASSWORD, "role": "Admin"}
    assert nobody.post("/users/register", account).status_code == 403
    assert admin.rest.get("/users/profile").json()["role"] == "admin"
    assert admin.rest.get("/users").status_code == 200
    assert alice.rest.get("/users").status_code == 403


@pytest.mark.parametrize("path", ["/tasks", "/tasks/1", "/users/profile", "/users", "/users/1"])
def test_protected_routes(nobody: Rest, path: str) -> None:
    answer = nobody.get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_status_tracking(alice: Person) -> None:
    """Pending → In Progress → Completed."""
    task = alice.rest.post("/tasks", {"title": "Track me", "status": "Pending"}).json()
    assert (task["status"], task["done"]) == ("todo", False)
    path = f"/tasks/{task['id']}"
    task = alice.rest.put(path, {"status": "In Progress"}).json()
    assert (task["status"], task["done"]) == ("in_progress", False)
    task = alice.rest.put(path, {"status": "Completed"}).json()
    assert (task["status"], task["done"]) == ("completed", True)
    listed = alice.rest.get("/tasks", params={"status": "Completed"}).json()
    assert task in listed


def test_partial_put(alice: Person) -> None:
    before = alice.rest.new_task("All of it", description="stays", priority="high")
    after = alice.rest.put(f"/tasks/{before['id']}", {"title": "A part"}).json()
    moved = {"title": "A part", "version": 2, "updated_at": after["updated_at"]}
    assert after == before | moved


def test_task_assignment(alice: Person, admin: Person) -> None:
    task = alice.rest.new_task(assigned_to=admin.id)
    assert task["assigned_to"] == admin.id
    assert alice.rest.put(f"/tasks/{task['id']}", {"assigned_to": None}).json()["version"] == 2


def test_socket_clients_are_told_of_every_change(
    alice: Person, listen: Callable[..., Socket]
) -> None:
    socket = listen(alice)
    task_id = alice.rest.new_task()["id"]
    path = f"/tasks/{task_id}"
    for change in ({"title": "Another"}, {"status": "In Progress"}, {"status": "Completed"}):
        assert alice.rest.put(path, change).status_code == 200
    alice.rest.delete(path)
    moved = ["task_status_changed"] * 2
    assert socket.names(task_id) == ["task_created", "task_updated", *moved, "task_deleted"]


def test_health_check(nobody: Rest) -> None:
    answer = nobody.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_environment_of_the_document(start: Callable[..., Server]) -> None:
    """JWT_SECRET, FRONTEND_URL, CACHE_TTL_SECONDS; then a graceful stop."""
    server = start(
        JWT_SECRET=JWT_SECRET,
        FRONTEND_URL=FRONTEND_URL,
        CACHE_TTL_SECONDS="60",
    )
    answer = Rest(server.url).get("/health", headers={"Origin": FRONTEND_URL})
    assert answer.headers["Access-Control-Allow-Origin"] == FRONTEND_URL
    assert server.stop() == 0


def test_the_documents_secret_is_refused(tmp_path) -> None:
    code, said = refusal(tmp_path, JWT_SECRET=EXAMPLE_SECRET)
    assert code == 1
    assert said.startswith("JWT_SECRET cannot be used")
    assert EXAMPLE_SECRET not in said


def test_default_admin_with_demo_only(start: Callable[..., Server], server: Server) -> None:
    login = {"email": "admin@example.com", "password": "admin123"}
    assert Rest(server.url).post("/users/login", login).status_code == 401
    demo = start(arguments=("--demo",))
    answer = Rest(demo.url).post("/users/login", login)
    assert answer.status_code == 200
    assert answer.json()["user"]["role"] == "admin"
