"""On PostgreSQL: the order of the log, races between transactions, text, and who waits for whom."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from task_app.postgres import WAIT_SECONDS
from tests.faults import form
from tests.faults.checker import finish_one
from tests.faults.figures import figure
from tests.faults.recorder import Operation, Recorder
from tests.faults.test_refused import is_clear
from tests.support import accounts, postgres
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest, Socket
from tests.support.postgres import Databases
from tests.support.readers import Reader, connect
from tests.support.server import Server, refusal, running
from tests.support.snapshots import snapshot
from tests.support.waits import until

Listen = Callable[..., Socket]
NO_TASK = {"id": 0, "assigned_to": None}  # so that its end changes no list


@pytest.fixture(scope="module")
def server(postgresql: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    instance = tmp_path_factory.mktemp("instance")
    with running(Server(instance, DATABASE_URL=postgresql.of(instance))) as one:
        yield one


@pytest.fixture(scope="module")
def admin(server: Server) -> Person:
    return accounts.admin(server)


@pytest.fixture
def outside(postgresql: Databases, server: Server) -> Iterator[psycopg.Connection[Any]]:
    """Another client of the server's database, in a transaction of its own."""
    with postgresql.connect(postgresql.names[server.instance]) as connection:
        connection.autocommit = False
        yield connection
        connection.rollback()


def waiting(outside: psycopg.Connection[Any]) -> int:
    """How many of the server's statements wait for a lock."""
    found = outside.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    ).fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.fault("held_open")
def test_no_reader_skips_a_transaction_held_open(
    postgresql: Databases, server: Server, alice: Person, outside: Any
) -> None:
    """n is held open; n+1 cannot be committed, so nobody can see it first."""
    history, hers = Recorder(), connect("socketio", server.url, alice)
    since = hers.notice("ready")["seq"]
    rounds = form.rounds("a transaction held open", short=1, long=50, share=0.01)
    skipped = [skips(postgresql, server, alice, history, hers, outside) for _ in rounds]
    figure("held_open", "skipped", sum(skipped), len(skipped))
    url = server.settings["DATABASE_URL"]
    finish_one("held_open", history, alice, server.instance, url, since=since, readers=[hers])
    hers.close()


def skips(
    postgresql: Databases,
    server: Server,
    alice: Person,
    history: Recorder,
    hers: Reader,
    outside: Any,
) -> bool:
    """Whether a reader got n + 1 without, or before, n."""
    before = len(hers.events)
    [seq] = outside.execute("UPDATE log_head SET seq = seq + 1 RETURNING seq").fetchone()
    outside.execute(
        "INSERT INTO events VALUES (%s, 'task_deleted', 0, 1, %s, '[]', %s, '', NULL)",
        (seq, json.dumps(NO_TASK | {"user_id": alice.id}), f'["user:{alice.id}"]'),
    )
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(history.send, alice, "POST", "/tasks", {"title": "Later"})
        with postgresql.connect(postgresql.names[server.instance]) as watch:
            until(lambda: waiting(watch))
        reader = Rest(server.url, alice.token)
        assert int(reader.get("/tasks").headers["X-Event-Seq"]) == seq - 1  # nobody waits to read
        assert not later.done()
        outside.commit()
        made = later.result()
    assert hers.until(made.answer["id"]).seq == seq + 1
    return hers.seqs[before:] != [seq, seq + 1]


def test_a_slow_database_stalls_nobody_else(
    server: Server, alice: Person, outside: Any, postgresql: Databases
) -> None:
    """A write that waits inside PostgreSQL keeps neither readers nor the hub."""
    task = alice.rest.new_task()
    outside.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", (task["id"],))
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(
            Rest(server.url, alice.token).patch, f"/tasks/{task['id']}", {"title": "B"}
        )
        with postgresql.connect(postgresql.names[server.instance]) as watch:
            until(lambda: waiting(watch))
        began = time.monotonic()
        assert alice.rest.get("/tasks").status_code == 200
        assert time.monotonic() - began < 1  # left to itself psycopg would wait in libpq
        assert not held.done()
        outside.rollback()
        assert held.result().json()["title"] == "B"


