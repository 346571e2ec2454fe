"""Who gets into Socket.IO, and what becomes of a connection that could not be set up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import socketio

from tests.support import accounts, databases
from tests.support.accounts import Person
from tests.support.clients import Rest, error_of
from tests.support.frames import TEXT, Bytes, frame, signed_in
from tests.support.issuer import sign
from tests.support.polling import Polling
from tests.support.raw import answer, raw
from tests.support.server import DATABASE, Server

SECRET = "Wd2nT8hYq5pLx0vBz7kRf3mJc9sGa1eU"
PATH = "/socket.io/?EIO=4&transport="
FOREIGN = ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://127.0.0.1:1"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_origin(server: Server, origin: str) -> None:
    """Neither the upgrade nor polling; and no page of it may read the refusal."""
    ws = Bytes(server, f"{PATH}websocket", headers={"Origin": origin})
    assert ws.status == 403
    assert ws.body["code"] == "forbidden"
    ws.end()
    polled = requests.get(f"{server.url}{PATH}polling", headers={"Origin": origin}, timeout=5)
    assert (polled.status_code, polled.json()["code"]) == (403, "forbidden")
    assert "Access-Control-Allow-Origin" not in polled.headers


def test_own_origin(server: Server) -> None:
    ws = Bytes(server, f"{PATH}websocket", headers={"Origin": server.url})
    assert ws.status == 101
    ws.end()


# What Engine.IO itself refuses: the query, how else it is asked, and the answer.
WRONG: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no session": ("EIO=4&transport=polling&sid=nope", {}, 400, "unknown_session"),
    "no session to send to": (
        *("EIO=4&transport=polling&sid=no%22pe", {"method": "POST", "data": "2"}),
        *(400, "unknown_session"),
    ),
    "no session asked for": ("EIO=4&transport=polling", {"method": "POST"}, 400, "unknown_session"),
    "another transport": ("EIO=4&transport=pigeon", {}, 400, "unknown_transport"),
    "another version": ("EIO=3&transport=polling", {}, 400, "unsupported_protocol"),
    "no version": ("transport=polling", {}, 400, "unsupported_protocol"),
    "bad JSONP": ("EIO=4&transport=polling&j=x", {}, 400, "bad_request"),
    "no upgrade": ("EIO=4&transport=websocket", {}, 400, "bad_request"),
    "another method": ("EIO=4&transport=polling", {"method": "PATCH"}, 405, "method_not_allowed"),
}


@pytest.mark.parametrize(("query", "how", "status", "code"), WRONG.values(), ids=WRONG)
def test_refused_by_engineio(
    nobody: Rest, query: str, how: dict[str, Any], status: int, code: str
) -> None:
    """In the one shape that every error has."""
    method, data = how.get("method", "GET"), how.get("data")
    refused = nobody.request(method, f"/socket.io/?{query}", data=data)
    assert refused.headers["Content-Type"] == "application/json"
    error = error_of(refused)
    assert (refused.status_code, error["code"]) == (status, code)
    assert {*error} == {"error", "message", "code"} and error["error"] == error["message"]


def test_refused_packets(server: Server) -> None:
    refused = Polling(server).post("x")
    assert refused.headers["Content-Type"] == "application/json"
    assert (refused.status_code, error_of(refused)["code"]) == (400, "bad_request")


def upgrade_of(polling: Polling) -> str:
    """Where its session changes to a WebSocket."""
    return f"{PATH}websocket&sid={polling.address.rpartition('=')[2]}"


BAD_HANDSHAKES = [({"Sec-WebSocket-Key": None}, 400), ({"Sec-WebSocket-Version": "8"}, 426)]


@pytest.mark.parametrize(("headers", "status"), BAD_HANDSHAKES)
def test_refused_handshake(server: Server, headers: dict[str, str | None], status: int) -> None:
    for path in (f"{PATH}websocket", upgrade_of(Polling(server))):
        ws = Bytes(server, path, headers=headers)
        body = ws.body
        assert (ws.status, body["code"]) == (status, "upgrade_required")
        assert body["error"] == body["message"] and body["request_id"]
        ws.end()


def test_a_client_is_told_why(server: Server) -> None:
    """python-socketio's passes on what it was answered."""
    told: list[Any] = []
    client = socketio.Client(reconnection=False)
    client.on("connect_error", told.append)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(f"{server.url}?transport=pigeon", transports=["polling"])
    assert [error["code"] for error in told] == ["unknown_transport"]


