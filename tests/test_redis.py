"""Redis between two processes: hints and limits; and both without it, before, during and after."""

from __future__ import annotations

import pickle
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.services import Redis, free_port
from tests.conftest import require
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest
from tests.support.load import Load
from tests.support.readers import Reader, connect
from tests.support.recorder import Session, check_delivery, read_log
from tests.support.server import Server
from tests.support.snapshots import snapshot

HINTED_SECONDS = 0.3  # the poll takes half a second on average
DELAY_SECONDS = 2  # FAULTS
SIGHT_SECONDS = {"up": 2, "down": 10}  # FAULTS: logout, in every process
Start = Callable[..., Server]


@pytest.fixture
def service() -> Iterator[Redis]:
    require("redis-server")
    running = Redis()
    try:
        running.start()
        yield running
    finally:
        running.discard()


@pytest.fixture
def pair(service: Redis, start: Start, tmp_path: Path) -> tuple[Server, Server]:
    """Two processes on one database and one Redis."""
    one, two = start(tmp_path, REDIS_URL=service.url), start(tmp_path, REDIS_URL=service.url)
    for server in (one, two):
        until(server, "up")
    return one, two


def until(server: Server, state: str) -> None:
    late, pause = time.monotonic() + 5, threading.Event()
    while Rest(server.url).get("/health").json()["redis"] != state:
        assert time.monotonic() < late
        pause.wait(0.02)


def delay(writer: Person, reader: Reader) -> float:
    """Seconds from an acknowledged write on one process to its event on the other."""
    made = writer.rest.new_task()
    began = time.monotonic()
    reader.until(made["id"])
    return time.monotonic() - began


def check_hinted(writer: Person, reader: Reader) -> float:
    delays = [delay(writer, reader) for _ in range(7)]
    assert statistics.median(delays) < HINTED_SECONDS, delays
    return max(delays)


def check_put_out(person: Person, server: Server, state: str) -> None:
    """Who logs out on one process is put out of the other."""
    reader = connect("gin", server.url, person)
    assert person.rest.post("/logout").status_code == 200
    began = time.monotonic()
    assert reader.until_ended(SIGHT_SECONDS[state]) == 4401
    print(f"put out {(time.monotonic() - began) * 1000:.0f} ms after logout, Redis is {state}")
    assert Rest(server.url, person.token).get("/tasks").status_code == 401


RUBBISH: list[Any] = [
    pickle.dumps(Path("/tmp")),  # noqa: S108
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


def test_a_hint_is_faster_than_the_poll(pair: tuple[Server, Server], service: Redis) -> None:
    one, two = pair
    alice = accounts.register(one.url, "Alice")
    reader = connect("sse", two.url, alice)
    print(f"with Redis: {check_hinted(alice, reader) * 1000:.0f} ms at most")
    with redis.Redis.from_url(service.url) as client:
        [channel] = client.pubsub_channels()
        before = len(reader.events)
        for rubbish in RUBBISH:
            assert client.publish(channel, rubbish) == 2
    check_hinted(alice, reader)  # nobody has gone deaf
    assert len(reader.events) == before + 7  # and nothing else was heard
    check_put_out(accounts.register(one.url, "Bob"), two, "up")
    assert [one.stop(), two.stop()] == [0, 0]
    assert "Traceback" not in one.log + two.log


def test_killed_under_load(pair: tuple[Server, Server], service: Redis, tmp_path: Path) -> None:
    """FAULTS, in a short form: no REST error, no event lost, and none late."""
    one, two = pair
    alice, bob, charlie = accounts.people(one.url, "Alice", "Bob", "Charlie")
    _, seq, epoch = snapshot("sse", two.url, alice)
    session, reader = (
        Session(alice.id, "member", seq),
        connect("sse", two.url, alice, since=seq, epoch=epoch),
    )
    his = connect("sse", two.url, bob)
    with Load(alice, writers=2) as load:
        load.go_on(20)
        service.kill()
        until(two, "down")
        during = max(delay(bob, his) for _ in range(2))
        check_put_out(charlie, two, "down")
        load.go_on(20)
        service.start()
        until(two, "up")
        after = check_hinted(bob, his)
    assert set(load.statuses) == {201}
    print(f"without Redis {during * 1000:.0f} ms, after it {after * 1000:.0f} ms at most")
    assert max(during, after) <= DELAY_SECONDS
    log = read_log(tmp_path)
    mine = [entry.seq for entry in log if entry.may_see(alice.id, "member")]
    reader.until_seq(mine[-1])
    session.seen = reader.events
    check_delivery(log, session, log[-1].seq)
    assert [one.stop(), two.stop()] == [0, 0]
    assert "Traceback" not in one.log + two.log


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