def test_a_lock_that_does_not_come(server: Server, alice: Person, outside: Any) -> None:
    task = alice.rest.new_task()
    outside.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", (task["id"],))
    began = time.monotonic()
    answer = alice.rest.patch(f"/tasks/{task['id']}", {"title": "B"})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert time.monotonic() - began < WAIT_SECONDS + 2


def test_sent_again_while_it_is_still_being_done(
    server: Server, alice: Person, outside: Any, postgresql: Databases
) -> None:
    """As by a client that was cut off and asks another process (the writers of one are as much
    apart): neither finds an answer kept, and the second finds what the first has done."""
    task, key = alice.rest.new_task(), {"Idempotency-Key": unique("key")}
    outside.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", (task["id"],))

    def delete() -> Any:
        return Rest(server.url, alice.token).delete(f"/tasks/{task['id']}", headers=key)

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(delete) for _ in range(2)]
        with postgresql.connect(postgresql.names[server.instance]) as watch:
            until(lambda: waiting(watch) == len(both))
        outside.rollback()
        first, again = [one.result() for one in both]
    assert (first.status_code, again.status_code) == (200, 200), (first.text, again.text)
    assert first.json() == again.json()


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Call all at once, each from a thread of its own."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_one_key_at_once_makes_one_task(server: Server, alice: Person) -> None:
    key = {"Idempotency-Key": unique("key")}

    def create() -> Any:
        return Rest(server.url, alice.token).post("/tasks", {"title": "Sow"}, headers=key)

    answers = together(*[create] * 8)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(alice.rest.get("/tasks").json()) == 1


def test_one_name_at_once_makes_one_account(server: Server) -> None:
    body = {"username": unique("Twin"), "password": PASSWORD}
    answers = together(*[lambda: Rest(server.url).post("/register", body)] * 6)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


@pytest.mark.fault("same_version")
def test_one_version_at_once(server: Server, alice: Person) -> None:
    history, since = Recorder(), snapshot("sse", server.url, alice)[1]
    path = f"/tasks/{history.send(alice, 'POST', '/tasks', {'title': 'Sow'}).task_id}"

    def change(title: str) -> Operation:
        client, seen = Rest(server.url, alice.token), {"If-Match": '"1"'}
        return history.send(alice, "PATCH", path, {"title": title}, by=client, headers=seen)

    answers = together(*(lambda n=n: change(f"By {n}") for n in range(4)))
    won, *lost = sorted(answers, key=lambda done: done.status)
    wrong = [one for one in lost if one.status != 412 or one.answer["current"] != won.answer]
    figure("same_version", "wrong", len(wrong) + (won.status != 200), len(lost))
    url = server.settings["DATABASE_URL"]
    finish_one("same_version", history, alice, server.instance, url, since=since)


def test_two_admins_cannot_both_go(
    postgresql: Databases, server: Server, admin: Person, outside: Any
) -> None:
    """Each takes the other's place away, before either has committed; the one left must stay."""
    body = {"username": unique("Boss"), "password": PASSWORD, "role": "admin"}
    other = admin.rest.post("/users", body).json()["user"]
    boss = accounts.sign_in(server.url, body["username"], PASSWORD)
    outside.execute("UPDATE log_head SET seq = seq")  # so that neither can commit
    change = {"role": "member"}
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(admin.rest.put, f"/users/{other['id']}", change),
            pool.submit(boss.rest.put, f"/users/{admin.id}", change),
        ]
        with postgresql.connect(postgresql.names[server.instance]) as watch:
            until(lambda: waiting(watch) == 2)
        outside.rollback()
        assert sorted(job.result().status_code for job in jobs) == [200, 409]
    [left] = [one for one in (admin, boss) if one.rest.get("/users").status_code == 200]
    if left is boss:  # put things back for the tests to come
        assert boss.rest.put(f"/users/{admin.id}", {"role": "admin"}).status_code == 200


