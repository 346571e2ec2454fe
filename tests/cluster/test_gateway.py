"""What the gateway does itself: whom a request goes to when a process dies, and its own errors."""

from __future__ import annotations

import json
import signal
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import requests

from deploy.cluster import Gateway, Process
from tests.cluster.conftest import Installed
from tests.faults.recorder import Logged, read_log
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.waits import until

EACH = 4  # requests of a kind; every other one goes to the process that dies
ESTABLISHED = "01"
SECONDS = 10


def unread(port: int) -> int:
    """Connections to this port on which bytes have come that nobody has read."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    found = 0
    for _, local, _, state, queues, *_ in (line.split() for line in lines):
        waiting = int(queues.partition(":")[2], 16)
        found += local.endswith(f":{port:04X}") and state == ESTABLISHED and waiting > 0
    return found


def while_one_dies(
    victim: Process, send: list[Callable[[], requests.Response]]
) -> list[requests.Response]:
    """The answers to these requests, half of which have come to a process that then dies.

    It is stopped before: it has them, as far as anybody can tell, and says nothing.
    """
    assert victim.process is not None
    victim.process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(len(send)) as pool:
            answers: list[Future[requests.Response]] = [pool.submit(one) for one in send]
            until(lambda: unread(victim.port) == len(send) // 2)
            until(lambda: sum(one.done() for one in answers) == len(send) - len(send) // 2)
            victim.kill()
            return [one.result(SECONDS) for one in answers]
    finally:
        victim.kill()
        victim.start()


@pytest.fixture
def alice(cluster: Installed) -> Person:
    return accounts.register(cluster.url, "Alice")


def rests(alice: Person, number: int) -> list[Rest]:
    """Clients with connections of their own."""
    return [Rest(alice.rest.url, alice.token) for _ in range(number)]


def statuses(answers: list[requests.Response]) -> Counter[int]:
    return Counter(one.status_code for one in answers)


def test_reads_go_to_another(alice: Person, tasks: list[Process]) -> None:
    path = f"/tasks/{alice.rest.new_task()['id']}"
    send = [lambda rest=rest: rest.get(path) for rest in rests(alice, EACH)]
    assert statuses(while_one_dies(tasks[0], send)) == {200: EACH}


def changes(path: str) -> dict[str, tuple[str, str, dict[str, Any] | None]]:
    return {
        "create": ("POST", "/tasks", {"title": "Once"}),
        "patch": ("PATCH", path, {"title": "Once"}),
        "put": ("PUT", path, {"title": "Once"}),
        "delete": ("DELETE", path, None),
    }


@pytest.mark.parametrize("kind", ["create", "patch", "put", "delete"])
def test_changes_go_to_another(alice: Person, tasks: list[Process], kind: str) -> None:
    """By a key of the gateway's, where the client gave none: nobody notices anything."""
    made = [alice.rest.new_task() for _ in range(EACH)]
    send = []
    for task, rest in zip(made, rests(alice, EACH), strict=True):
        method, path, body = changes(f"/tasks/{task['id']}")[kind]
        send.append(lambda rest=rest, m=method, p=path, b=body: rest.request(m, p, json=b))
    answers = while_one_dies(tasks[0], send)
    assert statuses(answers) == {201 if kind == "create" else 200: EACH}
    left = [task["version"] for task in alice.rest.get("/tasks?limit=100").json()]
    assert left == {"create": [1] * 2 * EACH, "delete": []}.get(kind, [2] * EACH)


class Deaf:
    """In front of a process: hands it one request, and breaks the connection at the answer."""

    name = "tasks"

    def __init__(self, process: Process) -> None:
        self.process = process
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lost = b""
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with self.listener, self.listener.accept()[0] as gateway:
            gateway.settimeout(SECONDS)
            address = ("127.0.0.1", self.process.port)
            with socket.create_connection(address, timeout=SECONDS) as process:
                process.sendall(gateway.recv(65_536))
                while piece := process.recv(65_536):  # nginx asks for the connection to be closed
                    self.lost += piece
            # Without a word: not a farewell, a reset.
            gateway.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("kind", ["create", "patch", "put", "delete"])
def test_nothing_is_done_twice(
    cluster: Installed, alice: Person, tasks: list[Process], kind: str
) -> None:
    """A process has done what it was asked to, and nobody hears of it: the other one answers
    what it did."""
    deaf = Deaf(tasks[0])  # nginx begins with the first it knows
    others = [*cluster.of("users"), *cluster.of("notifications")]
    gateway = Gateway([deaf, tasks[1], *others])
    method, path, body = changes(f"/tasks/{alice.rest.new_task()['id']}")[kind]
    before = len(log_of(cluster))
    try:
        gateway.start()
        told = Rest(gateway.url, alice.token).request(method, path, json=body)
    finally:
        gateway.discard()
    deaf.thread.join(SECONDS)
    head, _, lost = deaf.lost.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == told.status_code == (201 if kind == "create" else 200)
    assert b"Idempotent-Replayed" not in head
    assert told.headers["Idempotent-Replayed"] == "true"
    assert told.json() == json.loads(lost)
    assert len(log_of(cluster)) == before + 1


def log_of(cluster: Installed) -> list[Logged]:
    return read_log(cluster.instance, cluster.settings["DATABASE_URL"])


def test_when_nobody_answers(cluster: Installed, alice: Person) -> None:
    """As the processes' own errors are."""
    answers = []
    users = cluster.of("users")
    for one in users:
        one.kill()
    try:
        answers = [alice.rest.get("/profile"), alice.rest.put("/profile", {"username": "Ada"})]
    finally:
        for one in users:
            one.start()
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (502, "no_answer")
        assert answer.json().keys() == {"error", "message", "code"}
        assert answer.headers["Retry-After"] == "1"
    assert alice.rest.get("/profile").status_code == 200


def test_a_body_that_is_kept_on_disk(alice: Person) -> None:
    """nginx writes what is longer than 16 KB into its own folder, whoever it runs as."""
    body = {"title": "Long", "description": "o" * 9_000}
    assert alice.rest.post("/tasks", body).status_code == 201
    operations = [{"op": "create", "data": body}] * 30
    assert alice.rest.post("/tasks/bulk", {"operations": operations}).status_code == 200


def test_a_body_that_is_too_long(cluster: Installed, alice: Person) -> None:
    """The processes' own answer, whichever of them or the gateway gives it."""
    long = "x" * (1 << 20)
    behind, before = (
        Rest(url, alice.token).post("/tasks", {"title": long})
        for url in (cluster.of("tasks")[0].url, cluster.url)
    )
    assert (behind.status_code, before.status_code) == (413, 413)
    assert before.json()["code"] == behind.json()["code"]


def test_passwords_are_asked_for(cluster: Installed) -> None:
    """Everybody on the machine can connect to loopback."""
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=cluster.redis.port).ping()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=cluster.postgres.port, user="postgres")
    for service in (cluster.postgres, cluster.redis):
        assert service.process is not None
        command = Path(f"/proc/{service.process.pid}/cmdline").read_text()
        assert service.password not in command
        assert service.folder.stat().st_mode & 0o077 == 0
