"""An old snapshot and the events since are a fresh snapshot, for everyone who may listen
(after Zulip's `verify_action`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_app.events import EVENTS
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Socket
from tests.support.server import Server

Snapshot = dict[int, dict[str, Any]]
ENVELOPE = {"task", "type", "seq", "epoch", "actor_id", "changes", "at", "request_id"}


def put(tasks: Snapshot, data: dict[str, Any]) -> None:
    tasks[data["task"]] = {key: value for key, value in data.items() if key not in ENVELOPE}


def drop(tasks: Snapshot, data: dict[str, Any]) -> None:
    del tasks[data["task"]]


# What a client does with an event.
APPLY: dict[str, Callable[[Snapshot, dict[str, Any]], None]] = {
    "task_created": put,
    "task_updated": put,
    "task_status_changed": put,
    "task_deleted": drop,
    "task_removed": drop,
}


class Reader:
    """Somebody with a snapshot, and a socket that hears what happens to it."""

    def __init__(self, person: Person, url: str) -> None:
        self.person = person
        self.socket = Socket().connect(url, person.token)
        self.seen: set[str] = set()

    def fresh(self) -> tuple[Snapshot, int]:
        answer = self.socket.call("list_tasks", {"limit": 1000})
        return {task["id"]: task for task in answer["tasks"]}, answer["seq"]

    def verify(self, before: Snapshot, seq: int) -> None:
        """Events after `seq`, applied to `before`, give what there is now."""
        now, _ = self.fresh()
        for name, data in self.socket.of_tasks():
            if data["seq"] > seq:
                APPLY[name](before, data)
                self.seen.add(name)
        assert before == now, self.person.username
        with self.socket.changed:
            self.socket.events.clear()


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Reader]]:
    """Owner, assignee, stranger and admin, on a server of their own: the admin's list is short."""
    server = Server(tmp_path_factory.mktemp("instance")).start()
    try:
        crew = accounts.people(server.url, "Alice", "Bob", "Charlie")
        found = [Reader(person, server.url) for person in [*crew, accounts.admin(server)]]
        yield found
        for reader in found:
            reader.socket.close()
        assert server.stop() == 0
    finally:
        server.kill()


PERSON = st.integers(0, 3)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["Sow", "Reap"]),
        "status": st.sampled_from(["todo", "in_progress", "completed"]),
        "done": st.booleans(),
        "priority": st.sampled_from(["low", "high"]),
        "due_date": st.sampled_from([None, "2026-02-28"]),
        "assigned_to": st.one_of(st.none(), PERSON),
        "user_id": PERSON,
    },
)
COMMAND = st.tuples(
    st.sampled_from(["create", "update", "update", "delete"]), PERSON, st.integers(0, 5), FIELDS
)


def run(readers: list[Reader], commands: list[tuple[str, int, int, dict[str, Any]]]) -> list[int]:
    """Do the commands, refused or not; returns the status codes."""
    made: list[int] = []
    statuses = []
    for kind, who, which, fields in commands:
        rest = readers[who].person.rest
        body = {
            key: readers[value].person.id if key in ("user_id", "assigned_to") and value in range(4)
            else value
            for key, value in fields.items()
        }  # fmt: skip
        path = f"/tasks/{made[which % len(made)]}" if made else "/tasks/0"
        if kind == "create":
            answer = rest.post("/tasks", {"title": "Plough", **body})
            made += [answer.json()["id"]] if answer.status_code == 201 else []
        else:
            answer = rest.patch(path, body) if kind == "update" else rest.delete(path)
        assert answer.status_code < 500, answer.text
        statuses.append(answer.status_code)
    return statuses


def verify(readers: list[Reader], commands: list[tuple[str, int, int, dict[str, Any]]]) -> list:
    before = [reader.fresh() for reader in readers]
    statuses = run(readers, commands)
    for reader, (snapshot, seq) in zip(readers, before, strict=True):
        reader.verify(snapshot, seq)
    return statuses


@settings(max_examples=40)
@given(commands=st.lists(COMMAND, min_size=1, max_size=8))
def test_any_commands(readers: list[Reader], commands: list) -> None:
    verify(readers, [("create", 0, 0, {"assigned_to": 1}), *commands])


def test_every_event_type(readers: list[Reader]) -> None:
    for reader in readers:
        reader.seen.clear()
    commands = [
        ("create", 0, 0, {"assigned_to": 1}),
        ("update", 1, 0, {"title": "Sow"}),
        ("update", 1, 0, {"status": "in_progress", "title": "Reap"}),
        ("update", 0, 0, {"assigned_to": None}),
        ("update", 3, 0, {"user_id": 1}),
        ("delete", 1, 0, {}),
    ]
    assert verify(readers, commands) == [201, 200, 200, 200, 200, 200]
    owner, assignee, stranger, admin = (reader.seen for reader in readers)
    everything = {name for name in EVENTS if name.startswith("task_")}
    assert owner | assignee | admin == everything == set(APPLY)
    assert "task_removed" in owner & assignee
    assert admin == everything - {"task_removed"}
    assert stranger == set()
