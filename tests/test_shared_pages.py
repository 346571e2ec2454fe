"""Pages that one process read, answered by another by way of Redis; and nothing else from there."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config import Config
from deploy.services import Redis, free_port
from task_app import create_app, shared_pages
from task_app.jsonio import dumps_bytes
from task_app.pages import Page
from task_app.shared_pages import FEWEST_ITEMS, MOST_BYTES, TAG_BYTES, SharedPages
from tests.support import accounts
from tests.support.accounts import Person, unique
from tests.support.clients import Rest
from tests.support.postgres import Databases
from tests.support.server import Server
from tests.support.waits import until

SECRET = "Wd2nT8hYq5pLx0vBz7kRf3mJc9sGa1eU"
PAGE = Page([{"id": n, "title": "Zoë", "done": False} for n in range(20)], "next", {"unread": 3})
QUESTION: tuple[Any, ...] = ("task_list", 7, ("limit", 50), ("sort", "-id"))
WAIT_SECONDS = 0.5  # what a request waits for a Redis that hangs, on a busy machine


@pytest.fixture
def kept(redis_server: Redis) -> Iterator[redis.Redis]:
    """What is in Redis; nothing at first."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


# --- two processes on one PostgreSQL


@pytest.fixture(scope="module")
def pair(
    postgresql: Databases, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    instance = tmp_path_factory.mktemp("instance")
    settings = {"DATABASE_URL": postgresql.of(instance), "REDIS_URL": redis_server.url}
    servers = [Server(instance, **settings) for _ in range(2)]
    try:
        yield [server.start() for server in servers]
        assert [server.stop() for server in servers] == [0, 0]
        assert "Traceback" not in servers[0].log + servers[1].log
    finally:
        for server in servers:
            server.kill()


@pytest.fixture
def alice(pair: list[Server]) -> Person:
    """With so many tasks that her list is worth sharing."""
    alice = accounts.register(pair[0].url, "Alice")
    operations = [{"op": "create", "data": {"title": f"task {n}"}} for n in range(20)]
    assert alice.rest.post("/tasks/bulk", {"operations": operations}).status_code == 200
    return alice


def hits(kept: redis.Redis) -> int:
    return int(kept.info("stats")["keyspace_hits"])  # type: ignore[index]


def test_one_reads_for_the_other(
    pair: list[Server], alice: Person, kept: redis.Redis, postgresql: Databases
) -> None:
    here, there = (Rest(server.url, alice.token) for server in pair)
    first = here.get("/tasks?sort=-id")
    until(kept.dbsize)
    [name] = kept.keys()
    assert 0 < kept.ttl(name) <= 60
    # Not by way of the server, so that it shows where the second one has it from.
    change = f"UPDATE tasks SET title = 'unseen' WHERE user_id = {alice.id}"
    postgresql.query(change, postgresql.names[pair[0].instance])
    before = hits(kept)
    second = there.get("/tasks?sort=-id")
    assert (second.content, second.headers["ETag"]) == (first.content, first.headers["ETag"])
    assert hits(kept) == before + 1
    there.get("/tasks?sort=-id")  # from its own memory by now
    assert hits(kept) == before + 1
    changed = there.patch(f"/tasks/{first.json()[0]['id']}", {"title": "seen"})
    for rest in (here, there):
        titles = [task["title"] for task in rest.get("/tasks?sort=-id").json()]
        assert titles == [changed.json()["title"]] + ["unseen"] * 19


def test_everybody_has_pages_of_their_own(
    pair: list[Server], alice: Person, kept: redis.Redis
) -> None:
    bob, admin = accounts.register(pair[0].url, "Bob"), accounts.admin(pair[0])
    query = "/tasks?sort=-id&limit=20"
    for number in range(20):
        bob.rest.new_task(f"Bob's {number}")
    told = {}
    for person in (alice, bob, admin):
        told[person] = [
            Rest(server.url, person.token).get(query).json()
            for server in (pair if person is alice else reversed(pair))
        ]
        assert told[person][0] == told[person][1]
    assert {task["user_id"] for task in told[alice][0]} == {alice.id}
    assert {task["user_id"] for task in told[bob][0]} == {bob.id}
    until(lambda: kept.dbsize() == 3)
    # What alice sees of one role she does not see of another.
    assert admin.rest.put(f"/users/{alice.id}", {"role": "admin"}).status_code == 200
    boss = accounts.sign_in(pair[1].url, alice.username, accounts.PASSWORD)
    assert {task["user_id"] for task in boss.rest.get(query).json()} == {bob.id}


def test_short_pages_are_not_worth_it(pair: list[Server], kept: redis.Redis) -> None:
    bob = accounts.register(pair[0].url, "Bob")
    operations = [{"op": "create", "data": {"title": "x"}} for _ in range(FEWEST_ITEMS)]
    assert bob.rest.post("/tasks/bulk", {"operations": operations[1:]}).status_code == 200
    assert len(bob.rest.get("/tasks").json()) == FEWEST_ITEMS - 1
    asked = int(kept.info("stats")["keyspace_misses"])  # type: ignore[index]
    bob.rest.new_task()
    assert len(bob.rest.get("/tasks").json()) == FEWEST_ITEMS  # nor looked for the next time
    assert int(kept.info("stats")["keyspace_misses"]) == asked  # type: ignore[index]
    until(lambda: kept.dbsize() == 1)  # the second one, and never the first


@pytest.mark.parametrize("fault", ["hangs", "is killed"])
def test_redis_goes_and_comes_back(
    pair: list[Server], alice: Person, redis_server: Redis, kept: redis.Redis, fault: str
) -> None:
    here, there = (Rest(server.url, alice.token) for server in pair)
    here.get("/tasks")
    until(kept.dbsize)
    assert redis_server.process is not None
    if fault == "hangs":
        redis_server.process.send_signal(signal.SIGSTOP)
    else:
        redis_server.kill()
    try:
        took = []
        for number in range(60):
            began = time.monotonic()
            answer = there.get(f"/tasks?limit={100 + number}")
            took.append(time.monotonic() - began)
            assert (answer.status_code, len(answer.json())) == (200, 20)
    finally:
        if fault == "hangs":
            redis_server.process.send_signal(signal.SIGCONT)
        else:
            redis_server.start()
    took.sort()
    print(f"reads while Redis {fault}: {took[30] * 1000:.0f} ms, at most {took[-1] * 1000:.0f}")
    assert took[-1] < WAIT_SECONDS
    limits = iter(range(200, 1000))

    def shared() -> bool:
        before, limit = hits(kept), next(limits)
        for rest in (here, there):
            assert rest.get(f"/tasks?limit={limit}").status_code == 200
            threading.Event().wait(0.02)  # for it to be sent
        return hits(kept) > before

    until(shared, 3 * shared_pages.PAUSE_SECONDS + 5)


# --- what may come out of Redis


Sharer = Callable[..., SharedPages]


@pytest.fixture
def sharer(redis_server: Redis, tmp_path: Path) -> Sharer:
    """One process's end, by its settings."""

    def make(**settings: str) -> SharedPages:
        environ = {
            "INSTANCE_PATH": str(tmp_path),
            "DATABASE_URL": "postgresql://tasks@db.example/tasks",
            "JWT_SECRET_KEY": SECRET,
            "REDIS_URL": redis_server.url,
        }
        sharing = SharedPages()
        sharing.start(create_app(Config(environ | settings, async_mode="threading")))
        return sharing

    return make


@pytest.fixture
def name(sharer: Sharer, kept: redis.Redis) -> str:
    """Where a page stands in Redis."""
    sharer().put(QUESTION, "log-5-7-member", PAGE)
    until(kept.dbsize)
    return kept.keys()[0].decode()  # type: ignore[index]


@pytest.mark.usefixtures("name")
def test_a_page_comes_back_as_it_was(sharer: Sharer) -> None:
    assert sharer().get(QUESTION, "log-5-7-member") == PAGE


@pytest.mark.usefixtures("name")
@pytest.mark.parametrize(
    ("question", "validator", "settings"),
    [
        (("task_list", 8, *QUESTION[2:]), "log-5-7-member", {}),
        (("notification_list", *QUESTION[1:]), "log-5-7-member", {}),
        ((*QUESTION[:2], ("limit", 51), QUESTION[3]), "log-5-7-member", {}),
        (QUESTION, "log-6-7-member", {}),
        (QUESTION, "log-5-7-admin", {}),
        (QUESTION, "log-5-7-member-team", {}),
        (QUESTION, "log-5-7-member", {"DATABASE_URL": "postgresql://tasks@db.example/copy"}),
        (QUESTION, "log-5-7-member", {"DATABASE_URL": "postgresql://tasks@other.example/tasks"}),
        (QUESTION, "log-5-7-member", {"JWT_SECRET_KEY": SECRET[::-1]}),
        (QUESTION, "log-5-7-member", {"CACHE_TTL_SECONDS": "0"}),
        (QUESTION, "log-5-7-member", {"DATABASE_URL": "sqlite:///tasks.db"}),
    ],
)
def test_to_nobody_else(
    sharer: Sharer, question: Any, validator: str, settings: dict[str, str]
) -> None:
    assert sharer(**settings).get(question, validator) is None


@pytest.mark.usefixtures("name")
def test_to_no_other_version(sharer: Sharer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_pages, "_build", lambda: "the next one")
    assert sharer().get(QUESTION, "log-5-7-member") is None


def test_rubbish_and_forgeries(sharer: Sharer, kept: redis.Redis, name: str) -> None:
    good = kept.get(name)
    assert isinstance(good, bytes)
    forged = dumps_bytes([[{"id": 1, "title": "forged"}], None, {}])
    stranger = sharer(JWT_SECRET_KEY=SECRET[::-1])
    stranger.put(QUESTION, "log-5-7-member", PAGE)
    sharer().put(QUESTION, "log-4-7-member", PAGE)
    until(lambda: kept.dbsize() == 3)
    others = [kept.get(other) for other in kept.scan_iter() if other.decode() != name]
    assert len(others) == 2
    values = [
        *(b"", b"x", b"\x80\x04N.", forged, good[:TAG_BYTES], good[:TAG_BYTES] + forged),
        *(good[:-1], good + b" ", good[:-1] + b"}", b"x" * (MOST_BYTES * 4)),
        *others,
    ]
    reader = sharer()
    for value in values:
        kept.set(name, value)
        assert reader.get(QUESTION, "log-5-7-member") is None
    kept.delete(name)
    kept.rpush(name, good)  # no text at all
    assert reader.get(QUESTION, "log-5-7-member") is None
    kept.delete(name)
    kept.set(name, good)
    assert reader.get(QUESTION, "log-5-7-member") == PAGE  # it was tried each time


def test_long_pages_are_not_kept(sharer: Sharer, kept: redis.Redis) -> None:
    long = Page([{"id": n, "description": "x" * 10_000} for n in range(30)])
    sharing = sharer()
    sharing.put(QUESTION, "long", long)
    sharing.put(QUESTION, "short", PAGE)
    until(kept.dbsize)
    assert sharing.get(QUESTION, "short") == PAGE
    assert sharing.get(QUESTION, "long") is None


def test_away_from_the_start(sharer: Sharer) -> None:
    sharing = sharer(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    for number in range(1000):
        sharing.put(QUESTION, unique("validator"), PAGE)
        assert sharing.get(QUESTION, str(number)) is None
    assert len(sharing.waiting) <= shared_pages.MOST_WAITING
