"""Who gets into Socket.IO, and what becomes of a connection that could not be set up."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from tests.support import accounts, databases
from tests.support.accounts import Person
from tests.support.frames import TEXT, Bytes, frame, signed_in
from tests.support.issuer import sign
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
