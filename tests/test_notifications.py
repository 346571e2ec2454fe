"""Who is told what about which task, and marking it read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask

from config import Config
from task_app import create_app
from task_app.access import SYSTEM
from task_app.commands import execute
from tests.support import accounts, databases
from tests.support.accounts import Person
from tests.support.clients import Socket, content_of
from tests.support.server import Server


def notices(person: Person, task: dict[str, Any]) -> list[tuple[str, str]]:
    """Kind and message of what somebody was told about a task, the oldest first."""
    listed = person.rest.get("/notifications").json()
    return [(one["kind"], one["message"]) for one in listed[::-1] if one["task_id"] == task["id"]]


@pytest.fixture(scope="module")
def people(server: Server) -> tuple[Person, ...]:
    """Alice, Bob and Charlie."""
    return tuple(accounts.people(server.url, "Alice", "Bob", "Charlie"))


def test_assigned_moved_completed_unassigned(people: tuple[Person, ...]) -> None:
    alice, bob, charlie = people
    task = alice.rest.new_task("Sow", assigned_to=bob.id)
    path = f"/tasks/{task['id']}"
    alice.rest.patch(path, {"status": "in_progress"})
    bob.rest.patch(path, {"done": True})
    alice.rest.patch(path, {"assigned_to": charlie.id, "title": "Reap"})
    assert notices(bob, task) == [
        ("assigned", 'You were assigned "Sow"'),
        ("moved", '"Sow" moved to "in progress"'),
        ("unassigned", 'You are no longer assigned "Sow"'),
    ]
    assert notices(alice, task) == [("completed", '"Sow" is done')]  # not of what she did herself
    assert notices(charlie, task) == [("assigned", 'You were assigned "Reap"')]


def test_other_changes_and_deletion_tell_nobody(people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    task = alice.rest.new_task(assigned_to=bob.id)
    alice.rest.patch(f"/tasks/{task['id']}", {"title": "Another", "priority": "low"})
    alice.rest.delete(f"/tasks/{task['id']}")
    assert [kind for kind, _ in notices(bob, task)] == ["assigned"]


def test_notification_reaches_its_reader_alone(
    people: tuple[Person, ...], listen: Callable[..., Socket]
) -> None:
    alice, bob, _ = people
    his, hers = listen(bob), listen(alice)
    task = alice.rest.new_task(assigned_to=bob.id)
    came = his.wait_for("notification_created")
    newest = bob.rest.get("/notifications").json()[0]
    assert newest.items() <= came.items()
    assert came["task"] == newest["task_id"] == task["id"]
    assert hers.names(task["id"]) == ["task_created"]
    assert "notification_created" not in [name for name, _ in hers.events]


def test_mark_one_read_and_unread(
    people: tuple[Person, ...], listen: Callable[..., Socket]
) -> None:
    alice, bob, _ = people
    alice.rest.new_task(assigned_to=bob.id)
    answer = bob.rest.get("/notifications")
    unread, notice = int(answer.headers["X-Unread-Count"]), answer.json()[0]
    his, path = listen(bob), f"/notifications/{notice['id']}"
    assert bob.rest.patch(path).json() == notice | {"is_read": True}
    assert his.wait_for("notification_read")["ids"] == [notice["id"]]
    answer = bob.rest.get("/notifications")
    assert int(answer.headers["X-Unread-Count"]) == unread - 1
    assert answer.json()[0] == notice | {"is_read": True}
    assert notice["id"] not in [
        one["id"] for one in bob.rest.get("/notifications?is_read=false").json()
    ]
    chunked = bob.rest.request(
        "PUT",
        path,
        data=iter([b'{"is_read": ', b"false}"]),
        headers={"Content-Type": "application/json"},
    )
    assert (chunked.status_code, chunked.json()) == (200, notice)


def test_one_anothers_cannot_be_read_or_marked(people: tuple[Person, ...]) -> None:
    alice, bob, charlie = people
    alice.rest.new_task(assigned_to=bob.id)
    notice = bob.rest.get("/notifications").json()[0]
    hidden = charlie.rest.put(f"/notifications/{notice['id']}")
    absent = charlie.rest.put("/notifications/2000000000")
    assert (hidden.status_code, content_of(hidden)) == (404, content_of(absent))
    assert bob.rest.get("/notifications").json()[0] == notice


def test_mark_all_read(people: tuple[Person, ...]) -> None:
    alice, bob, charlie = people
    for who in (bob, bob, charlie):
        alice.rest.new_task(assigned_to=who.id)
    unread = bob.rest.get("/notifications?is_read=false").json()
    answer = bob.rest.post("/notifications/read")
    assert (answer.status_code, answer.json()["read"]) == (200, len(unread))
    listed = bob.rest.get("/notifications")
    assert listed.headers["X-Unread-Count"] == "0"
    assert {one["is_read"] for one in listed.json()} == {True}
    assert int(charlie.rest.get("/notifications").headers["X-Unread-Count"]) > 0
    assert bob.rest.post("/notifications/read").json()["read"] == 0


def test_pages_the_newest_first(people: tuple[Person, ...]) -> None:
    alice, _, charlie = people
    for _ in range(3):
        alice.rest.new_task(assigned_to=charlie.id)
    whole = charlie.rest.get("/notifications").json()
    assert [one["id"] for one in whole] == sorted((one["id"] for one in whole), reverse=True)
    paged, path = [], "/notifications?limit=2"
    while path:
        page = charlie.rest.get(path)
        paged += page.json()
        path = page.links.get("next", {}).get("url", "")
    assert paged == whole


@pytest.fixture(scope="module")
def in_process(server: Server) -> Iterator[Flask]:
    """An application of this process on the server's database: what the job runs in."""
    config = Config(databases.settings_of(server.instance), async_mode="threading")
    app = create_app(config)
    with app.app_context():
        yield app


