"""Answers that need not be sent again: `ETag`, `If-None-Match`, 304."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import accounts
from tests.support.accounts import Person
from tests.support.server import Server


@pytest.fixture(scope="module")
def people(server: Server) -> tuple[Person, ...]:
    """Alice and Bob."""
    return tuple(accounts.people(server.url, "Alice", "Bob"))


def unchanged(person: Person, path: str, tag: str) -> bool:
    answer = person.rest.get(path, headers={"If-None-Match": tag})
    assert answer.status_code in (200, 304)
    assert answer.headers["ETag"]
    assert bool(answer.content) == (answer.status_code == 200)
    return answer.status_code == 304


def test_etag_of_one_task(people: tuple[Person, ...]) -> None:
    alice = people[0]
    path = f"/tasks/{alice.rest.new_task()['id']}"
    tag = alice.rest.get(path).headers["ETag"]
    for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        assert unchanged(alice, path, given), given
    assert not unchanged(alice, path, '"0"')
    alice.rest.patch(path, {"title": "Changed"})
    assert not unchanged(alice, path, tag)


def test_etag_of_a_list(people: tuple[Person, ...], admin: Person) -> None:
    alice, bob = people
    task = alice.rest.new_task()
    path = f"/tasks/{task['id']}"
    admins = admin.rest.new_task("For nobody's eyes")["id"]
    steps: list[tuple[Callable[[], Any], bool]] = [
        (lambda: admin.rest.patch(f"/tasks/{admins}", {"title": "Unseen"}), False),
        (lambda: bob.rest.get("/tasks"), False),
        (lambda: alice.rest.patch(path, {"title": "Seen"}), True),
        (lambda: alice.rest.patch(path, {"title": "Seen"}), False),  # it changes nothing
        (lambda: bob.rest.new_task("His own"), False),
        (lambda: bob.rest.new_task("For her", assigned_to=alice.id), True),
        (lambda: alice.rest.delete(path), True),
    ]
    for number, (step, visible) in enumerate(steps):
        tag = alice.rest.get("/tasks").headers["ETag"]
        assert unchanged(alice, "/tasks", tag)
        step()
        assert unchanged(alice, "/tasks", tag) is not visible, number


def test_any_list(people: tuple[Person, ...]) -> None:
    assert unchanged(people[0], "/tasks", "*")
    assert not unchanged(people[0], "/tasks", '"*"')  # a tag of that name


def test_etags_of_two_people_are_apart(people: tuple[Person, ...], admin: Person) -> None:
    tags = {who.rest.get("/tasks").headers["ETag"] for who in (*people, admin)}
    assert len(tags) == 3
    for tag in tags:
        assert sum(unchanged(who, "/tasks", tag) for who in (*people, admin)) == 1


def test_etag_when_visibility_changes(start: Callable[..., Server]) -> None:
    """The same log and another setting is another list."""
    server = start()
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    bob.rest.new_task()
    answer = alice.rest.get("/tasks")
    assert answer.json() == []
    assert server.stop() == 0
    server = start(TASK_VISIBILITY="team")
    alice.rest.url = server.url
    assert not unchanged(alice, "/tasks", answer.headers["ETag"])
    assert len(alice.rest.get("/tasks").json()) == 1
