"""What python-socketio lets through unless one looks (FINDINGS, "Socket.IO traps")."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from socketio.exceptions import ConnectionError as Refused

from tests.support.accounts import Person
from tests.support.clients import Socket
from tests.support.raw import answer, raw
from tests.support.server import Server

pytestmark = pytest.mark.fault("socketio")

Listen = Callable[..., Socket]


@pytest.mark.parametrize("name", ["connect", "disconnect"])
def test_forged_reserved_events(server: Server, alice: Person, listen: Listen, name: str) -> None:
    other = listen(alice)
    ws = raw(server, credentials={"token": alice.token})
    answer(ws, f'42["{name}", {{"token": "x"}}]', "42")
    answer(ws, f'427["{name}"]', "43")
    assert json.loads(answer(ws, '428["list_tasks", {}]', "438")[3:])[0]["tasks"] == []
    task = alice.rest.new_task()  # both are still in their rooms
    assert str(task["id"]) in answer(ws, '429["list_tasks"]', '42["task_created"')
    other.wait_for("task_created")
    assert "disconnect" not in [event for event, _ in other.events]
    ws.close()


BAD_AUTH = [
    {"token": "x"},
    {"token": ""},
    {"token": 7},
    {"token": ["x"]},
    {"token": {"a": 1}},
    {"token": "é" * 100},
]


@pytest.mark.parametrize("credentials", BAD_AUTH, ids=repr)
def test_bad_token_at_connect(server: Server, credentials: Any) -> None:
    ws = raw(server, credentials=credentials)
    refused = ws.recv()
    assert refused.startswith("44"), refused  # CONNECT_ERROR
    ws.send('421["list_tasks", {}]')  # not connected: nothing comes back
    ws.send("40")
    assert ws.recv().startswith("40{")
    ws.close()


@pytest.mark.parametrize("credentials", [[], "x", 7, {}, {"token": None}, {"other": 1}])
def test_no_token_at_connect(server: Server, credentials: Any) -> None:
    ws = raw(server, credentials=credentials)
    assert ws.recv().startswith("40{")
    assert json.loads(answer(ws, '421["list_tasks", {}]', "431")[3:])[0]["code"] == "unauthorized"
    ws.close()


def test_header_at_connect(server: Server, alice: Person, listen: Listen) -> None:
    assert listen(headers=alice.header).wait_for("ready")["user_id"] == alice.id
    with pytest.raises(Refused):
        Socket().connect(server.url, headers={"Authorization": "Bearer x"})


def test_token_in_the_url_is_not_one(server: Server, alice: Person) -> None:
    ws = raw(server, f"&token={alice.token}&access_token={alice.token}")
    refused = ws.recv()
    assert refused.startswith("44{")
    assert '"token_in_url"' in refused
    ws.close()
    query = {"token": alice.token, "jwt": alice.token}
    assert requests.get(f"{server.url}/tasks", params=query, timeout=5).status_code == 401


def test_unknown_namespace(server: Server, listen: Listen) -> None:
    ws = raw(server)
    assert ws.recv().startswith("40{")
    assert answer(ws, "40/admin,", "44/admin,")
    ws.send('42/admin,["list_tasks"]')
    assert answer(ws, '421["list_tasks"]', "431")
    ws.close()


@pytest.mark.parametrize("payload", [None, [], "x", 7, True, 1.5, [{"title": "x"}], b"x"])
def test_payload_that_is_no_object(alice: Person, listen: Listen, payload: Any) -> None:
    socket = listen(alice)
    body = socket.call("create_task", payload)
    # Without an argument the payload is empty: then it is the title that is missing.
    assert body["code"] == ("validation_failed" if payload is None else "invalid_payload")
    assert socket.wait_for("error") == body
    assert socket.of_tasks() == []


def test_more_than_one_argument(alice: Person, listen: Listen) -> None:
    body = listen(alice).call("create_task", ({"title": "x"}, {"title": "y"}))
    assert body["code"] == "invalid_payload"


@pytest.mark.parametrize("name", ["nothing", "", "message", "join", "__class__", "x" * 1000])
def test_unknown_event(listen: Listen, name: str) -> None:
    body = listen().call(name, {})
    assert body["code"] == "unknown_event"
    assert len(body["message"]) < 100


def test_anonymous_hears_nothing(alice: Person, listen: Listen) -> None:
    anonymous, sender = listen(), listen()
    sender.call("create_task", {"token": alice.token, "title": "x"})
    alice.rest.new_task(assigned_to=alice.id)
    assert anonymous.of_tasks() == []
    names = [name for name, _ in anonymous.events]
    assert names == ["message", "error"]  # the welcome, and what its own question was answered
    assert len(sender.of_tasks()) == 1  # its own, and no other of Alice's
