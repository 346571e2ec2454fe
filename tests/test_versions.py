"""Nobody overwrites anybody, and a retry does nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults import form
from tests.faults.checker import finish_one
from tests.faults.figures import figure
from tests.faults.recorder import Recorder
from tests.support.accounts import Person
from tests.support.clients import Rest, Socket
from tests.support.server import Server
from tests.support.snapshots import snapshot


def test_etag_and_if_match(alice: Person) -> None:
    made = alice.rest.post("/tasks", {"title": "Sow"})
    path = f"/tasks/{made.json()['id']}"
    assert made.headers["ETag"] == '"1"'
    changed = alice.rest.patch(path, {"title": "Reap"}, headers={"If-Match": made.headers["ETag"]})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert alice.rest.get(path).headers["ETag"] == '"2"'
    late = alice.rest.patch(path, {"title": "Burn"}, headers={"If-Match": '"1"'})
    assert late.status_code == 412
    assert late.json()["code"] == "version_conflict"
    assert late.json()["current"] == changed.json() == alice.rest.get(path).json()
    assert alice.rest.delete(path, headers={"If-Match": '"1"'}).status_code == 412
    assert alice.rest.delete(path, headers={"If-Match": "*"}).status_code == 200


def test_version_over_the_socket(alice: Person, listen: Callable[..., Socket]) -> None:
    socket = listen(alice)
    task = alice.rest.new_task()
    sent = {"id": task["id"], "title": "Reap", "if_match": 1}
    assert socket.call("update_task", sent)["version"] == 2
    late = socket.call("update_task", sent | {"title": "Burn"})
    assert late["code"] == "version_conflict"
    assert (late["current"]["title"], late["current"]["version"]) == ("Reap", 2)
    assert socket.call("delete_task", {"id": task["id"], "if_match": 1})["code"] == late["code"]


@pytest.mark.parametrize("value", ['"x"', "1.5", '"-1"', '"²"', '"99999999999"', ""])
def test_odd_if_match(alice: Person, value: str) -> None:
    path = f"/tasks/{alice.rest.new_task()['id']}"
    headers = {"If-Match": value.encode()}
    answer = alice.rest.patch(path, {"title": "Reap"}, headers=headers)
    assert answer.status_code == 412, answer.text  # RFC 9110, 13.1.1: it matches no version
    assert answer.json()["current"]["version"] == 1


def test_no_change_keeps_the_version(alice: Person) -> None:
    task = alice.rest.new_task("Sow")
    assert alice.rest.patch(f"/tasks/{task['id']}", {"title": "Sow"}).json() == task


def test_a_key_with_another_if_match_is_another_request(alice: Person) -> None:
    path = f"/tasks/{alice.rest.new_task()['id']}"

    def reap(version: str) -> int:
        headers = {"Idempotency-Key": "a key", "If-Match": version}
        return alice.rest.patch(path, {"title": "Reap"}, headers=headers).status_code

    assert [reap(version) for version in ('"1"', '"1"', '"2"', "*")] == [200, 200, 422, 422]


@pytest.mark.fault("same_version")
def test_two_writers(server: Server, alice: Person) -> None:
    """Of two who saw the same version, one writes, the other gets what was written."""
    clients = [Rest(alice.rest.url, alice.token) for _ in range(2)]
    history, since = Recorder(), snapshot("sse", server.url, alice)[1]
    wrong = pairs = 0
    for _ in form.rounds("two writers", short=10, long=2000, share=0.005):
        task = history.send(alice, "POST", "/tasks", {"title": "Sow"}).task_id
        together = threading.Barrier(2)

        def write(number: int, task: int | None = task, together: threading.Barrier = together):
            together.wait()
            body, seen = {"title": f"Writer {number}"}, {"If-Match": '"1"'}
            client = clients[number]
            return history.send(alice, "PATCH", f"/tasks/{task}", body, by=client, headers=seen)

        with ThreadPoolExecutor(2) as pool:
            won, lost = sorted(pool.map(write, range(2)), key=lambda done: done.status or 0)
        good = (won.status, lost.status) == (200, 412)
        pairs += 1
        wrong += not good or lost.answer["current"] != won.answer
    figure("same_version", "wrong", wrong, pairs)
    finish_one("same_version", history, alice, server.instance, since=since)


def test_idempotency_key_makes_one_task(alice: Person, listen: Callable[..., Socket]) -> None:
    hers = listen(alice)
    key = {"Idempotency-Key": "first"}
    answers = [alice.rest.post("/tasks", {"title": "Sow"}, headers=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    other = alice.rest.post("/tasks", {"title": "Reap"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert alice.rest.get("/tasks").json() == [answers[0].json()]
    assert [name for name, _ in hers.of_tasks()] == ["task_created"]


def test_retries_at_the_same_time(alice: Person) -> None:
    clients = [Rest(alice.rest.url, alice.token) for _ in range(4)]

    def send(client: Rest) -> int:
        key = {"Idempotency-Key": "at once"}
        return client.post("/tasks", {"title": "Sow"}, headers=key).json()["id"]

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(send, clients))) == 1
    assert len(alice.rest.get("/tasks").json()) == 1


def test_request_id_over_the_socket(alice: Person, listen: Callable[..., Socket]) -> None:
    socket = listen(alice)
    sent = {"title": "Sow", "request_id": "first"}
    first, again = (socket.call("create_task", sent) for _ in range(2))
    assert first["id"] == again["id"]
    assert first.items() >= {key: again[key] for key in ("title", "version", "user_id")}.items()
    assert socket.call("create_task", sent | {"title": "Reap"})["code"] == "idempotency_key_reused"
    key = {"Idempotency-Key": "first"}  # the same key by the other transport is the same request
    assert alice.rest.post("/tasks", {"title": "Sow"}, headers=key).json()["id"] == first["id"]
    assert [name for name, _ in socket.of_tasks()] == ["task_created"]


def test_keys_of_two_people_are_apart(people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    key = {"Idempotency-Key": "the same"}
    made = [who.rest.post("/tasks", {"title": "Sow"}, headers=key).json() for who in (alice, bob)]
    assert [task["user_id"] for task in made] == [alice.id, bob.id]


@pytest.mark.parametrize("key", ["", "k" * 129])
def test_odd_key(alice: Person, key: str) -> None:
    answer = alice.rest.post("/tasks", {"title": "Sow"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert "request_id" in answer.json()["errors"]


@pytest.mark.parametrize("request_id", [7, ["x"], {"a": 1}, True])
def test_odd_request_id(alice: Person, listen: Callable[..., Socket], request_id: object) -> None:
    answer = listen(alice).call("create_task", {"title": "Sow", "request_id": request_id})
    assert answer["code"] == "validation_failed"
    assert "request_id" in answer["errors"]


@pytest.mark.parametrize("tag", ['""', 'W/""', '"' + "9" * 5000 + '"', '"\u0661"', "*x", ","])
def test_odd_tags_match_nothing(alice: Person, tag: str) -> None:
    task = alice.rest.new_task()
    path = f"/tasks/{task['id']}"
    answer = alice.rest.put(path, {"title": "x"}, headers={"If-Match": tag.encode()})
    assert answer.status_code == 412, answer.text
    assert alice.rest.get(path, headers={"If-None-Match": tag.encode()}).status_code == 200
