"""Committed events reach every listener in `seq` order, each once, whoever committed them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from task_app.access import Actor
from task_app.commands import execute
from task_app.models.user import ADMIN
from task_app.realtime.relay import relay
from tests.support import accounts, databases, statements
from tests.support.accounts import Person
from tests.support.clients import Rest, Socket
from tests.support.server import Server

WRITERS, EACH = 4, 15


def seqs(socket: Socket) -> list[int]:
    return [data["seq"] for _, data in socket.of_tasks()]


def write(url: str, token: str, number: int) -> list[int]:
    """Make tasks one after the other; their ids."""
    client = Rest(url, token)
    return [client.new_task(f"{number}.{i}")["id"] for i in range(EACH)]


def write_together(targets: list[tuple[str, str]]) -> set[int]:
    """Several writers at once, each to its (url, token); the ids of all tasks made."""
    with ThreadPoolExecutor(len(targets)) as pool:
        jobs = [pool.submit(write, *target, number) for number, target in enumerate(targets)]
        return {task_id for job in jobs for task_id in job.result()}


def check_feed(events: list[tuple[str, Any]], made: set[int]) -> None:
    numbers = [data["seq"] for _, data in events]
    assert numbers == sorted(set(numbers))  # in order, each once
    assert {data["task"] for _, data in events} == made  # and none missing


def test_threads(server: Server, alice: Person, admin: Person, listen: Callable) -> None:
    hers, also_hers, admins = listen(alice), listen(alice), listen(admin)
    made = write_together([(server.url, alice.token)] * WRITERS)
    for socket in (hers, also_hers):
        check_feed(socket.of_tasks(), made)
    seen = [event for event in admins.of_tasks() if event[1]["user_id"] == alice.id]
    check_feed(seen, made)


def test_sockets_and_rest_together(server: Server, alice: Person, listen: Callable) -> None:
    hers, sender = listen(alice), listen()

    def over_socket() -> set[int]:
        sent = {"token": alice.token, "title": "Over the socket"}
        return {sender.call("create_task", sent)["id"] for _ in range(EACH)}

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(over_socket)
        made = write_together([(server.url, alice.token)] * 2)
        made |= job.result()
    check_feed(hers.of_tasks(), made)


def test_seq_has_no_hole(start: Callable[..., Server], listen: Callable) -> None:
    """On a server of its own, an admin sees every number."""
    server = start()
    admin = accounts.admin(server)
    socket = listen(admin, server.url)
    first = socket.wait_for("ready")["seq"]
    write_together([(server.url, admin.token)] * WRITERS)
    admin.rest.post("/tasks", {"title": ""})  # refused: takes no number
    last = admin.rest.new_task()
    numbers = seqs(socket)
    assert numbers == list(range(first + 1, first + 1 + WRITERS * EACH + 1))
    headers = admin.rest.get("/tasks").headers
    assert int(headers["X-Event-Seq"]) == numbers[-1]
    assert headers["X-Event-Epoch"] == socket.wait_for("ready")["epoch"]
    assert socket.of_tasks()[-1][1]["task"] == last["id"]


def test_two_processes_on_one_file(
    start: Callable[..., Server], listen: Callable, tmp_path: Path
) -> None:
    """What one process commits, listeners of the other get by the poll of the log."""
    one = start(tmp_path)
    two = start(tmp_path)
    alice = accounts.register(one.url, "Alice")
    sockets = [listen(alice, server.url) for server in (one, two)]
    made = write_together([(one.url, alice.token), (two.url, alice.token)] * 2)
    for socket in sockets:
        socket.wait_for("task_created", count=len(made), timeout=5)
        check_feed(socket.of_tasks(), made)
    assert [one.stop(), two.stop()] == [0, 0]


def test_joining_amid_writes(server: Server, alice: Person, listen: Callable) -> None:
    """Whoever joins has every event after the `seq` of `ready`, and none from before."""
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(write_together, [(server.url, alice.token)] * 2)
        sockets = [listen(alice) for _ in range(6)]
        job.result()
    everything = {task["id"] for task in alice.rest.get("/tasks").json()}
    logs = [(socket.wait_for("ready")["seq"], socket.of_tasks()) for socket in sockets]
    _, longest = max(logs, key=lambda log: len(log[1]))
    assert {data["task"] for _, data in longest} <= everything
    for first, events in logs:
        assert events == [event for event in longest if event[1]["seq"] > first]


def test_trouble_after_a_commit_is_none_of_the_writers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is made; an answer of 500 would say that it may not be.  Here other processes
    cannot be told."""

    def tell(seq: int) -> None:
        raise ConnectionError("nobody is there")

    admin = Actor(1, "admin", ADMIN, "a session")
    with statements.prepared(tmp_path).app_context():
        monkeypatch.setattr(relay, "announce", tell)
        done = execute(admin, "task.create", {"title": "Mine"})
        assert (done.status, done.body["title"]) == (201, "Mine")
        assert relay.last_seq < done.events[0].seq
        relay.catch_up()
        assert relay.last_seq == done.events[-1].seq


def test_a_damaged_row_stops_nobody(tmp_path: Path) -> None:
    """Neither whoever has to read the log past it before their own event, nor what follows."""
    admin = Actor(1, "admin", ADMIN, "a session")
    with statements.prepared(tmp_path).app_context():
        execute(admin, "task.create", {"title": "From elsewhere"})
        databases.run(tmp_path, "UPDATE events SET rooms = '0'")
        relay.last_seq -= 1  # as it stands when another process has made the change
        done = execute(admin, "task.create", {"title": "Mine"})
        assert (done.status, done.body["title"]) == (201, "Mine")
        assert relay.last_seq == done.events[-1].seq
