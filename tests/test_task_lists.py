"""Lists of tasks: filters, order, search, bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from task_app import task_lists
from tests.support import accounts, databases
from tests.support.accounts import Person
from tests.support.clients import Socket, nameless
from tests.support.frames import TEXT, frame, signed_in
from tests.support.server import Server

# Title, and what differs from a plain task.
TASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "urgent": {"priority": "high", "due_date": "2030-01-10"},
    "later": {"priority": "low", "due_date": "2030-02-20", "status": "in_progress"},
    "finished": {"status": "completed", "due_date": "2030-01-20"},
    "for Bob": {"assigned_to": "bob", "priority": "low"},
}
FILTERS = [
    ("status=todo", {"plain", "urgent", "for Bob"}),
    ("status=Pending", {"plain", "urgent", "for Bob"}),
    ("status=In%20Progress", {"later"}),
    ("status=completed", {"finished"}),
    ("done=true", {"finished"}),
    ("done=false", {"plain", "urgent", "later", "for Bob"}),
    ("completed=1", {"finished"}),
    ("priority=low", {"later", "for Bob"}),
    ("priority=High", {"urgent"}),
    ("due_date=2030-01-20", {"finished"}),
    ("due_before=2030-01-20", {"urgent"}),
    ("due_after=2030-01-10", {"later", "finished"}),
    ("due_after=2030-01-10&due_before=2030-02-20", {"finished"}),
    ("assigned_to={bob}", {"for Bob"}),
    ("assigned_user={bob}", {"for Bob"}),
    ("assignee={bob}", {"for Bob"}),
    ("user_id={bob}", set()),
    ("user_id={alice}&priority=low&status=todo", {"for Bob"}),
    ("priority=low&done=false&due_before=2031-01-01", {"later"}),
    ("q=UR&priority=high", {"urgent"}),
]
SORTS = {
    "id": ["plain", "urgent", "later", "finished", "for Bob"],
    "created_at": ["plain", "urgent", "later", "finished", "for Bob"],
    "updated_at": ["urgent", "later", "finished", "for Bob", "plain"],
    "due_date": ["urgent", "finished", "later", "plain", "for Bob"],
    "priority": ["later", "for Bob", "plain", "finished", "urgent"],
    "title": ["finished", "for Bob", "later", "plain", "urgent"],
}


@pytest.fixture(scope="module")
def people(server: Server) -> tuple[Person, ...]:
    """Alice with the tasks of the table, and Bob."""
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    made = {}
    for title, fields in TASKS.items():
        if "assigned_to" in fields:
            fields = {**fields, "assigned_to": bob.id}
        made[title] = alice.rest.new_task(title, **fields)
    alice.rest.patch(f"/tasks/{made['plain']['id']}", {"description": "changed last"})
    return alice, bob


def titles(person: Person, query: str) -> list[str]:
    answer = person.rest.get(f"/tasks?{query}")
    assert answer.status_code == 200, answer.text
    return [task["title"] for task in answer.json()]


@pytest.mark.parametrize(("query", "wanted"), FILTERS)
def test_filters(people: tuple[Person, ...], admin: Person, query: str, wanted: set[str]) -> None:
    alice, bob = people
    query = query.format(alice=alice.id, bob=bob.id)
    assert set(titles(alice, query)) == wanted
    assert set(titles(bob, query)) == wanted & {"for Bob"}
    if "user_id" not in query:  # an admin reads along other indexes
        assert set(titles(admin, f"{query}&user_id={alice.id}")) == wanted


@pytest.mark.parametrize("sort", SORTS)
def test_sorts(people: tuple[Person, ...], admin: Person, sort: str) -> None:
    """Both ways, with the id deciding between equals; the same for a member and an admin."""
    for person, query in ((people[0], ""), (admin, f"&user_id={people[0].id}")):
        assert titles(person, f"sort={sort}{query}") == SORTS[sort]
        assert titles(person, f"sort=-{sort}{query}") == SORTS[sort][::-1]


@pytest.mark.parametrize("sort", [sign + name for name in SORTS for sign in ("", "-")])
def test_pages_of_each_sort(people: tuple[Person, ...], admin: Person, sort: str) -> None:
    for person, query in ((people[0], ""), (admin, f"&user_id={people[0].id}")):
        paged, path = [], f"/tasks?limit=2&sort={sort}{query}"
        while path:
            page = person.rest.get(path)
            paged += [task["title"] for task in page.json()]
            path = page.links.get("next", {}).get("url", "")
        assert paged == titles(person, f"sort={sort}{query}")


# Past the server: ten thousand statements of its own take PostgreSQL ten seconds.
MANY = """
    INSERT INTO tasks
        (title, status, priority, user_id, created_by, created_at, updated_at, version)
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
    SELECT 'aa', 'todo', 'medium', :eve, :eve, '2026-01-31', '2026-01-31', 1 FROM numbers
