"""The gin family (document 001): broadcast and health, for a front end that issues the tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest, Socket
from tests.support.server import Server

ORIGIN = "http://localhost:3000"
SECRET = "Wd2nT8hYq5pLx0vBz7kRf3mJc9sGa1eU"
# The document's body, and what the Next.js front end puts beside it.
BROADCAST = {"type": "task_created", "data": {"id": "uuid", "title": "New task"}}
MOVED = {
    "type": "task_status_changed",
    "data": {"id": "6f1c-uuid", "title": "Task title", "statusId": "in-progress", "order": 1.5},
}


@pytest.fixture(scope="module")
def gin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the document's `.env`, and the roles its front end needs."""
    running = Server(
        tmp_path_factory.mktemp("gin"),
        ALLOWED_ORIGINS=ORIGIN,
        JWT_SECRET=SECRET,
        BROADCAST_ROLES="admin,member",
    ).start()
    yield running
    code = running.stop()
    assert (code, "Traceback" in running.log) == (0, False), running.log


@pytest.fixture(scope="module")
def token() -> str:
    """What BetterAuth gives the front end."""
    claims = {"id": "b7e4-uuid", "email": "ada@example.com", "name": "Ada"}
    return jwt.encode(claims | {"exp": int(time.time()) + 3600}, SECRET, "HS256")


def test_health(gin: Server, listen: Callable[..., Socket], settled: Callable[..., None]) -> None:
    """`GET /health`: `status` and `connectedClients`."""
    rest = Rest(gin.url)
    settled(0)
    before = rest.get("/health").json()
    assert before["status"] == "ok"
    socket = listen(url=gin.url)
    settled(1)
    assert rest.get("/health").json()["connectedClients"] == before["connectedClients"] + 1
    listen(accounts.admin(gin), gin.url)
    settled(2)
    assert rest.get("/health").json()["connectedClients"] == before["connectedClients"] + 2
    socket.close()


@pytest.mark.parametrize("message", [BROADCAST, MOVED])
def test_broadcast(
    gin: Server,
    token: str,
    listen: Callable[..., Socket],
    settled: Callable[..., None],
    message: dict[str, Any],
) -> None:
    """`POST /api/broadcast`: `data` untouched, string ids and `statusId` and all."""
    ada, anonymous = Socket().connect(gin.url, token), listen(url=gin.url)
    admin = listen(accounts.admin(gin), gin.url)
    settled(3)
    answer = Rest(gin.url, token).post("/api/broadcast", message)
    assert answer.status_code == 200
    assert answer.json()["recipients"] == 2
    for socket in (ada, admin):
        came = socket.wait_for("broadcast")
        assert {"type": came["type"], "data": came["data"]} == message
        assert {"seq", "epoch"} <= came.keys()
    anonymous.call("list_tasks", {})  # what was sent before the answer would be here by now
    assert "broadcast" not in [name for name, _ in anonymous.events]
    ada.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"data": {}}, 400),
        ({"type": "", "data": {}}, 400),
        ({"type": "a b\r\nc", "data": {}}, 400),
        ({"type": "größe", "data": {}}, 400),  # the document's pattern has no such letters
        ({"type": 7, "data": {}}, 400),
        ({"type": "x", "payload": {}}, 400),
        ([], 400),
        ({"type": "ping"}, 200),
        ({"type": "board:cleared", "data": None}, 200),
        ({"type": "custom", "data": [1, "two", {"three": None}]}, 200),
    ],
)
def test_what_can_be_broadcast(gin: Server, token: str, body: Any, status: int) -> None:
    assert Rest(gin.url, token).post("/api/broadcast", body).status_code == status


def test_nobody_may_broadcast_without_a_token(gin: Server) -> None:
    assert Rest(gin.url).post("/api/broadcast", BROADCAST).status_code == 401


def test_broadcast_roles(server: Server, admin: Person, alice: Person) -> None:
    """By default only an admin may: a broadcast can carry any event's name."""
    refused = alice.rest.post("/api/broadcast", BROADCAST)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert admin.rest.post("/api/broadcast", BROADCAST).status_code == 200


def test_token_of_the_front_end(gin: Server, token: str) -> None:
    """HS256 under the shared secret: `id`, `email`, `name` become a local member."""
    profile = Rest(gin.url, token).get("/users/profile").json()
    known = {"username": "Ada", "email": "ada@example.com", "role": "member"}
    assert known.items() <= profile.items()


def test_cors_for_the_front_end(gin: Server) -> None:
    rest, asked = Rest(gin.url), {"Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization, content-type"
    answer = rest.request("OPTIONS", "/api/broadcast", headers={"Origin": ORIGIN, **asked})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
    foreign = rest.get("/health", headers={"Origin": "http://localhost:3001"})
    assert "Access-Control-Allow-Origin" not in foreign.headers
