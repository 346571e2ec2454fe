"""Pages under writes, what changed since, and where to subscribe from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest, Socket
from tests.support.server import Server


@pytest.fixture(scope="module")
def people(server: Server) -> tuple[Person, ...]:
    """Alice and Bob."""
    return tuple(accounts.people(server.url, "Alice", "Bob"))


def fill(person: Person, number: int) -> list[int]:
    """Ids of so many new tasks, made in one request."""
    create = [{"op": "create", "data": {"title": f"Task {i}"}} for i in range(number)]
    answer = person.rest.post("/tasks/bulk", {"operations": create})
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["results"]]


@pytest.mark.parametrize("sort", ["id", "-id", "title", "-updated_at"])
def test_pages_while_others_write(server: Server, sort: str) -> None:
    """No task is listed twice, and none that was there all the time is left out."""
    alice = accounts.register(server.url, "Alice")
    there = fill(alice, 60)
    writer, stop, made = Rest(server.url, alice.token), threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            made.append(writer.new_task("Task 3 and a half")["id"])

    writing = threading.Thread(target=write)
    writing.start()
    listed: list[int] = []
    path = f"/tasks?limit=7&sort={sort}"
    try:
        while path:
            page = alice.rest.get(path)
            listed += [task["id"] for task in page.json()]
            path = page.links.get("next", {}).get("url", "")
            if len(listed) > 50:
                stop.set()
    finally:
        stop.set()
        writing.join()
    assert made
    assert len(listed) == len(set(listed))
    assert set(there) <= set(listed) <= {*there, *made}


def test_link_keeps_the_question(people: tuple[Person, ...]) -> None:
    alice = people[0]
    for number in range(3):
        alice.rest.new_task(f"a&b=c {number}", status="in_progress")
    page = alice.rest.get("/api/tasks/?status=InProgress&limit=2&q=a%26b%3Dc")
    following = page.links["next"]["url"]
    assert following.startswith("/api/tasks")
    [last] = alice.rest.get(following).json()
    assert last["title"] == "a&b=c 2"
    assert "Link" not in alice.rest.get(following).headers


def test_cursor_of_another_sort(people: tuple[Person, ...]) -> None:
    fill(people[0], 2)
    link = people[0].rest.get("/tasks?limit=1&sort=title").links["next"]["url"]
    for sort in ("-title", "id", "priority", "due_date", "updated_at"):
        answer = people[0].rest.get(link.replace("sort=title", f"sort={sort}"))
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["cursor"])


def test_updated_since(people: tuple[Person, ...]) -> None:
    alice = people[0]
    old, changed = alice.rest.new_task(), alice.rest.new_task()
    since = alice.rest.patch(f"/tasks/{changed['id']}", {"title": "New"}).json()["updated_at"]
    new = alice.rest.new_task()
    for moment in (since, since.replace("Z", "+00:00")):
        found = alice.rest.get(f"/tasks?updated_since={quote(moment)}").json()
        assert [task["id"] for task in found] == [changed["id"], new["id"]]
        assert old["id"] not in [task["id"] for task in found]
    assert alice.rest.get(f"/tasks?updated_since={since.replace('Z', '+00:00')}").json() == found


def test_list_then_subscribe(people: tuple[Person, ...], listen: Callable[..., Socket]) -> None:
    """`X-Event-Seq` is that of the list's own snapshot: every later event, and none of before."""
    alice = people[0]
    socket = listen(alice)
    before = alice.rest.new_task()
    answer = alice.rest.get("/tasks")
    seq, epoch = int(answer.headers["X-Event-Seq"]), answer.headers["X-Event-Epoch"]
    after = alice.rest.new_task()
    events = {data["task"]: data for _, data in socket.of_tasks()}
    assert events[before["id"]]["seq"] <= seq < events[after["id"]]["seq"]
    assert before in answer.json()
    assert {event["epoch"] for event in events.values()} == {epoch}
    same = alice.rest.get(
        "/tasks", headers={"If-None-Match": alice.rest.get("/tasks").headers["ETag"]}
    )
    assert (same.status_code, same.headers["X-Event-Epoch"]) == (304, epoch)
    assert int(same.headers["X-Event-Seq"]) >= events[after["id"]]["seq"]
