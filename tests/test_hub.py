"""No client keeps the server from the others, whatever it does not read."""

from __future__ import annotations

import contextlib
import json

import requests

from tests.support.accounts import Person
from tests.support.server import Server

LONG = "\n" * 10_000  # 20 000 characters once encoded


def test_a_replay_of_long_tasks_to_who_does_not_read(server: Server, alice: Person) -> None:
    """Few enough messages and too many bytes: room for one bound was none for the other, and
    the replay asked both for ever without a pause."""
    operations = [
        {"op": "create", "data": {"title": "Long", "description": LONG}} for _ in range(45)
    ]
    for _ in range(2):
        made = alice.rest.post("/tasks/bulk", {"operations": operations})
        assert made.status_code == 200
    opened = requests.get(f"{server.url}/socket.io/?EIO=4&transport=polling", timeout=5)
    sid = json.loads(opened.text[1:])["sid"]
    connect = "40" + json.dumps({"token": alice.token, "since": 0})
    url = f"{server.url}/socket.io/?EIO=4&transport=polling&sid={sid}"
    with contextlib.suppress(requests.Timeout):
        # The answer waits for the reader; the server must not.
        requests.post(url, data=connect, timeout=0.5)
    for _ in range(5):
        assert requests.get(f"{server.url}/health", timeout=5).status_code == 200


def test_one_message_longer_than_the_room_that_is_left(
    server: Server, alice: Person, admin: Person
) -> None:
    for _ in range(10):
        alice.rest.post("/tasks", {"title": "Long", "description": "x" * 9_000})
    admin.rest.post("/broadcast", {"type": "long", "data": "x" * 1_000_000})
    headers = {"Authorization": f"Bearer {alice.token}"}
    with requests.get(
        f"{server.url}/events?since=0", headers=headers, stream=True, timeout=10
    ) as stream:
        assert stream.status_code == 200, stream.text
        names = [line for line in _lines(stream) if line.startswith("event: ")]
    assert names.count("event: task_created") == 10, names
    assert names[-2:] == ["event: broadcast", "event: ready"]


def _lines(stream: requests.Response) -> list[str]:
    lines: list[str] = []
    for line in stream.iter_lines(chunk_size=65536, decode_unicode=True):
        lines.append(line)
        if line == "event: ready":
            return lines
    return lines
