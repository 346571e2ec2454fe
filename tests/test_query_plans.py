"""No read goes through a table that grows: what SQLite says it will do, and what it then does.

The statements are those that SQLite runs for the server's own functions.  They
are looked at in two ways.

*The plan* (EXPLAIN QUERY PLAN).  A full scan is, on a table that grows:

- `SCAN table`, with or without an index, unless the statement has a LIMIT, no WHERE, and nothing
  to sort (`USE TEMP B-TREE`): such a scan is in the order asked for and ends at the limit;
  (A range of an index is never a SCAN to SQLite but a SEARCH, so no condition excuses one.)
- a sort (`USE TEMP B-TREE`) in a statement, unless each table in it is searched for what one
  person has (`user_id=?`, `assigned_to=?`, `room=?`) or by id (`rowid=?`): it reads all before
  it returns the first;
- an index that SQLite would make for this one statement (`AUTOMATIC`).

*The work*: how many steps SQLite's machine takes.  A plan cannot tell how many rows a SEARCH
goes through before it has a page, so the same reads are run with a hundred and with 2 000 other
people's tasks about, and must not take more steps.  Steps are counted, not timed: the figure is
the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from task_app import database, events, idempotency, presence, queries, task_lists
from task_app.access import SYSTEM, Actor
from task_app.commands import execute
from task_app.models.user import ADMIN, MEMBER
from task_app.schemas.task import SORTS
from tests.conftest import sqlite_only
from tests.support import statements
from tests.support.statements import recorded

pytestmark = sqlite_only

GROWING = (
    "tasks",
    "users",
    "events",
    "event_rooms",
    "notifications",
    "idempotency_keys",
    "revoked_tokens",
    "processes",
)
ALICE = Actor(2, "alice", MEMBER, "session")
BOSS = Actor(1, "admin", ADMIN, "session")
WINDOW = 50  # of an admin's search, here
OWN = 40  # tasks Alice sees

FILTERS: dict[str, Any] = {
    "status": "todo",
    "priority": "high",
    "done": True,
    "due_date": "2026-03-01",
    "due_before": "2026-03-01",
    "due_after": "2026-02-20",
    "updated_since": "2026-02-10T00:00:00.000000Z",
    "user_id": 2,
    "assigned_to": 2,
    "q": "graft",
}
QUERIES: list[dict[str, Any]] = [
    {},
    {"done": False},
    *({name: value} for name, value in FILTERS.items()),
    *({"sort": sort} for sort in SORTS),
    *({"sort": sort, "status": "todo"} for sort in SORTS),
    {"due_after": "2026-02-01", "due_before": "2026-03-01"},
    {"status": "todo", "priority": "low", "q": "sow"},
    {"status": "todo", "priority": "low", "sort": "title", "q": "sow"},
    {"user_id": 3},  # somebody else's, of which Alice sees a few at most
    {"assigned_to": 3},
    {"updated_since": FILTERS["updated_since"], "sort": "updated_at", "done": False},
    FILTERS,
]


def fill(app: Flask, others: int) -> None:
    """Alice's tasks among those of others; an event and a notification for each."""
    db = statements.database(app)
    db.execute("BEGIN")
    every = others // OWN
    for number in range(1, others + 1):
        mine = number % every == 0
        which = number // every if mine else number
        owner = 2 if mine and which % 4 else 3 + number % 20
        row = (
            number,
            ("sow", "reap", "graft")[which % 3],
            ("todo", "in_progress", "completed")[which % 3],
            ("low", "medium", "high")[which // 3 % 3],
            None if which % 5 == 0 else f"2026-02-{1 + which % 28:02}",
            owner,
            owner,
            2 if mine and owner != 2 else None,
            f"2026-01-01T00:00:00.{number:06}Z",
            f"2026-02-{1 + which % 28:02}T00:00:00.000000Z",
        )
        db.execute(
            "INSERT INTO tasks (id, title, status, priority, due_date, user_id, created_by, "
            "assigned_to, created_at, updated_at, version) VALUES (?,?,?,?,?,?,?,?,?,?,1)",
            row,
        )
        at = row[8]
        row = (number, 1, at)
        db.execute("INSERT INTO events VALUES (?, 'x', ?, 1, '{}', '[]', '[]', ?, NULL)", row)
        rooms = [(f"user:{2 if mine else owner}", number), ("role:admin", number)]
        db.executemany("INSERT INTO event_rooms VALUES (?, ?)", rooms)
        db.execute(
            "INSERT INTO notifications (user_id, kind, message, is_read, created_at) "
            "VALUES (?, 'moved', '', ?, ?)",
            (2 if mine else owner, which % 2, at),
        )
        db.execute("INSERT INTO revoked_tokens VALUES (?, 4000000000)", (f"s{number}",))
    db.execute("UPDATE log_head SET seq = ?", (others,))
    db.execute("COMMIT")
    db.close()


def make(folder: Path, others: int) -> Flask:
    app = statements.prepared(folder)
    with app.app_context():
        for number in range(2, 23):
            name = "alice" if number == 2 else f"person-{number}"
            statements.database(app).execute(
                "INSERT INTO users (id, username, role, is_active, date_joined, token_generation,"
                " sight_seq) VALUES (?, ?, 'member', 1, '', 0, 0)",
                (number, name),
            )
    fill(app, others)
    return app


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make(tmp_path_factory.mktemp("crowded"), 2_000)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make(tmp_path_factory.mktemp("quiet"), 100)


@pytest.fixture(autouse=True)
def _small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_lists, "WINDOW", WINDOW)


