"""How a client of the raw WebSockets says who it is: header, first message, ticket; and how it
goes on saying so."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_websocket

from tests.support import accounts, databases
from tests.support.accounts import PASSWORD, Person
from tests.support.server import Server
from tests.support.websockets_client import FIBER, PATHS, Client


@PATHS
def test_token_in_the_first_message(client: Any, alice: Person, path: str) -> None:
    ws = client(path)
    ws.send({"type": "auth", "token": alice.token})
    ready = ws.read()
    assert (ready["type"], ready["user_id"]) == ("ready", alice.id)
    alice.rest.new_task()
    assert "task" in ws.task_event()["type"]


@PATHS
@pytest.mark.parametrize("first", ["hello", '{"type": "auth", "token": "x"}', '{"type": "ping"}'])
def test_no_token(client: Any, path: str, first: str) -> None:
    ws = client(path)
    ws.ws.send(first)
    error = ws.read()
    assert error["type"] == "error" and {"error", "message", "code"} <= error.keys()
    assert ws.code() == 4401


@PATHS
@pytest.mark.parametrize("scheme", ["Bearer", "Token", "bearer"])
def test_token_in_a_header(server: Server, alice: Person, path: str, scheme: str) -> None:
    person = Person(alice.id, "", "", "", alice.rest)
    address = f"ws://127.0.0.1:{server.port}{path}"
    headers = {"Authorization": f"{scheme} {alice.token}"}
    with open_websocket(address, additional_headers=headers, proxy=None) as ws:
        assert json.loads(ws.recv(timeout=5))["user_id"] == person.id


def refused(server: Server, path: str) -> tuple[int, str]:
    """The status and the code of the answer to a handshake that must fail."""
    with pytest.raises(InvalidStatus) as caught:
        open_websocket(f"ws://127.0.0.1:{server.port}{path}", proxy=None)
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"")["code"]


@PATHS
def test_ticket(server: Server, client: Any, alice: Person, path: str) -> None:
    """`POST /api/v1/ws/ticket`: for thirty seconds, once, for who asked for it."""
    answer = alice.rest.post("/api/v1/ws/ticket")
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 30)
    ticket = answer.json()["ticket"]
    ws = client(f"{path}?ticket={ticket}")
    assert ws.read()["user_id"] == alice.id
    assert refused(server, f"{path}?ticket={ticket}") == (401, "unauthorized")
    ws.send({"type": "ping"})
    assert ws.read() == {"type": "pong"}


def test_tickets_that_are_none(server: Server, alice: Person) -> None:
    assert refused(server, f"{FIBER}?ticket=x") == (401, "unauthorized")
    assert refused(server, f"{FIBER}?ticket={alice.token}")[0] in (400, 401)
    assert accounts.Rest(server.url).post("/ws/ticket").status_code == 401


def test_a_ticket_expires(server: Server, alice: Person) -> None:
    """Here its thirty seconds are taken away in the database."""
    good, late = (alice.rest.post("/ws/ticket").json()["ticket"] for _ in range(2))
    digest = hashlib.sha256(late.encode()).hexdigest()
    change = "UPDATE tickets SET expires_at = expires_at - 31 WHERE digest = :digest"
    assert len(databases.run(server.instance, change, digest=digest)) == 1
    assert refused(server, f"{FIBER}?ticket={late}") == (401, "unauthorized")
    Client(server, f"{FIBER}?ticket={good}").ws.close()


def test_a_ticket_is_worth_what_its_session_is(server: Server, alice: Person) -> None:
    ticket = alice.rest.post("/ws/ticket").json()["ticket"]
    alice.rest.post("/logout")
    assert refused(server, f"{FIBER}?ticket={ticket}") == (401, "unauthorized")


def test_a_ticket_ends_with_the_password(server: Server, alice: Person) -> None:
    ticket = alice.rest.post("/ws/ticket").json()["ticket"]
    body = {"old_password": PASSWORD, "new_password": "another battery staple"}
    assert alice.rest.put("/users/password", body).status_code == 200
    assert refused(server, f"{FIBER}?ticket={ticket}") == (401, "unauthorized")


def test_a_ticket_does_not_outlive_a_disabled_account(
    server: Server, alice: Person, admin: Person
) -> None:
    ticket = alice.rest.post("/ws/ticket").json()["ticket"]
    for active in (False, True):
        admin.rest.patch(f"/users/{alice.id}", {"is_active": active})
    assert refused(server, f"{FIBER}?ticket={ticket}") == (401, "unauthorized")


@PATHS
def test_renewal(server: Server, client: Any, alice: Person, path: str) -> None:
    """A new token on a live connection; the session it came with may then end."""
    ws = client(path, alice)
    again = accounts.sign_in(server.url, alice.username, PASSWORD)
    ws.send({"type": "auth", "token": again.token})
    assert ws.read()["user_id"] == alice.id
    alice.rest.post("/logout")
    again.rest.new_task()
    assert "task" in ws.task_event()["type"]
    again.rest.post("/logout")
    assert ws.code() == 4401
