"""Who has an account, and who is here; what happened to tasks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support import accounts, databases
from tests.support.accounts import Person
from tests.support.clients import Rest, Socket
from tests.support.server import Server

Listen = Callable[..., Socket]


def everybody(rest: Rest, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    path: str | None = f"/people?limit=1000{query}"
    while path:
        answer = rest.get(path)
        assert answer.status_code == 200
        found |= {person["username"]: person for person in answer.json()}
        path = answer.links.get("next", {}).get("url")
    return found


def test_names_and_nothing_else(people: tuple[Person, ...], admin: Person) -> None:
    alice, bob, charlie = people
    admin.rest.patch(f"/users/{charlie.id}", {"is_active": False})
    found = everybody(alice.rest)
    assert set(found[bob.username]) == {"id", "username", "is_active", "here"}
    assert found[bob.username]["id"] == bob.id
    assert found[charlie.username]["is_active"] is False  # whose tasks are still there


def test_pages(people: tuple[Person, ...]) -> None:
    alice, *_ = people
    first = alice.rest.get("/people?limit=1")
    second = alice.rest.get(first.links["next"]["url"])
    assert len(first.json()) == len(second.json()) == 1
    assert first.json()[0]["id"] < second.json()[0]["id"]
    assert alice.rest.get("/people?cursor=x").status_code == 400


def test_who_is_here(people: tuple[Person, ...], listen: Listen) -> None:
    alice, bob, charlie = people
    listen(bob)
    here = everybody(alice.rest, "&here=true")
    assert bob.username in here and charlie.username not in here
    assert all(person["here"] for person in here.values())
    away = everybody(alice.rest, "&here=false")
    assert charlie.username in away and bob.username not in away


def test_who_is_at_another_process(server: Server, people: tuple[Person, ...]) -> None:
    """As that process said in its row, for as long as it goes on saying so."""
    alice, bob, charlie = people
    now = datetime.now(timezone.utc)
    for name, age, person in (("living", 1, bob), ("silent", 60, charlie)):
        seen = (now - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        row = {"id": name, "people": f"[{person.id}]", "seen": seen}
        databases.run(
            server.instance,
            "INSERT INTO processes (id, clients, signed_in, people, seen_at) "
            "VALUES (:id, 1, 1, :people, :seen)",
            **row,
        )
    try:
        found = everybody(alice.rest)
    finally:
        gone = "DELETE FROM processes WHERE id IN ('living', 'silent')"
        databases.run(server.instance, gone)
    assert found[bob.username]["here"] is True
    assert found[charlie.username]["here"] is False


# --- activity


def activity(person: Person, query: str = "") -> list[Any]:
    answer = person.rest.get(f"/activity{query}")
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()
    return found


def test_who_changed_what(people: tuple[Person, ...]) -> None:
    alice, bob, charlie = people
    task = alice.rest.new_task("Sow", assigned_to=bob.id)
    bob.rest.put(f"/tasks/{task['id']}", {"status": "in progress", "description": "Two rows"})
    alice.rest.delete(f"/tasks/{task['id']}")
    gone, moved, made = activity(alice)
    assert [one["type"] for one in (gone, moved, made)] == [
        "task_deleted",
        "task_status_changed",
        "task_created",
    ]
    assert (moved["actor"], moved["actor_id"]) == (bob.username, bob.id)
    assert moved["changes"] == ["description", "status"] or set(moved["changes"]) == {
        "description",
        "status",
    }
    assert moved["task"]["status"] == "in_progress"
    assert "description" not in moved["task"]
    assert activity(bob) == [gone, moved, made]  # Bob saw them all; his notifications are none
    assert activity(charlie) == []


def test_what_one_lost_sight_of(people: tuple[Person, ...]) -> None:
    """As live: what happened after it is nobody's who cannot see the task."""
    alice, bob, _ = people
    task = alice.rest.new_task("Sow", assigned_to=bob.id)
    alice.rest.put(f"/tasks/{task['id']}", {"assigned_to": None})
    alice.rest.put(f"/tasks/{task['id']}", {"title": "A secret"})
    removed, made = activity(bob)
    assert (removed["type"], removed["task"]) == ("task_removed", None)
    assert made["type"] == "task_created"
    assert "secret" not in str(activity(bob))


def test_pages_of_activity(people: tuple[Person, ...]) -> None:
    """Of a log in which most of what Alice may see is notifications."""
    alice, bob, _ = people
    task = alice.rest.new_task("Sow", assigned_to=bob.id)
    for status in ("in progress", "todo") * 3:
        bob.rest.put(f"/tasks/{task['id']}", {"status": status})
    whole = activity(alice)
    assert len(whole) == 7
    found: list[Any] = []
    path: str | None = "/activity?limit=2"
    while path:
        answer = alice.rest.get(path)
        assert len(answer.json()) <= 2
        found += answer.json()
        path = answer.links.get("next", {}).get("url")
    assert found == whole


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=-1", "cursor=9223372036854775808", "limit=201"]
)
def test_bad_query(alice: Person, query: str) -> None:
    assert alice.rest.get(f"/activity?{query}").status_code == 400


def test_nobody_sees_what_was_before_the_rule_changed(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    """Events that everybody could see are not read by everybody once tasks are private."""
    team = start(tmp_path, TASK_VISIBILITY="team")
    alice, bob = accounts.people(team.url, "Alice", "Bob")
    alice.rest.new_task("Sow")
    assert [one["type"] for one in activity(bob)] == ["task_created"]
    assert team.stop() == 0
    private = start(tmp_path)
    again = accounts.sign_in(private.url, bob.username, accounts.PASSWORD)
    assert activity(again) == []
