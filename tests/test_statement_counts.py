"""How many statements each command costs: a query that slips into a loop, or one too many on the
way of every request, changes a line of this table and is seen in the review."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask

from task_app import auth, cache, events
from task_app.access import SYSTEM, Actor
from task_app.commands import COMMANDS, NOT_MODIFIED, authenticate, execute
from task_app.errors import AppError
from task_app.models.user import ADMIN, MEMBER
from task_app.transactions import Transaction
from tests.conftest import sqlite_only
from tests.support import sessions, statements
from tests.support.accounts import PASSWORD
from tests.support.statements import recorded

pytestmark = sqlite_only

BOSS = Actor(1, "admin", ADMIN, "session 1")
ALICE, BOB, CHARLIE = (
    Actor(number, name, MEMBER, f"session {number}")
    for number, name in enumerate(("alice", "bob", "charlie"), 2)
)
TASK, NOTICE = "task", "notice"  # a case's target: a new task of Alice's, a notice of Bob's
NAME = {"username": "alice", "password": PASSWORD}
BEAT = {"id": "another process", "clients": 3, "signed_in": 2}
THREE = {"operations": [{"op": "create", "data": {"title": "Sow"}}] * 3}


@dataclass(frozen=True)
class Case:
    command: str
    actor: Actor
    payload: dict[str, Any]
    expected: str
    target: str | int | None = None
    name: str = ""
    options: dict[str, Any] = field(default_factory=dict)


# LOG stands for the three statements that append to the log: its counter, the events, their
# rooms; however many events there are.  A read ends with ROLLBACK: there is nothing to commit.
LOG = "UPDATE INSERT INSERT"
CASES = [
    Case("task.create", ALICE, {"title": "Sow"}, "BEGIN INSERT LOG COMMIT"),
    # Is there such a user?; the notification.
    Case(
        "task.create",
        ALICE,
        {"title": "Sow", "assigned_to": BOB.id},
        "BEGIN SELECT INSERT INSERT LOG COMMIT",
        name="assigned",
    ),
    # Has the key been used?; keep the answer.
    Case(
        "task.create",
        ALICE,
        {"title": "Sow"},
        "BEGIN SELECT INSERT LOG INSERT COMMIT",
        name="with a key",
        options={"request_id": "a key"},
    ),
    # A statement on its own is a transaction.
    Case("task.get", ALICE, {}, "SELECT", TASK),
    # Where the log stands and what is new to the reader, for the ETag; the page.
    Case("task.list", ALICE, {}, "BEGIN SELECT SELECT ROLLBACK"),
    Case("task.list", BOSS, {}, "BEGIN SELECT SELECT ROLLBACK", name="admin"),
    # The end of the window as well.
    Case("task.list", BOSS, {"q": "x"}, "BEGIN" + " SELECT" * 3 + " ROLLBACK", name="search"),
    Case("task.update", ALICE, {"title": "Reap"}, "BEGIN SELECT UPDATE LOG COMMIT", TASK),
    Case("task.update", ALICE, {"done": True}, "BEGIN SELECT UPDATE LOG COMMIT", TASK, "done"),
    Case("task.update", ALICE, {"title": "Sow"}, "BEGIN SELECT COMMIT", TASK, "nothing new"),
    Case(
        "task.update",
        ALICE,
        {"assigned_to": BOB.id},
        "BEGIN SELECT SELECT UPDATE INSERT LOG COMMIT",
        TASK,
        "assign",
    ),
    Case("task.delete", ALICE, {}, "BEGIN SELECT DELETE LOG COMMIT", TASK),
    Case("task.delete", ALICE, {}, "BEGIN SELECT ROLLBACK", 999, "not found"),
    Case("task.bulk", ALICE, THREE, "BEGIN INSERT INSERT INSERT LOG COMMIT", name="three"),
    # Where the log stands, the page, how many are unread.
    Case("notification.list", BOB, {}, "BEGIN SELECT SELECT SELECT ROLLBACK"),
    Case("notification.read", BOB, {}, "BEGIN SELECT UPDATE LOG COMMIT", NOTICE),
    Case("notification.read_all", CHARLIE, {}, "BEGIN UPDATE COMMIT"),
    # Two transactions: no password is checked while one is open.
    Case("user.login", SYSTEM, NAME, "BEGIN SELECT ROLLBACK BEGIN UPDATE COMMIT"),
    Case(
        "user.register",
        SYSTEM,
        {"username": "dora", "password": PASSWORD},
        "BEGIN SELECT INSERT COMMIT",
    ),
    Case("user.logout", CHARLIE, {}, "BEGIN SELECT INSERT UPDATE INSERT COMMIT"),
    Case("user.profile", ALICE, {}, "BEGIN SELECT ROLLBACK"),
    Case("user.list", BOSS, {}, "BEGIN SELECT ROLLBACK"),
    Case("user.get", BOSS, {}, "BEGIN SELECT ROLLBACK", ALICE.id),
    # Who is at other processes; the page.
    Case("person.list", ALICE, {}, "BEGIN SELECT SELECT ROLLBACK"),
    # How far back the log goes; the numbers of the events; the events with their actors.
    Case("activity.list", ALICE, {}, "BEGIN SELECT SELECT SELECT ROLLBACK"),
    Case(
        "user.update_profile",
        CHARLIE,
        {"email": "charlie@example.org"},
        "BEGIN SELECT SELECT UPDATE UPDATE INSERT COMMIT",
    ),
    # How many have it in other processes.
    Case("broadcast.send", BOSS, {"type": "news", "data": 1}, "BEGIN SELECT LOG COMMIT"),
    Case("notification.remind", SYSTEM, {}, "BEGIN SELECT COMMIT"),
    Case("ticket.create", ALICE, {}, "BEGIN INSERT COMMIT"),
    # Events, then answers, tickets, revocations and processes that are past their time.
    Case("server.prune", SYSTEM, {}, "BEGIN SELECT SELECT DELETE DELETE DELETE DELETE COMMIT"),
    Case("server.beat", SYSTEM, {**BEAT, "id": "new"}, "BEGIN UPDATE INSERT COMMIT", name="first"),
    Case("server.beat", SYSTEM, BEAT, "BEGIN UPDATE COMMIT"),
    Case("server.leave", SYSTEM, {"id": "nobody"}, "BEGIN DELETE COMMIT"),
]
# Commands an administrator or a person gives a few times a year.
RARE = {
    "user.refresh",
    "user.change_password",
    "user.create",
    "user.update",
    "user.delete",
    "user.adopt",
    "ticket.redeem",
    "server.settle_log",
    "server.new_epoch",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = statements.prepared(tmp_path_factory.mktemp("instance"))
    with app.app_context():
        for actor in (ALICE, BOB, CHARLIE):
            account = {"username": actor.username, "password": PASSWORD}
            assert execute(BOSS, "user.create", account).body["user"]["id"] == actor.id
        execute(SYSTEM, "server.beat", BEAT)
        yield app


def new_task(**fields: Any) -> int:
    return int(execute(ALICE, "task.create", {"title": "Sow", **fields}).body["id"])


def target_of(case: Case) -> int | None:
    if case.target == TASK:
        return new_task()
    if case.target == NOTICE:
        new_task(assigned_to=BOB.id)
        return int(execute(BOB, "notification.list", {}).body[0]["id"])
    return case.target if isinstance(case.target, int) else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.command} {case.name}".strip())
def test_statements(app: Flask, case: Case) -> None:
    target = target_of(case)
    cache.pages.clear()
    with recorded() as caught, suppress(AppError):
        execute(case.actor, case.command, case.payload, target=target, **case.options)
    assert caught.verbs == case.expected.replace("LOG", LOG)


def test_every_command_is_in_the_table() -> None:
    assert {case.command for case in CASES} | RARE == set(COMMANDS)


def test_a_list_that_has_not_changed(app: Flask) -> None:
    validator = execute(ALICE, "task.list", {}).validator
    with recorded() as caught:
        assert execute(ALICE, "task.list", {}, known=[validator or ""]).status == NOT_MODIFIED
    assert caught.verbs == "BEGIN SELECT ROLLBACK"


def test_a_list_that_was_read_a_moment_ago(app: Flask) -> None:
    """Where the log stands and what is new to the reader; nothing is, so the page is at hand."""
    first = execute(ALICE, "task.list", {"limit": 3}).body
    with recorded() as caught:
        assert execute(ALICE, "task.list", {"limit": 3}).body == first
    assert caught.verbs == "BEGIN SELECT ROLLBACK"
    made = new_task()
    with recorded() as caught:
        assert execute(ALICE, "task.list", {"sort": "-id", "limit": 3}).body[0]["id"] == made
    assert caught.verbs == "BEGIN SELECT SELECT ROLLBACK"


def test_a_token_is_looked_up_once(app: Flask) -> None:
    token = execute(SYSTEM, "user.login", NAME).body["access_token"]
    auth.known_tokens.clear()
    with recorded() as first:
        authenticate(token)
    with recorded() as second:
        authenticate(token)
    assert (first.verbs, second.verbs) == ("SELECT", "")


def test_health(app: Flask) -> None:
    """The head of the log; the other processes' connections."""
    with recorded() as caught:
        assert app.test_client().get("/health").status_code == 200
    assert caught.verbs == "BEGIN SELECT SELECT ROLLBACK"


def test_create_over_a_socket(app: Flask) -> None:
    """The token in the payload, known already, and the delivery cost no statement."""
    token = execute(SYSTEM, "user.login", NAME).body["access_token"]
    session = sessions.connect(token)
    command = json.dumps(["create_task", {"title": "Sow", "token": token}])
    with recorded() as caught:
        session.handle(f"421{command}")
    (answer,) = [packet.data for packet in session.poll() if packet.data.startswith("31")]
    assert json.loads(answer[2:])[0]["title"] == "Sow"
    assert caught.verbs == "BEGIN INSERT LOG COMMIT".replace("LOG", LOG)
    session.close()


def test_one_more_is_noticed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    real = events.append

    def wasteful(tx: Transaction, request_id: str) -> list[events.Event]:
        events.head(tx)
        return real(tx, request_id)

    monkeypatch.setattr(events, "append", wasteful)
    with pytest.raises(AssertionError, match="SELECT"):
        test_statements(app, CASES[0])
