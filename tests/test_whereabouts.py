"""Who is here, told over the live connection to whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from task_app.realtime.whereabouts import MOST
from tests.support import databases
from tests.support.accounts import Person
from tests.support.clients import Socket
from tests.support.server import Server
from tests.support.taps import RawTap, Tap

Listen = Callable[..., Socket]


class Watcher:
    """A client that wants to know, by either kind of socket."""

    def __init__(self, kind: str, listen: Listen, server: Server, person: Person) -> None:
        self.tap: Tap | None = None
        if kind == "raw":
            self.tap = RawTap(server.url, "/ws/native", "native", person, people=True)
        else:
            self.socket = listen(person, auth={"token": person.token, "people": True})

    def wait(self, wanted: Callable[[list[Any]], bool]) -> Any:
        """The first message after the last that was waited for whose names satisfy this."""
        if self.tap is not None:
            return self.tap.wait(lambda name, body: name == "people" and wanted(body["here"]))
        return self.socket.wait_for(lambda name, body: name == "people" and wanted(body["here"]))

    def forget(self) -> None:
        heard = self.tap.sent if self.tap is not None else self.socket.events
        heard.clear()

    def close(self) -> None:
        if self.tap is not None:
            self.tap.close()


@pytest.mark.parametrize("kind", ["raw", "socketio"])
def test_who_comes_and_who_goes(
    server: Server, people: tuple[Person, ...], listen: Listen, kind: str
) -> None:
    alice, bob, _ = people
    one = Watcher(kind, listen, server, alice)
    hers, his = ({"id": who.id, "username": who.username} for who in (alice, bob))
    first = one.wait(lambda here: hers in here)
    assert set(first) - {"type"} == {"here", "count"}
    assert first["count"] == len(first["here"]) < MOST
    assert his not in first["here"]
    there = listen(bob)
    one.wait(lambda here: his in here)
    if kind == "raw":  # gone for good, and not to load a page anew: that takes its time
        one.forget()
        there.close()
        one.wait(lambda here: hers in here and his not in here)
    one.close()


def test_who_is_at_another_process(
    server: Server, people: tuple[Person, ...], listen: Listen
) -> None:
    alice, bob, _ = people
    one = Watcher("socketio", listen, server, alice)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    databases.run(
        server.instance,
        "INSERT INTO processes (id, clients, signed_in, people, seen_at) "
        "VALUES ('other', 1, 1, :people, :seen)",
        people=f"[{bob.id}]",
        seen=now,
    )
    try:
        one.wait(lambda here: any(person["id"] == bob.id for person in here))
    finally:
        databases.run(server.instance, "DELETE FROM processes WHERE id = 'other'")


def test_nobody_is_told_who_did_not_ask(
    server: Server, people: tuple[Person, ...], listen: Listen
) -> None:
    alice, bob, charlie = people
    one, another = Watcher("socketio", listen, server, alice), listen(bob)
    listen(charlie)
    one.wait(lambda here: any(person["id"] == charlie.id for person in here))
    assert another.call("list_tasks", {})["tasks"] == []  # an answer follows what was sent before
    assert "people" not in [name for name, _ in another.events]
