"""Redis between two processes: hints and limits; and both without it, before, during and after."""

from __future__ import annotations

import pickle
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.services import Redis, free_port
from tests.faults import form
from tests.faults.checker import finish
from tests.faults.delays import delays
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import Lives
from tests.faults.reads import Reads
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest
from tests.support.readers import Reader, connect
from tests.support.server import Server
from tests.support.waits import until

HINTED_SECONDS = 0.3  # the poll takes half a second on average
AWAY_SECONDS = 10 if form.SOAK else 1
WRITERS = 2 if form.SOAK else 1  # to each server; the suite's other tests need the cores as well
PATIENCE = 20  # seconds, for whoever should be put out sooner
Start = Callable[..., Server]


@pytest.fixture
def service(redis_server: Redis) -> Redis:
    """Up and empty, whatever the test before has done to it."""
    redis_server.kill()
    redis_server.start()
    return redis_server


@pytest.fixture
def pair(service: Redis, start: Start, tmp_path: Path) -> tuple[Server, Server]:
    """Two processes on one database and one Redis."""
    one, two = start(tmp_path, REDIS_URL=service.url), start(tmp_path, REDIS_URL=service.url)
    until_noticed("up", one, two)
    return one, two


def until_noticed(state: str, *servers: Server) -> None:
    """Until each of them says that Redis is so."""
    for server in servers:
        rest = Rest(server.url)
        until(lambda rest=rest: rest.get("/health").json()["redis"] == state)


def delay(writer: Person, reader: Reader) -> float:
    """Seconds from an acknowledged write on one process to its event on the other."""
    made = writer.rest.new_task()
    began = time.monotonic()
    reader.until(made["id"])
    return time.monotonic() - began


def check_hinted(writer: Person, reader: Reader) -> float:
    took = [delay(writer, reader) for _ in range(7)]
    assert statistics.median(took) < HINTED_SECONDS, took
    return max(took)


def log_out(boss: Person, user: Person) -> Any:
    return user.rest.post("/logout")


def disable(boss: Person, user: Person) -> Any:
    return boss.rest.put(f"/users/{user.id}", {"is_active": False})


def demote(boss: Person, user: Person) -> Any:
    return boss.rest.put(f"/users/{user.id}", {"role": "member"})


def check_sight(one: Server, two: Server, boss: Person, state: str) -> None:
    """Who logs out, is disabled or demoted by one process loses sight in the other."""
    ends = (log_out, disable, demote)
    people = accounts.people(one.url, *(end.__name__ for end in ends))
    boss.rest.put(f"/users/{people[2].id}", {"role": "admin"})
    for end, person in zip(ends, people, strict=True):
        reader = connect("gin", two.url, person)
        assert end(boss, person).status_code == 200
        began = time.monotonic()
        if end is demote:
            reader.notice("resync", PATIENCE)
            reader.close()
        else:
            assert reader.until_ended(PATIENCE) == 4401
            assert Rest(two.url, person.token).get("/tasks").status_code == 401
        figure("sight", state, time.monotonic() - began)


