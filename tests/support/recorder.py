"""The recorder and the checker of FAULTS: what was sent, what came back, and what must hold.

    history = Recorder()
    history.send(alice, "POST", "/tasks", {"title": "Sow"})     # from any thread
    history.check(server, admin)                                # writes, log
    check_delivery(log, session)                                # for each reading client

The checker derives who may see what from the events themselves, not from the server's rooms.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.support import databases
from tests.support.accounts import Person
from tests.support.readers import Seen

OK, FAIL, UNKNOWN = "ok", "fail", "unknown"
TASK_EVENTS = ("task_created", "task_updated", "task_status_changed", "task_deleted")


@dataclass(frozen=True)
class Operation:
    """`body` is what was sent; `answer` what came back: the JSON, None when nothing did."""

    who: int
    method: str
    path: str
    body: Any
    outcome: str
    status: int | None
    answer: Any

    @property
    def task_id(self) -> int | None:
        last = self.path.rpartition("/")[2]
        if last.isdigit():
            return int(last)
        return self.answer["id"] if self.outcome == OK else None


@dataclass(frozen=True)
class Logged:
    """One row of the server's log."""

    seq: int
    type: str
    task_id: int | None
    data: dict[str, Any]

    def may_see(self, user_id: int, role: str) -> bool:
        """DESIGN, section 4: owner, assignee and admins see a task; one's own notices; and
        everyone signed in a broadcast."""
        if self.type in TASK_EVENTS:
            return role == "admin" or user_id in (self.data["user_id"], self.data["assigned_to"])
        if self.type == "broadcast":
            return True
        if self.type in ("task_removed", "notification_created", "notification_read"):
            return bool(self.data["user_id"] == user_id)
        return False  # control events never leave the server


class Recorder:
    """Every write of a run, whoever sent it."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.lock = threading.Lock()

    def send(
        self, person: Person, method: str, path: str, body: Any = None, **options: Any
    ) -> Operation:
        """Send a write over REST and keep what became of it.  Raises nothing."""
        status, answer, outcome = None, None, UNKNOWN
        try:
            came = person.rest.request(method, path, json=body, **options)
            status, answer = came.status_code, came.json()
            if status < 500:
                outcome = OK if status < 400 else FAIL
        except (requests.RequestException, ValueError):
            pass  # it may or may not have happened
        return self.keep(Operation(person.id, method, path, body, outcome, status, answer))

    def keep(self, operation: Operation) -> Operation:
        with self.lock:
            self.operations.append(operation)
        return operation

    def check(self, final: dict[int, dict[str, Any]], log: list[Logged]) -> None:
        """Everything about writes: `final` is all tasks by id, `log` the whole log."""
        check_log(log)
        self.check_acknowledged(final)
        self.check_unknown(log)
        assert fold({}, log) == final

    def check_acknowledged(self, final: dict[int, dict[str, Any]]) -> None:
        """Every acknowledged write is in the final state, or under a later version."""
        deleted = {one.task_id for one in self.operations if one.method == "DELETE"}
        acknowledged = [one for one in self.operations if one.outcome == OK]
        gone = {one.task_id for one in acknowledged if one.method == "DELETE"}
        assert not gone & final.keys()
        unsure = {one.task_id for one in self.operations if one.outcome == UNKNOWN}
        latest: dict[int | None, Operation] = {}
        for one in acknowledged:
            if one.method != "DELETE" and one.task_id not in deleted:
                known = latest.get(one.task_id)
                if known is None or known.answer["version"] < one.answer["version"]:
                    latest[one.task_id] = one
        for task_id, one in latest.items():
            assert task_id in final, one
            now = final[task_id]
            if task_id not in unsure:
                assert now == {key: one.answer[key] for key in now}, one
            assert now["version"] >= one.answer["version"], one

    def check_unknown(self, log: list[Logged]) -> None:
        """A create of unknown outcome, known by its title, is there at most once and whole; a
        refused one is not."""
        for one in self.operations:
            if one.method != "POST" or one.outcome == OK or not isinstance(one.body, dict):
                continue
            made = [
                entry
                for entry in log
                if entry.type == "task_created" and entry.data["title"] == one.body.get("title")
            ]
            assert len(made) <= (0 if one.outcome == FAIL else 1), one
            for entry in made:
                assert {key: entry.data[key] for key in one.body} == one.body


def read_log(instance: Path, url: str | None = None) -> list[Logged]:
    """The log of a server, whether it runs or not; `url` is its database's when it was told one."""
    text = "CAST(data AS VARCHAR)"  # as it stands: a driver may have parsed it already
    query = f"SELECT seq, type, task_id, {text} FROM events ORDER BY seq"
    rows = databases.run(instance, query, database=url)
    return [Logged(seq, kind, task, json.loads(data)) for seq, kind, task, data in rows]


def check_log(log: list[Logged]) -> None:
    """`seq` has no hole."""
    assert [one.seq for one in log] == list(range(log[0].seq, log[0].seq + len(log))) if log else 1


def fold(tasks: dict[int, dict[str, Any]], events: list[Logged]) -> dict[int, dict[str, Any]]:
    """The tasks after these events, as whoever may see all of the events sees them."""
    for event in events:
        if event.task_id is None or event.type not in TASK_EVENTS:
            continue
        if event.type == "task_deleted":
            tasks.pop(event.task_id, None)
        else:
            tasks[event.task_id] = event.data
    return tasks


@dataclass
class Session:
    """What one person's client has had over all its connections.

    `base` is the seq from which it must have everything; `seen` what came, in the order it came;
    a `resync` starts anew (`rebase`).
    """

    user_id: int
    role: str
    base: int
    seen: list[Seen] = field(default_factory=list)

    def rebase(self, seq: int, role: str) -> None:
        """Check nothing of what came before `seq` any more."""
        self.base, self.role = seq, role
        self.seen = [one for one in self.seen if one.seq > seq]

    @property
    def position(self) -> int:
        return max([self.base, *(one.seq for one in self.seen)])


def check_delivery(log: list[Logged], session: Session, until: int) -> None:
    """Each event up to `until` reached this client if it may see it: once, in order; and no
    other did."""
    expected = [
        one.seq
        for one in log
        if session.base < one.seq <= until and one.may_see(session.user_id, session.role)
    ]
    came = [one.seq for one in session.seen if one.seq <= until]
    assert came == expected, {
        "user": session.user_id,
        "missing": sorted(set(expected) - set(came)),
        "strange": sorted(set(came) - set(expected)),
        "twice": sorted({seq for seq in came if came.count(seq) > 1}),
    }


def check_fold(before: dict[int, Any], seen: list[Seen], fresh: dict[int, Any]) -> None:
    """An old snapshot and the events since are the fresh snapshot, in any dialect."""
    tasks = dict(before)
    for one in seen:
        if one.task_id is None or not one.kind.startswith("task_"):
            continue
        if one.kind in ("task_deleted", "task_removed"):
            tasks.pop(one.task_id, None)
        else:
            tasks[one.task_id] = bare(one.body)
    assert tasks == fresh


ENVELOPE = ("task", "type", "seq", "epoch", "actor_id", "changes", "at", "request_id")


def bare(body: dict[str, Any]) -> dict[str, Any]:
    """The task of an event, without what goes beside it on Socket.IO and SSE."""
    return {key: value for key, value in body.items() if key not in ENVELOPE}