# --- what is read

Read = Callable[[], Any]


def listing(actor: Actor, query: dict[str, Any]) -> Read:
    """The first page, and the second by its cursor."""

    def read() -> None:
        first = page(actor, query)
        if first.cursor is not None:
            page(actor, query | {"cursor": first.cursor})

    return read


def page(actor: Actor, query: dict[str, Any]) -> Any:
    with database.reading() as tx:
        return task_lists.list_tasks(tx, actor, {"limit": 5, **query})


def reading(query: Callable[..., Any], *arguments: Any) -> Read:
    def read() -> None:
        with database.reading() as tx:
            query(tx, *arguments)

    return read


def command(actor: Actor, name: str, payload: Any = None, **options: Any) -> Read:
    return lambda: execute(actor, name, payload or {}, **options)


READS: dict[str, Read] = {
    f"{actor.username}: {query or 'all'}": listing(actor, query)
    for actor in (ALICE, BOSS)
    for query in QUERIES
}
READS |= {
    "task by id": reading(queries.access_task_by_id, BOSS, 50),
    "user by id": reading(queries.user_by_id, 2),
    "user by name": reading(queries.users_by_name, "alice"),
    "user by external id": reading(queries.user_by_external_id, "issuer|subject"),
    "is a session revoked": reading(queries.is_revoked, "s50"),
    "news, member": reading(queries.news_of, ALICE),
    "news, admin": reading(queries.news_of, BOSS),
    "events after seq": reading(events.since, 60, 20),
    "replay, member": reading(queries.events_for, ALICE, 0, 50),
    "replay, admin": reading(queries.events_for, BOSS, 0, 50),
    "kept answer": reading(idempotency.kept_answer, idempotency.Key(2, "key", "")),
    "other processes": reading(presence.elsewhere),
    "users": reading(queries.list_users, BOSS, {"limit": 5}),
    "notifications": reading(queries.list_notifications, ALICE, {"limit": 5}),
    "unread notifications": reading(
        queries.list_notifications, ALICE, {"limit": 5, "is_read": False}
    ),
    "one notification": lambda: command(BOSS, "notification.list")(),
}
# Writes find their rows too.  Each is one that changes nothing the next reads.
WRITES: dict[str, Read] = {
    "create": command(ALICE, "task.create", {"title": "sow"}, request_id="new"),
    "mark all read": command(ALICE, "notification.read_all"),
    "prune": command(SYSTEM, "server.prune"),
    "remind": command(SYSTEM, "notification.remind"),
    "beat": command(SYSTEM, "server.beat", {"id": "new", "clients": 1, "signed_in": 1}),
    "leave": command(SYSTEM, "server.leave", {"id": "new"}),
}


# --- the plan


def faults(sql: str, plan: list[str]) -> list[str]:
    """What in this plan is a full scan, as the module's docstring says."""
    limited = "LIMIT" in sql and "WHERE" not in sql
    sorts = any("TEMP B-TREE" in step for step in plan)
    own = all(
        re.search(r"\((user_id|assigned_to|room|rowid)=\?", step)
        for step in plan
        if "SEARCH" in step
    )
    found = [step for step in plan if "AUTOMATIC" in step]
    for step in plan:
        scanned = re.match(r"SCAN (\w+)", step)
        if scanned and scanned[1] in GROWING and (sorts or not limited):
            found.append(step)
    if sorts and not own:
        found.append(f"sorts: {plan}")
    return found