@pytest.mark.parametrize(
    "data",
    [{"a": "x\x00y"}, {"\x00": [1]}, "\x00", {"n": 2**53, "f": 1e300, "g": 0.1}, [[[[]]]], None],
)
def test_a_broadcast_holds_anything(
    server: Server, admin: Person, alice: Person, listen: Listen, data: Any
) -> None:
    """PostgreSQL keeps JSON with a NUL, but looks into none."""
    hers = listen(alice, server.url)
    sent = admin.rest.post("/broadcast", {"type": "anything", "data": data})
    assert sent.status_code == 200
    assert hers.wait_for("broadcast")["data"] == data


def test_text_is_by_code_point(
    postgresql: Databases, start: Callable[..., Server], server: Server
) -> None:
    """Whatever locale the database was made with: as on SQLite."""
    postgresql.query(
        "CREATE DATABASE elsewhere TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
    )
    url = postgresql.server.url("elsewhere")
    postgres.migrate(url, server.instance)
    running = start(DATABASE_URL=url)
    name = unique("ÉMILE")
    body = {"username": name, "password": PASSWORD}
    assert Rest(running.url).post("/register", body).status_code == 201
    emile = accounts.sign_in(running.url, name, PASSWORD)
    assert Rest(running.url).post("/register", body).status_code == 409
    titles = ["b", "a b", "A", "_", "ab", "Éclair", "a-b", "B"]
    for title in titles:
        emile.rest.new_task(title)
    listed = [task["title"] for task in emile.rest.get("/tasks?sort=title").json()]
    assert listed == sorted(titles)
    paged, path = [], "/tasks?sort=title&limit=3"
    while path:
        page = emile.rest.get(path)
        paged += [task["title"] for task in page.json()]
        path = page.links.get("next", {}).get("url", "")
    assert paged == listed
    found = {task["title"] for task in emile.rest.get("/tasks?q=B").json()}
    assert found == {"b", "a b", "ab", "a-b", "B"}
    assert running.stop() == 0


def test_migrations_at_once(
    postgresql: Databases, start: Callable[..., Server], server: Server
) -> None:
    """Four commands at once on an empty database, one schema; and no start before it is there."""
    postgresql.query("CREATE DATABASE fresh")
    url = postgresql.server.url("fresh")
    code, said = refusal(server.instance, DATABASE_URL=url)
    assert (code, said.count("\n")) == (1, 1)
    assert "flask --app app db upgrade" in said
    together(*[lambda: postgres.migrate(url, server.instance)] * 4)
    assert len(postgresql.query("SELECT version_num FROM alembic_version", "fresh")) == 1
    assert postgresql.query("SELECT seq, floor FROM log_head", "fresh") == [(0, 0)]
    together(*[lambda: start(DATABASE_URL=url, PORT="0")] * 2)
    assert postgresql.query("SELECT count(*) FROM users", "fresh") == [(1,)]  # one first admin


def test_no_database_at_start(server: Server) -> None:
    code, said = refusal(
        server.instance, DATABASE_URL="postgresql://tasks:hidden@127.0.0.1:9/tasks"
    )
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("The database cannot be used: ")
    assert "hidden" not in said


@pytest.mark.fault("refused")
def test_newer_schema_at_start(postgresql: Databases, tmp_path: Path) -> None:
    url = postgresql.of(tmp_path)
    version = "UPDATE alembic_version SET version_num = '9999'"
    postgresql.query(version, postgresql.names[tmp_path])
    said = refusal(tmp_path, DATABASE_URL=url)
    figure("refused", "other", not is_clear(said, ("newer version", "9999")))
