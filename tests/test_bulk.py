"""Up to 500 creates, changes and deletes in one request: all or none, in one commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Socket
from tests.support.server import Server

MOST = 500


@pytest.fixture(scope="module")
def people(server: Server) -> tuple[Person, ...]:
    """Alice and Bob."""
    return tuple(accounts.people(server.url, "Alice", "Bob"))


def send(person: Person, *operations: Any, **options: Any) -> requests.Response:
    return person.rest.post("/tasks/bulk", {"operations": list(operations)}, **options)


def create(title: str = "Sow", **fields: Any) -> dict[str, Any]:
    return {"op": "create", "data": {"title": title, **fields}}


def test_create_change_delete(people: tuple[Person, ...]) -> None:
    alice, _ = people
    kept, gone = alice.rest.new_task("Kept"), alice.rest.new_task("Gone")
    change = {"op": "update", "id": kept["id"], "data": {"done": True}, "if_match": 1}
    answer = send(alice, create("New"), change, {"op": "delete", "id": gone["id"]})
    assert answer.status_code == 200
    made, changed, deleted = answer.json()["results"]
    assert (made["op"], made["status"], made["task"]["title"]) == ("create", 201, "New")
    assert (changed["op"], changed["status"], changed["task"]["done"]) == ("update", 200, True)
    assert deleted == {"op": "delete", "status": 200, "id": gone["id"], "task": None}
    for one in (made, changed):
        assert alice.rest.get(f"/tasks/{one['id']}").json() == one["task"]
    assert alice.rest.get(f"/tasks/{gone['id']}").status_code == 404


@pytest.mark.parametrize(
    ("prefix", "key", "word"),
    [("", "status", "todo"), ("/api/v1", "status", "ToDo"), ("/api", "assigned_user", None)],
)
def test_each_dialect(people: tuple[Person, ...], prefix: str, key: str, word: object) -> None:
    body = {"operations": [create()]}
    [one] = people[0].rest.post(f"{prefix}/tasks/bulk", body).json()["results"]
    assert one["task"][key] == word


def test_most_in_one_commit(people: tuple[Person, ...], listen: Callable[..., Socket]) -> None:
    """500 events whose numbers follow one another, though another writes at the same time."""
    alice, bob = people
    socket = listen(alice)
    operations = [create(f"Task {number}") for number in range(MOST)]
    bob.rest.new_task()
    answer = send(alice, *operations)
    assert answer.status_code == 200
    ids = [one["id"] for one in answer.json()["results"]]
    # More than may wait for one client at once: the rest comes from the log, after this answer.
    socket.wait_for(lambda _, data: data.get("task") == ids[-1])
    came = [(data["task"], data["seq"]) for _, data in socket.of_tasks()]
    assert [task for task, _ in came] == ids
    first = came[0][1]
    assert [seq for _, seq in came] == list(range(first, first + MOST))


# Operations of which the one in the middle cannot be done; its status and code.
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no title": ({"op": "create", "data": {}}, 400, "validation_failed"),
    "unknown field": (create(colour="red"), 400, "validation_failed"),
    "no such user": (create(assigned_to=2000000000), 400, "validation_failed"),
    "another's name": (create(user_id=1), 403, "forbidden"),
    "no such operation": ({"op": "upsert", "data": {"title": "x"}}, 400, "validation_failed"),
    "no such task": ({"op": "delete", "id": 2000000000}, 404, "task_not_found"),
    "unseen task": ({"op": "delete", "id": "unseen"}, 404, "task_not_found"),
    "no id": ({"op": "update", "data": {"title": "x"}}, 400, "validation_failed"),
    "old version": (
        {"op": "update", "id": "own", "data": {"title": "x"}, "if_match": 7},
        412,
        "version_conflict",
    ),
}


@pytest.mark.fault("mass")
@pytest.mark.parametrize(("bad", "status", "code"), BAD.values(), ids=BAD)
def test_all_or_nothing(
    people: tuple[Person, ...],
    listen: Callable[..., Socket],
    bad: dict[str, Any],
    status: int,
    code: str,
) -> None:
    alice, bob = people
    named = {"own": alice.rest.new_task()["id"], "unseen": bob.rest.new_task()["id"]}
    bad = {**bad, "id": named.get(bad["id"], bad["id"])} if "id" in bad else bad
    before = alice.rest.get("/tasks?limit=1000").json()
    socket = listen(alice)
    change = {"op": "update", "id": named["own"], "data": {"title": "Changed"}}
    answer = send(alice, create(), change, bad, create())
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["index"] == 2
    assert alice.rest.get("/tasks?limit=1000").json() == before
    assert socket.of_tasks() == []


def test_conflict_carries_the_task_in_its_dialect(people: tuple[Person, ...]) -> None:
    task = people[0].rest.post("/api/v1/tasks", {"title": "Sow"}).json()
    late = {"op": "update", "id": task["id"], "data": {}, "if_match": 7}
    answer = people[0].rest.post("/api/v1/tasks/bulk", {"operations": [late]})
    assert (answer.status_code, answer.json()["current"]) == (412, task)


@pytest.mark.fault("bodies")
@pytest.mark.parametrize(
    "body",
    [
        {"operations": [create()] * (MOST + 1)},
        {"operations": []},
        {"operations": [7]},
        {"operations": {}},
        {},
        [create()],
    ],
    ids=["501", "none", "no object", "object", "empty", "list"],
)
def test_what_is_no_bulk(people: tuple[Person, ...], body: Any) -> None:
    before = people[1].rest.get("/tasks").json()
    answer = people[1].rest.post("/tasks/bulk", body)
    assert answer.status_code == 400
    assert people[1].rest.get("/tasks").json() == before


def test_retry_with_its_key(people: tuple[Person, ...]) -> None:
    key = {"Idempotency-Key": "bulk"}
    first, again = (send(people[1], create(), headers=key) for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert again.headers["Idempotent-Replayed"] == "true"
