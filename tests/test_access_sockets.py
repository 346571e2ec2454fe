"""Every command that sockets can send, and every kind of person: the table of
`test_access_matrix` for what has no URL.  A command that is not in it fails the first test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from task_app.commands import COMMANDS
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Socket, nameless
from tests.support.frames import TEXT, Bytes, frame
from tests.support.server import Server
from tests.test_access_matrix import ABSENT, WHO, things
from tests.test_access_matrix import people as _people

people = _people  # the fixture: who is who
# What each kind of person is answered: the code of an error, or None where it is done.
Row = tuple[str | None, ...]
NO, UNSEEN, OK = "unauthorized", "task_not_found", None
TABLE: dict[str, Row] = {
    "list_tasks": (NO, OK, OK, NO, OK, OK),
    "create_task": (NO, OK, OK, NO, OK, OK),
    "get_task": (NO, UNSEEN, UNSEEN, NO, OK, OK),
    "update_task": (NO, UNSEEN, UNSEEN, NO, OK, OK),
    "delete_task": (NO, UNSEEN, UNSEEN, NO, OK, OK),
    "list_notifications": (NO, OK, OK, NO, OK, OK),
    "read_notification": (NO, *["notification_not_found"] * 2, NO, OK, "notification_not_found"),
    "read_notifications": (NO, OK, OK, NO, OK, OK),
}
NOT_FOUND = (UNSEEN, "notification_not_found")
PAYLOADS: dict[str, dict[str, Any]] = {
    "create_task": {"title": "Sow"},
    "update_task": {"title": "Reap"},
}


def test_every_command_of_the_sockets_is_in_the_table() -> None:
    assert {row.event for row in COMMANDS.values() if row.event} == TABLE.keys()


@pytest.fixture(scope="module")
def anonymous(server: Server) -> Iterator[Socket]:
    socket = Socket().connect(server.url)
    yield socket
    socket.close()


@pytest.mark.fault("access")
@pytest.mark.parametrize("event", TABLE)
def test_who_may(
    anonymous: Socket, people: dict[str, Person | None], server: Server, event: str
) -> None:
    """By the token in the payload, which goes the way of the connection's own."""
    given, ids = [], things(people)
    name = "notification_id" if "notification" in event else "task_id"
    for person in people.values():
        payload = dict(PAYLOADS.get(event, {}))
        if event.endswith(("_task", "_notification")) and event != "create_task":
            payload["id"] = ids[name]
        if person is not None:
            payload["token"] = person.token
        answer = anonymous.call(event, payload)
        given.append(answer.get("code"))
        if given[-1] in NOT_FOUND:  # in the words for what does not exist
            absent = anonymous.call(event, payload | {"id": ABSENT})
            assert nameless(absent) == nameless(answer)
        if given[-1] is None and event == "delete_task":
            ids = things(people)  # each finds it there
    assert dict(zip(WHO, given, strict=True)) == dict(zip(WHO, TABLE[event], strict=True))


# What a client might ask to hear what others do.
WISHES = [
    ("join", {"room": "user:{id}"}),
    ("join_room", {"room": "role:admin"}),
    ("subscribe", {"room": "all", "user_id": "{id}"}),
    ("enter_room", {"channel": "user:{id}"}),
    ("connect", {"user_id": "{id}"}),
]


def wishes(victim: Person) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, {key: value.replace("{id}", str(victim.id)) for key, value in payload.items()})
        for name, payload in WISHES
    ]


@pytest.fixture(scope="module")
def pair(server: Server) -> list[Person]:
    """Alice, who would like to hear more, and Bob."""
    return accounts.people(server.url, "Alice", "Bob")


@pytest.mark.fault("wishes")
def test_nobody_joins_anothers_room_on_socketio(
    pair: list[Person], listen: Callable[..., Socket]
) -> None:
    alice, bob = pair
    socket = listen(alice)
    for name, payload in wishes(bob):
        if name != "connect":
            assert socket.call(name, payload)["code"] == "unknown_event"
        else:
            socket.emit(name, payload)
    hidden, mine = bob.rest.new_task("Hidden"), alice.rest.new_task("Mine")
    assert [data["task"] for _, data in socket.of_tasks()] == [mine["id"]]
    assert socket.names(hidden["id"]) == []


@pytest.mark.fault("wishes")
@pytest.mark.parametrize("path", ["/ws/native", "/api/v1/ws", "/ws", "/ws/tasks/"])
def test_nobody_joins_anothers_room_on_a_raw_websocket(
    server: Server, pair: list[Person], path: str
) -> None:
    """Neither by a message nor by the URL."""
    alice, bob = pair
    ws = Bytes(server, f"{path}?user_id={bob.id}&room=role:admin&rooms=all", headers=alice.header)
    ready = ws.read()
    assert ready and ready.json["user_id"] == alice.id
    for name, payload in wishes(bob):
        ws.send(frame(TEXT, json.dumps({"type": name, "data": payload}).encode()))
        refused = ws.read()
        assert refused and refused.json["code"] == "unknown_event", payload
    bob.rest.new_task("Hidden")
    alice.rest.new_task("Mine")
    event = ws.read()
    assert event and b"Mine" in event.payload
    ws.end()
