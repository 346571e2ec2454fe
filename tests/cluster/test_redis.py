"""Redis dies beneath a whole installation that has its limits on, and comes back: whoever writes,
reads, listens or signs in notices nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from deploy.cluster import Gateway, Process
from tests.cluster.conftest import Installed
from tests.cluster.test_events import Once, go_on
from tests.faults import form
from tests.faults.checker import finish
from tests.faults.delays import delays
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import Load
from tests.faults.reads import Reads
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest
from tests.support.leaks import leaks, secrets_of
from tests.support.readers import TRANSPORTS
from tests.test_redis import AWAY_SECONDS, until_noticed

LOGINS = 10  # a minute, at one account: two people sign in by turns, once in a round of ten seconds


@pytest.fixture
def counting(cluster: Installed) -> Iterator[list[Process]]:
    """Two more processes of the users, which count who tries what; the rest of the installation
    counts nothing that a test's writers do."""
    own = [Process("users", {**cluster.settings, "RATELIMIT_ENABLED": "1"}) for _ in range(2)]
    try:
        yield [one for one in own if one.start()]
        assert [one.stop() for one in own] == [0, 0]
        said = "".join(one.log for one in own)
        assert "Traceback" not in said, said
        assert leaks(said, secrets_of(cluster.instance)) == []
    finally:
        for one in own:
            one.discard()


@pytest.fixture
def gateway(cluster: Installed, counting: list[Process]) -> Iterator[Gateway]:
    one = Gateway([*counting, *cluster.of("tasks"), *cluster.of("notifications")])
    try:
        one.start()
        yield one
    finally:
        one.discard()


def sign_in(url: str, name: str, password: str = PASSWORD) -> int:
    """The status of the answer."""
    return Rest(url).post("/login", {"username": name, "password": password}).status_code


def check_counted(url: str) -> None:
    """By all processes together, which is by Redis."""
    name = unique("nobody")
    assert [sign_in(url, name) for _ in range(LOGINS + 1)] == [401] * LOGINS + [429]


def away_and_back(
    cluster: Installed, processes: list[Process], loads: list[Load], people: list[Person]
) -> Iterator[int]:
    """Once; the statuses of those who sign in meanwhile, at once when Redis is gone and at once
    when it is back."""
    here, there = people
    go_on(loads, 5)
    cluster.redis.kill()
    back = time.monotonic() + AWAY_SECONDS
    yield sign_in(loads[0].url, here.username)
    until_noticed("down", *processes)
    go_on(loads, 5)
    while time.monotonic() < back:
        go_on(loads, 5)
    cluster.redis.start()
    yield sign_in(loads[0].url, there.username)
    until_noticed("up", *processes)
    go_on(loads, 5)


@pytest.mark.fault("redis")
@pytest.mark.timeout(300)
def test_killed_under_load(cluster: Installed, counting: list[Process], gateway: Gateway) -> None:
    processes = [*counting, *cluster.of("tasks"), *cluster.of("notifications")]
    until_noticed("up", *processes)
    check_counted(gateway.url)
    people = alice, bob = accounts.people(gateway.url, "Alice", "Bob")
    followers = [Follower(transport, gateway.url, alice) for transport in TRANSPORTS]
    followers.append(Follower("sse", gateway.url, bob))
    hers = Once(alice, 2, gateway.url)
    his, reads = Once(bob, 1, gateway.url, hers.history), Reads(bob, 1, gateway.url)
    signed_in: list[int] = []
    with hers, his, reads:
        for _ in form.rounds("Redis killed in an installation", short=1, long=6, share=0.1):
            signed_in += away_and_back(cluster, processes, [hers, his, reads], people)
    tries = len(signed_in) // len(people)
    history, database = hers.history, cluster.settings["DATABASE_URL"]
    since = min(one.session.base for one in followers)
    finish("redis", history, followers, cluster.instance, database, tries=tries, since=since)
    statuses = Counter(done.status for done in history.operations) + reads.statuses
    statuses += Counter(signed_in)
    figure("redis", "errors", statuses.total() - statuses[200] - statuses[201], statuses.total())
    took = [seconds for one in followers for seconds in delays(history, one.session)]
    sent = Counter(done.who for done in history.operations)
    assert len(took) == sum(sent[one.person.id] for one in followers)
    figure("redis", "delay", max(took), len(took))
    assert not any(one.away for one in followers), "somebody was cut"
