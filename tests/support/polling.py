"""A Socket.IO client by HTTP alone: what waits for it stays with the server until it polls, so a
replay can be held up anywhere."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.support.accounts import Person
from tests.support.server import Server
from tests.support.snapshots import Background

SEPARATOR = "\x1e"


class Polling:
    """One Engine.IO session.  `events` is what `take` was given, in order: (name, payload)."""

    def __init__(self, server: Server) -> None:
        self.http = requests.Session()
        self.http.trust_env = False
        self.address = f"{server.url}/socket.io/?EIO=4&transport=polling"
        opened = self.http.get(self.address, timeout=5)
        self.address += f"&sid={json.loads(opened.text[1:])['sid']}"
        self.events: list[tuple[str, Any]] = []

    def get(self) -> requests.Response:
        return self.http.get(self.address, timeout=15)

    def post(self, *packets: str) -> requests.Response:
        """In a connection of its own: an answer may wait for a poll."""
        data = SEPARATOR.join(packets).encode()
        return requests.post(self.address, data=data, timeout=20)

    def connect(self, person: Person, **where: Any) -> None:
        assert self.post("40" + json.dumps({"token": person.token, **where})).text == "OK"
        self.until('42["ready"')

    def until(self, beginning: str, count: int = 1) -> list[str]:
        """So many packets that begin like this, from as many polls as it takes."""
        found: list[str] = []
        while len(found) < count:
            came = self.get()
            assert came.status_code == 200, came.text
            found += [one for one in came.text.split(SEPARATOR) if one.startswith(beginning)]
        return found

    def emit(self, name: str, payload: dict[str, Any]) -> Background:
        """Send an event beside the test; `finish` waits for the server to have handled it."""
        return Background(self.post, "42" + json.dumps([name, payload]))

    def begin(self, person: Person, **where: Any) -> Background:
        """Connect, and poll until the first event of the replay has come."""
        greeting = Background(self.post, "40" + json.dumps({"token": person.token, **where}))
        self.take("task_created")
        return greeting

    def take(self, name: str, count: int = 1) -> None:
        """Poll until so many events of this name have come in all."""
        while len([one for one, _ in self.events if one == name]) < count:
            came = self.get()
            assert came.status_code == 200, came.text
            for packet in came.text.split(SEPARATOR):
                if packet == "2":
                    self.post("3")  # Engine.IO's ping
                elif packet.startswith("42"):
                    event, payload = json.loads(packet[2:])
                    self.events.append((event, payload))

    def tasks(self, after: str = "") -> list[int]:
        """The seq of each event about a task, in order; those that came after the last `after`."""
        names = [name for name, _ in self.events]
        start = len(names) - names[::-1].index(after) if after else 0
        return [body["seq"] for name, body in self.events[start:] if name.startswith("task_")]