"""


def test_one_person_among_many_tasks(server: Server, admin: Person) -> None:
    """An admin's first page of one person's tasks is whole, however many others have some: it is
    no window of everybody's."""
    dora, eve = accounts.people(server.url, "Dora", "Eve")
    dora.rest.new_task("zz last of all by title", assigned_to=eve.id, status="in_progress")
    added = databases.run(server.instance, MANY, last=task_lists.WINDOW, eve=eve.id)
    assert len(added) == task_lists.WINDOW
    for query in (f"user_id={dora.id}", f"user_id={dora.id}&assigned_to={eve.id}"):
        for rest in ("sort=title", "sort=-id", "q=LAST", "status=in_progress&sort=updated_at"):
            assert titles(admin, f"{query}&{rest}") == ["zz last of all by title"]
    assert titles(admin, f"user_id={dora.id}&assigned_to={dora.id}") == []


LITERAL = ["100% sure", "snake_case", "back\\slash", "it's", "drop -- table", "Zoë", "a+b&c=d"]


@pytest.fixture(scope="module")
def charlie(server: Server) -> Person:
    """Charlie has tasks with odd titles, or descriptions."""
    charlie = accounts.register(server.url, "Charlie")
    for text in LITERAL[::2]:
        charlie.rest.new_task(text)
    for text in LITERAL[1::2]:
        charlie.rest.new_task("Described", description=f"before {text} after")
    charlie.rest.new_task("100 sure snakecase backslash its drop table")
    return charlie


@pytest.mark.fault("queries")
@pytest.mark.parametrize("text", [*LITERAL, "%", "_", "\\", "'", "--", "\\%"])
def test_search_is_literal(charlie: Person, admin: Person, text: str) -> None:
    wanted = sum(text in title for title in LITERAL)
    for query in (f"q={quote(text)}", f"q={quote(text.upper())}"):
        assert len(titles(charlie, query)) == wanted or not text.isascii()
    assert len(titles(admin, f"q={quote(text)}&user_id={charlie.id}")) == wanted


@pytest.mark.fault("queries")
@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={value}", "limit") for value in (0, -1, 1001, 10**9, "", "x", "1.5")),
        *((f"sort={value}", "sort") for value in ("", "x", "--id", "id,title", "id;drop")),
        *((f"cursor={value}", "cursor") for value in ("x", "%00", "W10", "e30", "A" * 2000)),
        ("sort=title&cursor=WyJ0aXRsZSIsIlx1MDAwMCIsMV0", "cursor"),  # ["title", NUL, 1]
        ("status=someday", "status"),
        ("priority=urgent", "priority"),
        ("done=maybe", "done"),
        ("due_date=2026-02-30", "due_date"),
        ("due_before=tomorrow", "due_before"),
        ("updated_since=2026-01-01", "updated_since"),
        ("assigned_to=me", "assigned_to"),
        ("q=", "q"),
        ("colour=red", "colour"),
    ],
)
def test_what_cannot_be_asked(people: tuple[Person, ...], query: str, field: str) -> None:
    answer = people[0].rest.get(f"/tasks?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


# What a socket's client may ask besides: the values are JSON's.
ODD = [
    *(("limit", value) for value in (0, -1, 1001, 10**9, 2**63, 1.5, True, "x", [1], {})),
    *(("sort", value) for value in ("", "x", "--id", "id;drop", 1, ["id"])),
    *(("cursor", value) for value in ("x", "\0", "W10", "e30", 7, "A" * 2000)),
    *(("q", value) for value in ("", " ", "a\0b", "x" * 10_001, ["%"])),
    *(("status", value) for value in ("someday", 1, None)),
    ("colour", "red"),
]


@pytest.mark.fault("queries")
def test_what_cannot_be_asked_over_a_socket(
    people: tuple[Person, ...], listen: Callable[..., Socket], server: Server
) -> None:
    alice = people[0]
    socket, raw = listen(alice), signed_in(server, alice.token, "/ws/native")
    for field, value in ODD:
        refused = socket.call("list_tasks", {field: value})
        assert (refused["code"], list(refused["errors"])) == ("validation_failed", [field]), value
        message = {"type": "list_tasks", "data": {field: value}}
        raw.send(frame(TEXT, json.dumps(message).encode()))
        came = raw.read()
        assert came and nameless(came.json) == {"type": "error", "status": 400, **nameless(refused)}
    raw.end()


@pytest.mark.fault("queries")
def test_search_over_a_socket_is_literal(charlie: Person, listen: Callable[..., Socket]) -> None:
    socket = listen(charlie)
    for text in [*LITERAL, "%", "_", "\\", "'", "--", "\\%"]:
        found = socket.call("list_tasks", {"q": text})["tasks"]
        assert len(found) == sum(text in title for title in LITERAL), text