UNFORESEEN = "BEGIN SELECT RAISE(ABORT, 'unforeseen'); END"
REFUSALS = {
    "sqlite": [
        "CREATE TRIGGER no_newcomers BEFORE INSERT ON users WHEN NEW.external_id IS NOT NULL "
        + UNFORESEEN,
        "CREATE TRIGGER no_such_tasks BEFORE INSERT ON tasks WHEN NEW.title = 'Unforeseen' "
        + UNFORESEEN,
    ],
    "postgresql": [
        "ALTER TABLE users ADD CONSTRAINT no_newcomers CHECK (external_id IS NULL)",
        "ALTER TABLE tasks ADD CONSTRAINT no_such_tasks CHECK (title <> 'Unforeseen')",
    ],
}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with trouble that nobody foresaw: its database refuses some rows."""
    server = Server(tmp_path_factory.mktemp("instance"), BETTER_AUTH_SECRET=SECRET)
    try:
        server.start()
        for statement in REFUSALS[DATABASE]:
            databases.run(server.instance, statement)
        yield server
        assert server.stop() == 0
    finally:
        server.kill()


def test_trouble_while_connecting(troubled: Server) -> None:
    """The account of a newcomer cannot be stored.  As python-socketio has it, the client would be
    in the namespace for good."""
    alice: Person = accounts.register(troubled.url, "Alice")
    newcomer = sign(SECRET, "HS256", sub="7", email="grace@example.com", name="Grace")
    ws = raw(troubled, credentials={"token": newcomer})
    refused = ws.recv()
    assert refused.startswith("44{")
    assert json.loads(refused[2:])["message"] == "The server could not set up the connection"
    alice.rest.new_task()
    ws.send('421["list_tasks", {}]')  # it is not connected: nothing comes of this
    ws.send("40" + json.dumps({"token": alice.token}))  # a good token, on the same connection
    assert ws.recv().startswith("40{")
    assert json.loads(answer(ws, '422["list_tasks", {}]', "432")[3:])[0]["tasks"]
    ws.close()


def test_trouble_while_an_event_is_handled(troubled: Server) -> None:
    """Its sender is told, by the acknowledgement as well, and the connection goes on."""
    alice: Person = accounts.register(troubled.url, "Alice")
    ws = raw(troubled, credentials={"token": alice.token})
    ws.send('421["create_task", {"title": "Unforeseen"}]')
    while not (packet := ws.recv()).startswith('42["error"'):
        assert packet
    error = json.loads(packet[2:])[1]
    assert error["code"] == "internal_error"
    assert json.loads(ws.recv().removeprefix("431")) == [error]
    assert json.loads(answer(ws, '422["create_task", {"title": "x"}]', "432")[3:])[0]["task"]
    ws.close()


def test_trouble_while_a_message_is_handled(troubled: Server) -> None:
    """The same on a raw WebSocket."""
    ws = signed_in(troubled, accounts.register(troubled.url, "Alice").token)
    for title, kind in (("Unforeseen", "error"), ("x", "ack")):
        message = {"type": "create_task", "data": {"title": title}, "request_id": title}
        ws.send(frame(TEXT, json.dumps(message).encode()))
        while (came := ws.read()) and came.json.get("request_id") != title:
            pass
        assert came and came.json["type"] == kind
        assert kind == "ack" or (came.json["status"], came.json["code"]) == (500, "internal_error")
    ws.end()
