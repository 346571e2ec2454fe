"""A process that serves a part; and the client's address behind a gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import request
from websockets.exceptions import InvalidStatus

from config import Config
from task_app import create_app
from task_app.resources import SERVICES
from tests.support.accounts import PASSWORD, register, unique
from tests.support.clients import Rest
from tests.support.readers import connect
from tests.support.server import Server

PATHS = {"users": "/profile", "tasks": "/tasks", "notifications": "/notifications"}
PROXY, CLIENT, OTHER = "127.0.0.1", "203.0.113.7", "198.51.100.9"


@pytest.mark.parametrize("name", SERVICES)
def test_one_part_alone(name: str, server: Server, start: Callable[..., Server]) -> None:
    """On the same database as a server of everything: it takes the same tokens."""
    alice = register(server.url, "Alice")
    part = start(server.instance, SERVICES=name)
    rest = Rest(part.url, alice.token)
    for other, path in PATHS.items():
        for prefix in ("", "/api", "/api/v1"):
            assert rest.get(prefix + path).status_code == (200 if other == name else 404)
    assert rest.get("/health").json()["status"] == "ok"
    assert rest.get("/ready").status_code == 200
    sockets = rest.get("/socket.io/?EIO=4&transport=polling").status_code
    assert sockets == (200 if name == "notifications" else 404)
    if name == "notifications":
        reader = connect("gin", part.url, alice)
        made = alice.rest.new_task()
        assert reader.until(made["id"]).kind == "task_created"
        reader.close()
    else:
        with pytest.raises(InvalidStatus):
            connect("gin", part.url, alice)
    assert part.stop() == 0
    assert "Traceback" not in part.log


FORWARDED = [
    (PROXY, CLIENT, CLIENT),
    (PROXY, f"{OTHER}, {CLIENT}", CLIENT),  # what the client wrote itself stands left
    (PROXY, f"{CLIENT}, 10.1.2.3", CLIENT),  # two gateways
    (PROXY, "", PROXY),
    (PROXY, "unknown", PROXY),
    (PROXY, f"{OTHER}, a secret, 10.1.2.3", "10.1.2.3"),
    (OTHER, CLIENT, OTHER),  # not a gateway
]


@pytest.mark.parametrize(("peer", "header", "client"), FORWARDED)
def test_the_client_s_address(tmp_path: Path, peer: str, header: str, client: str) -> None:
    environ = {"INSTANCE_PATH": str(tmp_path), "TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8"}
    app = create_app(Config(environ, async_mode="threading"))
    seen: dict[str, object] = {}
    app.before_request(lambda: seen.update(address=request.remote_addr, scheme=request.scheme))
    headers = {"X-Forwarded-For": header, "X-Forwarded-Proto": "https"}
    app.test_client().get("/openapi.json", headers=headers, environ_base={"REMOTE_ADDR": peer})
    assert seen == {"address": client, "scheme": "http" if peer == OTHER else "https"}


@pytest.mark.fault("guessing")
def test_limits_count_clients_and_not_the_gateway(start: Callable[..., Server]) -> None:
    server = start(RATELIMIT_ENABLED="1", TRUSTED_PROXIES="127.0.0.1")
    wrong = {"username": unique("nobody"), "password": PASSWORD}

    def attempt(address: str) -> int:
        headers = {"X-Forwarded-For": address}
        return Rest(server.url).post("/login", wrong, headers=headers).status_code

    assert [attempt(CLIENT) for _ in range(11)] == [401] * 10 + [429]
    assert attempt(OTHER) == 401
