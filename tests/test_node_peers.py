"""Node's own clients, npm's `ws` and `socket.io-client`, against this server: connect, sign in,
create, hear, be cut off, resume."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tests.support.accounts import Person
from tests.support.server import Server

PEERS = Path(__file__).parent / "peers"
# The second value is the path, or for Socket.IO the transport it is kept to.
CLIENTS = [
    ("socketio", "websocket"),
    ("socketio", "polling"),
    ("ws", "/api/v1/ws"),
    ("ws", "/ws"),
    ("ws", "/ws/tasks/"),
]
Connect = Callable[..., "Peer"]


@pytest.fixture(scope="session")
def modules() -> Path:
    """Where the packages are: installed once, outside of the repository."""
    node, npm = require("node"), require("npm")
    wanted = (PEERS / "package.json").read_text()
    folder = Path(os.environ.get("PEERS_CACHE", tempfile.gettempdir())) / "task-server-peers"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # pytest-xdist: one installs, the others wait
        stamp = folder / "installed.json"
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.copy(PEERS / "package.json", folder)
            command = [npm, "install", "--silent", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50)
            if done.returncode:
                required = os.environ.get("REQUIRE_SERVICES") == "1"
                (pytest.fail if required else pytest.skip)(f"npm install failed: {done.stderr}")
            stamp.write_text(wanted)
    assert node
    return folder


class Peer:
    """One Node process with one client; `came` grows as it tells what came."""

    def __init__(
        self, modules: Path, kind: str, url: str, path: str, token: str, **position: Any
    ) -> None:
        arguments = [kind, url, path, token, json.dumps(position)]
        self.process = subprocess.Popen(
            ["node", str(PEERS / "peer.mjs"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "PEERS": str(modules)},
        )
        self.came: list[tuple[str, Any]] = []
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            message = json.loads(line)
            with self.changed:
                self.came.append((message["name"], message["body"]))
                self.changed.notify_all()

    def wait(self, name: str, holds: Callable[[Any], Any] = lambda body: True) -> Any:
        """The first of this name for which `holds`."""

        def found() -> list[Any]:
            return [body for known, body in self.came if known == name and holds(body)]

        with self.changed:
            assert self.changed.wait_for(found, 10), (name, self.came)
            return found()[0]

    def send(self, name: str, data: Any = None) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"name": name, "data": data}) + "\n")
        self.process.stdin.flush()

    def seqs(self) -> list[int]:
        """Of the events that came."""
        control = ("ready", "ack", "message", "closed")
        with self.changed:
            return [body["seq"] for name, body in self.came if name not in control]

    def end(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(5)
        self.process.stdout.close()


@pytest.fixture
def peer(server: Server, modules: Path) -> Iterator[Connect]:
    opened: list[Peer] = []

    def connect(kind: str, path: str, token: str, **position: Any) -> Peer:
        opened.append(Peer(modules, kind, server.url, path, token, **position))
        return opened[-1]

    yield connect
    for one in opened:
        one.end()


@pytest.mark.parametrize(("kind", "path"), CLIENTS)
def test_create_and_resume(peer: Connect, alice: Person, kind: str, path: str) -> None:
    first = peer(kind, path, alice.token)
    ready = first.wait("ready")
    assert ready["user_id"] == alice.id
    first.send("create_task", {"title": "From Node"})
    ack = first.wait("ack")
    assert (ack["data"] if kind == "ws" else ack)["title"] == "From Node"
    named = "task_update" if path == "/ws/tasks/" else "task_created"
    seen = first.wait(named)["seq"]
    first.send("cut")
    first.wait("closed")
    missed = [alice.rest.new_task(f"Missed {i}")["id"] for i in range(5)]
    again = peer(kind, path, alice.token, since=seen, epoch=ready["epoch"])
    assert again.wait("ready")["replayed"] == len(missed)
    last = again.seqs()[-1]
    alice.rest.new_task("Live")
    again.wait(named, lambda body: body["seq"] > last)
    assert again.seqs() == list(range(again.seqs()[0], again.seqs()[0] + len(missed) + 1))
    assert first.seqs() == [seen] and again.seqs()[0] > seen


@pytest.mark.parametrize("path", [path for kind, path in CLIENTS if kind == "ws"])
def test_ws_pings_and_header(peer: Connect, alice: Person, path: str) -> None:
    client = peer("ws", path, alice.token, header=True)
    client.wait("ready")
    client.send("protocol ping", "hello")
    assert client.wait("protocol pong") == "hello"
    client.send("ping")
    client.wait("pong")
    alice.rest.post("/logout")
    assert client.wait("closed") == 4401


@pytest.mark.parametrize(("kind", "path"), CLIENTS)
def test_a_bad_token(peer: Connect, kind: str, path: str) -> None:
    client = peer(kind, path, "x")
    if kind == "ws":
        assert client.wait("closed") == 4401
    else:
        assert client.wait("connect_error")["code"] == "unauthorized"
