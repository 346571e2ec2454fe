"""Several processes on one PostgreSQL do the same at once, and it is done once."""

from __future__ import annotations

import re
import select
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config import Config
from task_app import create_app, database, events
from task_app.access import SYSTEM, Actor
from task_app.commands import execute
from task_app.errors import AppError
from tests.faults.load import Load
from tests.faults.recorder import Session, check_delivery, read_log
from tests.support import accounts, databases
from tests.support.accounts import Person
from tests.support.postgres import Databases
from tests.support.readers import connect
from tests.support.server import Server, running
from tests.support.waits import until
from tests.support.workers import Worker

DUE, OLD, AT_ONCE = 30, 25, 4
STATEMENT = r"LOG:  (?:statement|execute [^:]*): (.*\n(?:\t.*\n)*)"
LONG_AGO = "2001-01-01T00:00:00.000000Z"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def server(postgresql: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    instance = tmp_path_factory.mktemp("instance")
    with running(Server(instance, DATABASE_URL=postgresql.of(instance))) as one:
        yield one


@pytest.fixture(scope="module")
def workers(server: Server) -> Iterator[list[Worker]]:
    """Two processes beside the server."""
    url = server.settings["DATABASE_URL"]
    both = [Worker(server.instance, url, AT_ONCE) for _ in range(2)]
    try:
        assert [worker.hear() for worker in both] == ["ready", "ready"]
        yield both
    finally:
        for worker in both:
            worker.end()


@pytest.fixture
def run(server: Server) -> Callable[..., list[tuple[Any, ...]]]:
    url = server.settings["DATABASE_URL"]
    return lambda statement, **values: databases.run(
        server.instance, statement, database=url, **values
    )


@pytest.fixture
def outside(postgresql: Databases, server: Server) -> Iterator[psycopg.Connection[Any]]:
    """Another client of the database, in a transaction of its own."""
    with postgresql.connect(postgresql.names[server.instance]) as connection:
        connection.autocommit = False
        yield connection
        connection.rollback()


def test_nobody_is_reminded_twice(
    server: Server, workers: list[Worker], alice: Person, run: Any, outside: Any
) -> None:
    """The first process cannot commit yet when the second looks for what is due."""
    today = datetime.now(timezone.utc).date().isoformat()
    due = {"op": "create", "data": {"title": "x", "due_date": today}}
    assert alice.rest.post("/tasks/bulk", {"operations": [due] * DUE}).status_code == 200
    outside.execute("UPDATE log_head SET seq = seq")
    for worker in workers:
        worker.tell("notification.remind")
    until(lambda: run(WAITING)[0][0] >= 1)
    outside.rollback()
    assert sum(worker.hear()["reminded"] for worker in workers) == DUE
    for worker in workers:  # nor later
        worker.tell("notification.remind")
    assert [worker.hear()["reminded"] for worker in workers] == [0, 0]
    notices = run("SELECT task_id FROM notifications WHERE user_id = :id", id=alice.id)
    assert len(notices) == len(set(notices)) == DUE


def test_pruning_beside_writers(
    server: Server, workers: list[Worker], alice: Person, run: Any
) -> None:
    """Two processes prune while others write: what is left has no hole, and nobody who reads
    from its beginning misses anything."""
    operations = [{"op": "create", "data": {"title": "x"}} for _ in range(OLD)]
    assert alice.rest.post("/tasks/bulk", {"operations": operations}).status_code == 200
    [(head, epoch)] = run("SELECT seq, epoch FROM log_head")
    run("UPDATE events SET created_at = :long_ago", long_ago=LONG_AGO)
    pruned = 0
    with Load(alice) as load:
        while True:
            for worker in workers:
                worker.tell("server.prune")
            told = [worker.hear()["pruned"] for worker in workers]
            pruned += sum(told)
            load.go_on(5)
            if told == [0, 0]:
                break
    assert set(load.statuses) == {201}
    assert pruned >= head
    [(last, floor)] = run("SELECT seq, floor FROM log_head")
    assert floor == head
    log = read_log(server.instance, server.settings["DATABASE_URL"])
    assert [entry.seq for entry in log] == list(range(head + 1, last + 1))
    rooms = "SELECT seq, json_array_length(CAST(rooms AS json)) FROM events"
    assert Counter(seq for (seq,) in run("SELECT seq FROM event_rooms")) == dict(run(rooms))
    reader = connect("sse", server.url, alice, since=head, epoch=epoch)
    reader.until_seq(last)
    session = Session(alice.id, "member", head)
    session.seen = reader.events
    check_delivery(log, session, last)


def test_pruning_keeps_no_writer_waiting(
    server: Server, workers: list[Worker], alice: Person, run: Any, outside: Any
) -> None:
    """However long it takes: here somebody holds one of the rows that are to go."""
    alice.rest.new_task()
    run("UPDATE events SET created_at = :long_ago", long_ago=LONG_AGO)
    key = "INSERT INTO idempotency_keys (actor_id, key, fingerprint, body, created_at)"
    run(f"{key} VALUES (:id, 'old', '', '{{}}', :long_ago)", id=alice.id, long_ago=LONG_AGO)
    outside.execute("SELECT 1 FROM idempotency_keys WHERE key = 'old' FOR UPDATE")
    workers[0].tell("server.prune")
    until(lambda: run(WAITING)[0][0] >= 1)
    began = time.monotonic()
    alice.rest.new_task()
    took = time.monotonic() - began
    outside.rollback()
    assert workers[0].hear()["pruned"]
    print(f"a write while pruning waits: {took * 1000:.0f} ms")
    assert took < 2


def test_sight_changes_with_its_event(server: Server, alice: Person, run: Any) -> None:
    """`sight_seq` is the number of the event that tells of the new role, whoever writes meanwhile:
    one less and a client would go on from before it, one more and it would read all again."""
    admin, bob = accounts.admin(server), accounts.register(server.url, "Bob")
    with Load(alice) as load:
        for role in ("admin", "member") * 4:
            load.go_on(3)
            answer = admin.rest.put(f"/users/{bob.id}", {"role": role})
            assert answer.status_code == 200
            [(sight,)] = run("SELECT sight_seq FROM users WHERE id = :id", id=bob.id)
            told = run("SELECT max(seq) FROM events WHERE type = 'user_changed'")
            assert told == [(sight,)]
    assert set(load.statuses) == {201}


def test_nothing_is_asked_between_the_numbers_and_the_commit(
    postgresql: Databases, tmp_path: Path
) -> None:
    """Every writer of every process waits meanwhile."""
    app = create_app(
        Config(
            {"INSTANCE_PATH": str(tmp_path), "DATABASE_URL": postgresql.of(tmp_path)},
            async_mode="threading",
        )
    )
    name = postgresql.names[tmp_path]
    postgresql.query(f"ALTER DATABASE {name} SET log_statement = 'all'")
    account = {"username": "Boss", "password": accounts.PASSWORD, "role": "admin"}
    with app.app_context():
        boss = execute(SYSTEM, "user.create", account).body["user"]
        actor = Actor(boss["id"], "Boss", "admin")
        two = [{"op": "create", "data": {"title": title}} for title in ("Zoë", 'a "\\ b')]
        execute(actor, "task.bulk", {"operations": two})
        execute(actor, "task.create", {"title": "Zoë", "assigned_to": actor.id})
    with postgresql.connect(name) as connection:
        connection.execute("SELECT 'the last of it'")
    until(lambda: "the last of it" in postgresql.server.log)
    asked = re.findall(STATEMENT, postgresql.server.log)
    numbers = [at for at, sql in enumerate(asked) if "UPDATE log_head SET seq" in sql]
    assert len(numbers) == 2
    assert [asked[at + 1].strip() for at in numbers] == ["COMMIT"] * 2
    log = read_log(tmp_path, postgresql.of(tmp_path))
    assert [entry.seq for entry in log] == [1, 2, 3]


# --- a database that is not what it was


def test_a_standby_serves_reads(postgresql: Databases, server: Server, alice: Person) -> None:
    """As after a failover to one that was not promoted: 503 for writes, and all is well after."""
    name = postgresql.names[server.instance]

    def read_only(state: str) -> None:
        postgresql.query(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")
        postgresql.query(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )

    task = alice.rest.new_task()
    read_only("on")
    try:
        refused = alice.rest.patch(f"/tasks/{task['id']}", {"title": "B"})
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert alice.rest.get(f"/tasks/{task['id']}").json() == task
    finally:
        read_only("off")
    until(lambda: alice.rest.patch(f"/tasks/{task['id']}", {"title": "B"}).status_code == 200)


def hang() -> None:
    with database.writing(5) as tx:
        events.next_seq(tx)
        told, _, _ = select.select([tx.session.driver.fileno()], [], [], 10)
        assert told  # it says that this is the end
        events.next_seq(tx)


def test_a_process_that_hung_in_a_transaction(postgresql: Databases, tmp_path: Path) -> None:
    """The database has ended it, for the others' sake: 503, and the next one is good."""
    settings = {
        "INSTANCE_PATH": str(tmp_path),
        "DATABASE_URL": postgresql.of(tmp_path),
        "DATABASE_TIMEOUT_SECONDS": "1",
    }
    app = create_app(Config(settings, async_mode="threading"))
    with app.app_context():
        with pytest.raises(AppError, match="cannot be used") as refused:
            hang()
        assert refused.value.status == 503
        assert execute(SYSTEM, "server.prune", {}).body["pruned"] == 0
