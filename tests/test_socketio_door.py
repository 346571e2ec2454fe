"""Who gets into Socket.IO, and what becomes of a connection that could not be set up."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import requests

from tests.support import accounts, databases
from tests.support.accounts import Person
from tests.support.frames import Bytes
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
    assert 400 <= ws.status < 500
    ws.end()
    polled = requests.get(f"{server.url}{PATH}polling", headers={"Origin": origin}, timeout=5)
    assert 400 <= polled.status_code < 500
    assert "sid" not in polled.text
    assert "Access-Control-Allow-Origin" not in polled.headers


def test_own_origin(server: Server) -> None:
    ws = Bytes(server, f"{PATH}websocket", headers={"Origin": server.url})
    assert ws.status == 101
    ws.end()


NO_NEWCOMERS = {
    "sqlite": [
        "CREATE TRIGGER no_newcomers BEFORE INSERT ON users WHEN NEW.external_id IS NOT NULL"
        " BEGIN SELECT RAISE(ABORT, 'no newcomers'); END"
    ],
    "postgresql": ["ALTER TABLE users ADD CONSTRAINT no_newcomers CHECK (external_id IS NULL)"],
}


def test_trouble_while_connecting(start: Callable[..., Server]) -> None:
    """Nobody foresaw it: here the account of a newcomer cannot be stored.  As python-socketio
    has it, the client would be in the namespace for good."""
    server = start(BETTER_AUTH_SECRET=SECRET)
    alice: Person = accounts.register(server.url, "Alice")
    for statement in NO_NEWCOMERS[DATABASE]:
        databases.run(server.instance, statement)
    newcomer = sign(SECRET, "HS256", sub="7", email="grace@example.com", name="Grace")
    ws = raw(server, credentials={"token": newcomer})
    refused = ws.recv()
    assert refused.startswith("44{")
    assert json.loads(refused[2:])["message"] == "The server could not set up the connection"
    alice.rest.new_task()
    ws.send('421["list_tasks", {}]')  # it is not connected: nothing comes of this
    ws.send("40" + json.dumps({"token": alice.token}))  # a good token, on the same connection
    assert ws.recv().startswith("40{")
    assert json.loads(answer(ws, '422["list_tasks", {}]', "432")[3:])[0]["tasks"]
    ws.close()
    assert server.stop() == 0