def scans(app: Flask, read: Read) -> list[str]:
    """The full scans among what `read` runs."""
    with app.app_context(), recorded() as caught:
        read()
    db = statements.database(app)
    found = []
    for sql in caught.ran:
        if sql.split(None, 1)[0] in ("SELECT", "UPDATE", "DELETE"):
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
            found += [f"{fault}\n  in {sql}" for fault in faults(sql, plan)]
    db.close()
    return found


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_no_full_scan(crowded: Flask, name: str) -> None:
    assert scans(crowded, (READS | WRITES)[name]) == []


@pytest.fixture
def without_index(crowded: Flask) -> Iterator[Callable[[str], None]]:
    """Drops an index of the test's database until the test ends."""
    db = statements.database(crowded)
    dropped: list[str] = []

    def drop(name: str) -> None:
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        db.execute(f"DROP INDEX {name}")
        dropped.append(sql)

    yield drop
    for sql in dropped:
        db.execute(sql)
    db.close()


# Each index of the tasks, and a read that is a full scan without it.
NEEDED = {
    "ix_tasks_status": "admin: {'status': 'todo'}",
    "ix_tasks_due": "admin: {'sort': 'due_date'}",
    "ix_tasks_priority": "admin: {'sort': '-priority'}",
    "ix_tasks_updated": "admin: {'sort': 'updated_at'}",
    "ix_tasks_title": "admin: {'sort': 'title'}",
    "ix_notifications_user": "notifications",
    "ix_users_username": "user by name",
    "ix_users_email": "user by name",
    "ix_revoked_tokens_expires_at": "prune",
    "ix_idempotency_keys_created_at": "prune",
    "ix_processes_seen_at": "other processes",
}


@pytest.mark.parametrize("index", NEEDED)
def test_a_missing_index_is_noticed(
    crowded: Flask, without_index: Callable[[str], None], index: str
) -> None:
    without_index(index)
    assert scans(crowded, (READS | WRITES)[NEEDED[index]]) != []


def row_reads(app: Flask, read: Read) -> list[str]:
    """Where `read` looks into rows of a member's tasks to find those of the page."""
    with app.app_context(), recorded() as caught:
        read()
    db = statements.database(app)
    found = []
    for sql in caught.ran:
        if "UNION ALL" in sql:
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
            steps = [step for step in plan if step.startswith("SEARCH tasks")]
            assert steps.pop().endswith("USING INTEGER PRIMARY KEY (rowid=?)")  # the page itself
            found += [step for step in steps if "USING COVERING INDEX" not in step]
    db.close()
    return found


# Without a filter and in order of id, an index in that order is read as far as the page goes.
BY_ID: list[dict[str, Any]] = [
    {},
    *({"sort": s} for s in SORTS if s.endswith(("id", "created_at"))),
]
CHOSEN = [query for query in QUERIES if "q" not in query and query not in BY_ID]


@pytest.mark.parametrize("query", CHOSEN, ids=str)
def test_a_page_is_found_in_indexes_alone(crowded: Flask, query: dict[str, Any]) -> None:
    assert row_reads(crowded, listing(ALICE, query)) == []


@pytest.mark.parametrize("index", ["ix_tasks_user_list", "ix_tasks_assignee_list"])
def test_reading_rows_is_noticed(
    crowded: Flask, without_index: Callable[[str], None], index: str
) -> None:
    without_index(index)
    assert row_reads(crowded, listing(ALICE, {"sort": "title"})) != []


def test_both_indexes_of_a_person_missing(
    crowded: Flask, without_index: Callable[[str], None]
) -> None:
    """Either one serves a list; without both nothing finds what a person has."""
    for index in ("ix_tasks_assignee", "ix_tasks_assignee_list"):
        without_index(index)
    assert scans(crowded, READS["alice: all"]) != []


# --- the work


def steps(app: Flask, read: Read) -> int:
    """How many steps SQLite's machine takes for what `read` runs."""
    with app.app_context(), recorded() as caught:
        read()
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    db = statements.database(app)
    db.set_progress_handler(count, 1)
    for sql in caught.ran:
        if sql.startswith("SELECT"):
            db.execute(sql).fetchall()
    db.close()
    return taken


@pytest.mark.parametrize("name", READS)
def test_others_cost_nothing(quiet: Flask, crowded: Flask, name: str) -> None:
    few, many = steps(quiet, READS[name]), steps(crowded, READS[name])
    # An admin's two pages end at two windows of 50 rows, where a hundred tasks may end sooner.
    assert many <= 1.3 * few + 1_500


def test_work_is_noticed(quiet: Flask, crowded: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the window an admin's search looks at every task."""
    monkeypatch.setattr(task_lists, "WINDOW", 10**6)
    search = listing(BOSS, {"q": "nowhere"})
    assert steps(crowded, search) > 5 * steps(quiet, search)
