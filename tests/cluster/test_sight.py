"""Who logs out, is disabled or demoted at the gateway loses sight in every process, in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.conftest import Installed
from tests.faults import form
from tests.faults.figures import figure
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.readers import TRANSPORTS, RawReader, Reader, connect
from tests.support.waits import until
from tests.test_redis import PATIENCE, demote, disable, log_out, until_noticed

# Of each service, something for which one must have signed in.
ASKED = {"users": "/profile", "tasks": "/tasks", "notifications": "/notifications"}


def everywhere(cluster: Installed, person: Person) -> list[Reader]:
    """A reader on each transport of each process that serves sockets, side by side."""
    places = [(kind, one.url) for one in cluster.of("notifications") for kind in TRANSPORTS]
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(lambda place: connect(*place, person), places))


def answered(cluster: Installed, person: Person, status: int) -> bool:
    """Whether each process answers so to this token."""
    return all(
        Rest(one.url, person.token).get(ASKED[one.name]).status_code == status
        for one in cluster.processes
    )


def check_put_out(
    cluster: Installed, state: str, boss: Person, person: Person, end: Callable[..., Any]
) -> None:
    """Every socket is closed; the token, which every process knew as good, is good in none."""
    readers = everywhere(cluster, person)
    assert answered(cluster, person, 200)
    began = time.monotonic()
    assert end(boss, person).status_code == 200
    for reader in readers:
        why = reader.until_ended(PATIENCE)
        assert why == 4401 or not isinstance(reader, RawReader)
    until(lambda: answered(cluster, person, 401), PATIENCE)
    figure("sight", state, time.monotonic() - began, len(readers))


def check_demoted(
    cluster: Installed, state: str, boss: Person, person: Person, other: Person
) -> None:
    """Every socket stays, and hears of nobody else's tasks that are made from then on."""
    assert boss.rest.put(f"/users/{person.id}", {"role": "admin"}).status_code == 200
    readers = everywhere(cluster, person)
    seen = other.rest.new_task("In sight")["id"]
    for reader in readers:
        reader.until(seen)
        assert "resync" not in [name for name, _ in reader.notices]
    began = time.monotonic()
    assert demote(boss, person).status_code == 200
    for reader in readers:
        reader.notice("resync", PATIENCE)
    figure("sight", state, time.monotonic() - began, len(readers))
    hidden, own = other.rest.new_task("Hidden")["id"], person.rest.new_task()["id"]
    for reader in readers:
        reader.until(own)
        assert reader.ended is None
        assert hidden not in [one.task_id for one in reader.events]
        reader.close()


def check_sight(cluster: Installed, state: str) -> None:
    boss = accounts.sign_in(cluster.url, "admin", cluster.admin_password)
    for _ in form.rounds(f"out of sight, Redis {state}", short=1, long=5, share=0.01):
        alice, bob, charlie, dora = accounts.people(cluster.url, "Alice", "Bob", "Charlie", "Dora")
        check_put_out(cluster, state, boss, bob, log_out)
        check_put_out(cluster, state, boss, charlie, disable)
        check_demoted(cluster, state, boss, dora, alice)


@pytest.fixture
def _redis_down(cluster: Installed) -> Iterator[None]:
    cluster.redis.kill()
    try:
        until_noticed("down", *cluster.processes)
        yield
    finally:
        cluster.redis.start()
        until_noticed("up", *cluster.processes)


@pytest.mark.fault("sight")
def test_out_of_sight_everywhere(cluster: Installed) -> None:
    check_sight(cluster, "up")


@pytest.mark.fault("sight")
@pytest.mark.usefixtures("_redis_down")
def test_out_of_sight_everywhere_with_redis_down(cluster: Installed) -> None:
    check_sight(cluster, "down")