class Trap:
    """Whoever unpickles one makes the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


RUBBISH: list[bytes] = [
    b"\xff\xfe",
    b"",
    b"null",
    b'{"seq": "1"}',
    b'{"seq": 1e999}',
    b'{"seq": true}',
    b'{"seq": -1}',
    b'{"seq": 99999999999999999999}',
    b"[" * 100_000,
    b'{"type": "task_created", "rooms": ["all"], "data": {"id": 1}}',
]


@pytest.mark.fault("sight", "channel")
def test_a_hint_is_faster_than_the_poll(
    pair: tuple[Server, Server], service: Redis, tmp_path: Path
) -> None:
    one, two = pair
    sprung = tmp_path / "sprung"
    pickled = [pickle.dumps(Trap(sprung), protocol) for protocol in (0, pickle.HIGHEST_PROTOCOL)]
    alice = accounts.register(one.url, "Alice")
    reader = connect("sse", two.url, alice)
    print(f"with Redis: {check_hinted(alice, reader) * 1000:.0f} ms at most")
    with redis.Redis.from_url(service.url) as client:
        [channel] = client.pubsub_channels()
        before = len(reader.events)
        for rubbish in [*pickled, *RUBBISH]:
            assert client.publish(channel, rubbish) == 2
    check_hinted(alice, reader)  # nobody has gone deaf
    assert len(reader.events) == before + 7  # and nothing else was heard
    assert not sprung.exists()
    pickle.loads(pickled[0])  # noqa: S301 - or the line above would prove nothing
    assert sprung.exists()
    check_sight(one, two, accounts.admin(one), "up")
    assert [one.stop(), two.stop()] == [0, 0]
    assert "Traceback" not in one.log + two.log


@pytest.mark.fault("redis", "sight")
def test_killed_under_load(
    pair: tuple[Server, Server], service: Redis, start: Start, tmp_path: Path
) -> None:
    """No REST error by either server, no event lost, and none late: each write's is measured,
    those at the moment of the kill and of the return with the others."""
    one, two = pair
    # Nobody writes to the third: one that has an event of its own reads the others' from the log.
    third = start(tmp_path, REDIS_URL=service.url)
    until_noticed("up", third)
    boss = accounts.admin(one)
    alice, bob = accounts.people(one.url, "Alice", "Bob")
    followers = [Follower("sse", third.url, alice), Follower("gin", third.url, bob)]
    kills = 0
    here = Lives(alice, WRITERS, one.url)
    there = Lives(bob, WRITERS, two.url, here.history)
    reads = Reads(bob, url=one.url, signing_in=True)
    with here, there, reads:
        # A soak does it as often beneath a whole installation: tests/cluster/test_redis.py.
        for _ in form.rounds("Redis killed", short=1, long=6, share=0.1):
            both_go_on(here, there)
            reads.go_on(3, 200)
            service.kill()
            kills += 1
            back = time.monotonic() + AWAY_SECONDS
            until_noticed("down", one, two, third)
            check_sight(one, third, boss, "down")
            while time.monotonic() < back:
                both_go_on(here, there)
            service.start()
            until_noticed("up", one, two, third)
            both_go_on(here, there)
    log = finish("redis", here.history, followers, tmp_path, tries=kills)
    writes = len(here.history.operations)
    statuses = Counter(done.status for done in here.history.operations) + reads.statuses
    requests = statuses.total()
    figure("redis", "errors", requests - statuses[200] - statuses[201], requests)
    took = [seconds for one in followers for seconds in delays(here.history, one.session)]
    assert len(took) == writes <= len(log)
    figure("redis", "delay", max(took), len(took))
    check_hinted(alice, connect("sse", third.url, alice))
    assert [server.stop() for server in (one, two, third)] == [0, 0, 0]
    assert "Traceback" not in one.log + two.log + third.log


def both_go_on(here: Lives, there: Lives) -> None:
    for load in (here, there):
        load.go_on(5)


def test_limits_are_shared_and_outlive_it(service: Redis, start: Start, tmp_path: Path) -> None:
    settings = {"REDIS_URL": service.url, "RATELIMIT_ENABLED": "1"}
    servers = [start(tmp_path, **settings), start(tmp_path, **settings)]
    wrong = {"username": unique("nobody"), "password": PASSWORD}
    tries = [Rest(server.url).post("/login", wrong).status_code for server in servers * 5]
    assert tries == [401] * 10
    for server in servers:
        answer = Rest(server.url).post("/login", wrong)
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
    service.kill()
    began = time.monotonic()
    tries = [Rest(servers[0].url).post("/login", wrong).status_code for _ in range(11)]
    assert tries == [401] * 10 + [429]  # counted by the process itself
    assert time.monotonic() - began < 5
    assert [server.stop() for server in servers] == [0, 0]


def test_away_at_start(start: Start) -> None:
    server = start(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0", RATELIMIT_ENABLED="1")
    alice = accounts.register(server.url, "Alice")
    assert alice.rest.new_task()["id"]
    health = alice.rest.get("/health").json()
    assert (health["status"], health["redis"]) == ("ok", "down")
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_unused(server: Server, nobody: Rest) -> None:
    assert nobody.get("/health").json()["redis"] == "unused"
