"""Two processes on one database, and what was done in one reaches those connected to the other,
which hears of it by the log alone, up to a second later."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.faults.figures import figure
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person
from tests.support.clients import Rest
from tests.support.readers import RAW_PATHS, TRANSPORTS, Reader, SocketReader, connect
from tests.support.server import Server, running

PATIENCE = 10.0  # seconds, for what should come sooner
MISSED = 20


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Server(tmp_path_factory.mktemp("instance"))) as server:
        yield server


@pytest.fixture(scope="module")
def two(one: Server) -> Iterator[Server]:
    with running(Server(one.instance)) as server:
        yield server


@pytest.fixture(scope="module")
def boss(one: Server) -> Person:
    return accounts.admin(one)


@pytest.fixture
def people(one: Server) -> list[Person]:
    return accounts.people(one.url, "Alice", "Bob")


@contextmanager
def late(server: Server) -> Iterator[None]:
    """The process does nothing meanwhile, and hears of nothing."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


def everywhere(server: Server, person: Person, **where: Any) -> list[Reader]:
    """A reader on each transport, side by side."""
    with ThreadPoolExecutor(len(TRANSPORTS)) as pool:
        return list(pool.map(lambda kind: connect(kind, server.url, person, **where), TRANSPORTS))


def put(boss: Person, user: Person, **change: Any) -> None:
    assert boss.rest.put(f"/users/{user.id}", change).status_code == 200


def end_session(boss: Person, bob: Person) -> None:
    assert bob.rest.post("/logout").status_code == 200


def disable(boss: Person, bob: Person) -> None:
    put(boss, bob, is_active=False)


def reset_password(boss: Person, bob: Person) -> None:
    put(boss, bob, password="another horse battery")


ENDS = (end_session, disable, reset_password)


@pytest.mark.fault("sight")
def test_put_out_elsewhere(one: Server, two: Server, boss: Person) -> None:
    """In time, whatever the transport; and the token is worth nothing there either."""
    people = accounts.people(one.url, *(end.__name__ for end in ENDS))
    readers = {person.id: everywhere(two, person) for person in people}
    for person, end in zip(people, ENDS, strict=True):
        end(boss, person)
        began = time.monotonic()
        for transport, reader in zip(TRANSPORTS, readers[person.id], strict=True):
            why = reader.until_ended(PATIENCE)
            assert why == 4401 or transport not in RAW_PATHS
        figure("sight", "up", time.monotonic() - began, len(TRANSPORTS))
        assert Rest(two.url, person.token).get("/tasks").status_code == 401


@pytest.mark.fault("sight")
def test_demoted_elsewhere(one: Server, two: Server, boss: Person, people: list[Person]) -> None:
    alice, bob = people
    put(boss, bob, role="admin")
    readers = everywhere(two, bob)
    seen = alice.rest.new_task("In sight")["id"]
    for reader in readers:
        reader.until(seen)
    put(boss, bob, role="member")
    began = time.monotonic()
    resyncs = [reader.notice("resync", PATIENCE) for reader in readers]
    figure("sight", "up", time.monotonic() - began, len(TRANSPORTS))
    hidden, own = alice.rest.new_task("Hidden")["id"], bob.rest.new_task()["id"]
    for reader, resync in zip(readers, resyncs, strict=True):
        reader.until(own)
        after = [one.task_id for one in reader.events if one.seq > resync["seq"]]
        assert hidden not in after and after[-1] == own
        reader.close()


def check_member(readers: list[Reader], alice: Person, bob: Person) -> None:
    """They are given Bob's tasks, and none of Alice's."""
    hidden, own = alice.rest.new_task("Hidden")["id"], bob.rest.new_task()["id"]
    for reader in readers:
        reader.until(own)
        assert hidden not in [one.task_id for one in reader.events]
        reader.close()


def test_demoted_and_renewed_before_it_is_heard_of(
    one: Server, two: Server, boss: Person, people: list[Person]
) -> None:
    """The connection is an admin's; its new token, which this process has not met, is a
    member's.  When the event comes there is nothing left for it to change."""
    alice, bob = people
    put(boss, bob, role="admin")
    reader = connect("socketio", two.url, bob)
    assert isinstance(reader, SocketReader)
    reader.until(alice.rest.new_task("The log was read just now")["id"])
    put(boss, bob, role="member")
    again = accounts.sign_in(one.url, bob.username, PASSWORD)
    ready = reader.call("authenticate", {"token": again.token})
    assert ready["user_id"] == bob.id
    check_member([reader], alice, again)


@pytest.mark.fault("sight")
def test_admitted_in_the_role_of_before(
    one: Server, two: Server, boss: Person, people: list[Person]
) -> None:
    """Its token is remembered as an admin's until the event is heard of."""
    alice, bob = people
    put(boss, bob, role="admin")
    there = Rest(two.url, bob.token)
    assert there.get("/users").status_code == 200  # the token is known as an admin's now
    put(boss, bob, role="member")
    began = time.monotonic()
    readers = everywhere(two, bob)
    while there.get("/users").status_code != 403:
        assert time.monotonic() < began + PATIENCE
    figure("sight", "up", time.monotonic() - began)
    check_member(readers, alice, bob)


def test_missed_by_a_late_process(one: Server, two: Server, people: list[Person]) -> None:
    """Clients of a process that was held up have everything, once and in order; so has one that
    comes to it with the position it had elsewhere, past what this process has heard of."""
    alice, _ = people
    here, there = everywhere(one, alice), everywhere(two, alice)
    epoch = here[0].notice("ready")["epoch"]
    with late(two):
        made = [alice.rest.new_task()["id"] for _ in range(MISSED)]
        for reader in here:
            reader.until(made[-1])
    half = here[0].seqs[MISSED // 2 - 1]
    moved = everywhere(two, alice, since=half, epoch=epoch)
    made.append(alice.rest.new_task()["id"])
    for reader in [*here, *there, *moved]:
        reader.until(made[-1])
        wanted = made[MISSED // 2 :] if reader in moved else made
        assert [one.task_id for one in reader.events] == wanted
        reader.close()
