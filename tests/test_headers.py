"""Headers of the answers: CORS, caches, and what keeps a browser safe."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from task_app.realtime.door import PATHS
from task_app.resources.base import SAFE, JsonResponse
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person
from tests.support.clients import Rest
from tests.support.frames import Bytes
from tests.support.server import Server

ORIGINS = ("https://app.example.com", "http://localhost:3000", "http://[::1]:3000")
FOREIGN = [
    "https://evil.example",
    "null",
    "https://app.example.com.evil.example",
    "https://evilapp.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://appXexample.com",
    "https://app.example.com/",
    "https://app.example.com@evil.example",
    "http://localhost:30001",
    "http://localhost",
    "http://::3000",
    "*",
    "",
]
CORS = "Access-Control-"
POLLING = "/socket.io/?EIO=4&transport=polling"
UPGRADES = ("/socket.io/?EIO=4&transport=websocket", *PATHS)


def test_no_header_of_an_answer_begins_another() -> None:
    for text in ("1\r\nSet-Cookie: a=b", "1\n", "\r1"):
        with pytest.raises(ValueError, match="line break"):
            JsonResponse(b"{}", 200, {"ETag": text})


def test_a_header_that_is_added_leaves_with_the_others() -> None:
    answer = JsonResponse(b"{}", 404, {"ETag": '"1"', "Cache-Control": "no-store"})
    answer.headers["Retry-After"] = "1"
    sent: list[Any] = []
    assert [*answer({}, lambda *given: sent.extend(given))] == [b"{}"]
    status, fields = sent
    assert (status, answer.status_code) == ("404 NOT FOUND", 404)
    assert len(dict(fields)) == len(fields)
    told = {"ETag": '"1"', "Retry-After": "1", "Cache-Control": "no-store", "Content-Length": "2"}
    assert dict(fields).items() >= {**told, "Content-Type": "application/json"}.items()
    assert {name for name, _ in fields} >= SAFE.keys()


@pytest.mark.parametrize("path", ["/health", "/ready", "/tasks", "/nowhere", "/", "/openapi.json"])
def test_no_header_is_there_twice(server: Server, alice: Person, path: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n"
        connection.sendall(f"{asked}Connection: close\r\n\r\n".encode())
        head, _, _ = connection.makefile("rb").read().partition(b"\r\n\r\n")
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    assert b"content-type" in names and len(names) == len(set(names)), head


@pytest.fixture(scope="module")
def open_to_some(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(
        tmp_path_factory.mktemp("cors"), ALLOWED_ORIGINS=f"{', '.join(ORIGINS)}/"
    ).start()
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    return accounts.register(server.url, "Alice")


def cors_headers(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith(CORS)}


def ask(server: Server, origin: str, method: str = "GET", path: str = "/tasks") -> Any:
    headers = {"Origin": origin}
    if method == "OPTIONS":
        headers[f"{CORS}Request-Method"] = "PATCH"
        headers[f"{CORS}Request-Headers"] = "authorization, if-match, idempotency-key"
    return Rest(server.url).request(method, path, headers=headers)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", ["/tasks", "/api/tasks/", "/api/v1/nothing", "/health"])
def test_allowed_origin(open_to_some: Server, origin: str, path: str) -> None:
    """On errors too, or a page could not read what went wrong."""
    answer = ask(open_to_some, origin, path=path)
    assert answer.headers[f"{CORS}Allow-Origin"] == origin
    assert "Origin" in answer.headers["Vary"]
    exposed = answer.headers[f"{CORS}Expose-Headers"].lower()
    for name in ("etag", "link", "x-event-seq", "x-event-epoch", "x-unread-count", "retry-after"):
        assert name in exposed


def test_preflight(open_to_some: Server) -> None:
    answer = ask(open_to_some, ORIGINS[0], "OPTIONS")
    assert answer.status_code == 200
    assert answer.headers[f"{CORS}Allow-Origin"] == ORIGINS[0]
    assert "PATCH" in answer.headers[f"{CORS}Allow-Methods"]
    allowed = answer.headers[f"{CORS}Allow-Headers"].lower()
    for name in ("authorization", "if-match", "idempotency-key"):
        assert name in allowed
    assert f"{CORS}Allow-Credentials" not in answer.headers  # tokens are sent by hand


@pytest.mark.fault("origins")
@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_foreign_origin(open_to_some: Server, server: Server, origin: str, method: str) -> None:
    for one in (open_to_some, server):
        assert cors_headers(ask(one, origin, method)) == {}


@pytest.mark.fault("origins")
@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_origin_of_a_socket(open_to_some: Server, server: Server, origin: str) -> None:
    """Polling, and the upgrades of both kinds of socket and of every family."""
    for one in (open_to_some, server):
        polled = ask(one, origin, path=POLLING)
        assert polled.status_code == 403
        assert cors_headers(polled) == {}
        for path in UPGRADES:
            ws = Bytes(one, path, headers={"Origin": origin})
            assert ws.status == 403, path
            assert not [line for line in ws.head if line.startswith(CORS)]
            ws.end()


@pytest.mark.parametrize("origin", ORIGINS)
def test_allowed_origin_of_a_socket(open_to_some: Server, origin: str) -> None:
    assert ask(open_to_some, origin, path=POLLING).status_code == 200
    for path in UPGRADES:
        ws = Bytes(open_to_some, path, headers={"Origin": origin})
        assert ws.status == 101, path
        ws.end()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tasks", 200),
        ("/api/v1/tasks", 200),
        ("/nothing", 404),
        ("/tasks/x", 404),
        ("/health", 200),
    ],
)
def test_safe_headers(alice: Person, path: str, status: int) -> None:
    answer = alice.rest.get(path)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert "Set-Cookie" not in answer.headers


def test_server_says_no_versions(alice: Person) -> None:
    assert not any(char.isdigit() for char in alice.rest.get("/tasks").headers.get("Server", ""))


def test_no_cache_keeps_a_token(alice: Person, nobody: Rest) -> None:
    new = {"old_password": PASSWORD, "new_password": PASSWORD}
    calls: list[Callable[[], requests.Response]] = [
        lambda: nobody.post("/login", {"username": alice.username, "password": PASSWORD}),
        lambda: nobody.post("/api/auth/refresh", {"refresh_token": alice.refresh_token}),
        lambda: alice.rest.put("/users/password", new),
    ]
    for call in calls:
        answer = call()
        assert answer.status_code == 200
        assert answer.json()["access_token"]
        assert answer.headers["Cache-Control"] == "no-store"