def test_due_date_near(
    people: tuple[Person, ...], in_process: Flask, listen: Callable[..., Socket]
) -> None:
    """Owner and assignee are told of a task due today or tomorrow, once for each date."""
    alice, bob, _ = people
    his = listen(bob)
    today = datetime.now(timezone.utc).date()
    day = [(today + timedelta(days=days)).isoformat() for days in range(4)]
    near = alice.rest.new_task("Sow", due_date=day[1], assigned_to=bob.id)
    others = [alice.rest.new_task("Not yet", due_date=day[3])]
    others += [alice.rest.new_task("Done", due_date=day[0], done=True), alice.rest.new_task()]
    for _ in range(2):
        execute(SYSTEM, "notification.remind", {})
    message = ("due", f'"Sow" is due on {day[1]}')
    assert notices(alice, near) == [message]
    assert notices(bob, near)[1:] == [message]
    assert [notices(alice, task) for task in others] == [[], [], []]
    # The relay of the server finds what another process committed.
    assert his.wait_for("notification_created", count=2)["message"] == message[1]
    alice.rest.patch(f"/tasks/{near['id']}", {"due_date": day[0]})
    execute(SYSTEM, "notification.remind", {})
    assert notices(alice, near) == [message, ("due", f'"Sow" is due on {day[0]}')]


def test_a_list_that_is_held_already(server: Server) -> None:
    """It has not changed until something is new to its reader."""
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    held = bob.rest.get("/notifications").headers["ETag"]
    assert bob.rest.get("/notifications", headers={"If-None-Match": held}).status_code == 304
    alice.rest.new_task(assigned_to=bob.id)
    changed = bob.rest.get("/notifications", headers={"If-None-Match": held})
    assert (changed.status_code, changed.headers["X-Unread-Count"]) == (200, "1")
    bob.rest.put(f"/notifications/{changed.json()[0]['id']}")
    read = bob.rest.get("/notifications", headers={"If-None-Match": changed.headers["ETag"]})
    assert (read.status_code, read.headers["X-Unread-Count"]) == (200, "0")
