"""The recorder and the checker: what was sent, what came back, and what must hold.

    history = Recorder()
    history.send(alice, "POST", "/tasks", {"title": "Sow"})     # from any thread
    history.check(final, log)                                   # writes, log
    check_delivery(log, session, until)                         # for each reading client
    keep("killed", history, log, [session])                     # for who wants to look at it

A test of a fault ends with `checker.finish`, which does all of it.

The checker derives who may see what from the events themselves, not from the server's rooms.
"""

from __future__ import annotations

import gzip
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import requests

from tests.faults import form
from tests.support import databases
from tests.support.accounts import Person
from tests.support.readers import Seen

OK, FAIL, UNKNOWN = "ok", "fail", "unknown"
STORAGE_FULL = 507
TASK_EVENTS = ("task_created", "task_updated", "task_status_changed", "task_deleted")


class Client(Protocol):
    """Who can be asked: `Rest`, or the `Speaker` of speaker.py."""

    transport: str

    def request(self, method: str, path: str, **options: Any) -> Any: ...

    def hang_up(self) -> None: ...


@dataclass(frozen=True)
class Operation:
    """`body` is what was sent; `answer` what came back: the JSON, None when nothing did.

    `retry_after` is that header's value; `at` the time (monotonic) at which it was sent.  What
    is said over a socket stands here as it would be over REST.
    """

    who: int
    method: str
    path: str
    body: Any
    outcome: str
    status: int | None
    answer: Any
    retry_after: str | None = None
    at: float = 0.0
    transport: str = "rest"

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
        self,
        person: Person,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: Client | None = None,
        **options: Any,
    ) -> Operation:
        """Send a write, by a client of the caller's own if there is one, and keep what became of
        it.  Raises nothing."""
        client = by or person.rest
        came = _ask(client, method, path, body, options)
        return self.keep(Operation(person.id, method, path, body, *came, client.transport))

    def send_at_once(self, person: Person, bodies: list[dict[str, Any]]) -> list[Operation]:
        """Make several tasks by one request; each is an operation."""
        asked = {"operations": [{"op": "create", "data": body} for body in bodies]}
        outcome, status, answer, *rest = _ask(person.rest, "POST", "/tasks/bulk", asked, {})
        done = outcome == OK
        answers = [one["task"] for one in answer["results"]] if done else [answer] * len(bodies)
        return [
            self.keep(Operation(person.id, "POST", "/tasks", body, outcome, status, one, *rest))
            for body, one in zip(bodies, answers, strict=True)
        ]

    def keep(self, operation: Operation) -> Operation:
        with self.lock:
            self.operations.append(operation)
        return operation

    def check(
        self,
        final: dict[int, dict[str, Any]],
        log: list[Logged],
        viewers: Iterable[tuple[int, str]] | None = None,
    ) -> None:
        """Everything about writes: `log` is the whole log, `final` all tasks by id, or those that
        at least one of these people (user id and role) sees."""
        check_log(log)
        assert not (lost := self.lost(final)), lost[:3]
        assert not (torn := self.torn(log)), torn[:3]
        if viewers is not None:
            log = [one for one in log if any(one.may_see(*who) for who in viewers)]
        assert fold({}, log) == final

    def lost(self, final: dict[int, dict[str, Any]]) -> list[Operation]:
        """The acknowledged writes that are not in the final state, nor under a later version."""
        deletions = [one for one in self.operations if one.method == "DELETE"]
        gone = {one.task_id: one for one in deletions if one.outcome == OK}
        deleted = {one.task_id for one in deletions if one.outcome != FAIL}
        unsure = {one.task_id for one in self.operations if one.outcome == UNKNOWN}
        latest: dict[int | None, Operation] = {}
        for one in self.operations:
            if one.outcome == OK and one.method != "DELETE" and one.task_id not in deleted:
                known = latest.get(one.task_id)
                if known is None or known.answer["version"] < one.answer["version"]:
                    latest[one.task_id] = one
        back = [gone[task_id] for task_id in gone.keys() & final.keys()]
        return back + [
            one
            for task_id, one in latest.items()
            if not _is_in(final.get(task_id or 0), one.answer, exactly=task_id not in unsure)
        ]

    def torn(self, log: list[Logged]) -> list[Operation]:
        """The creates of unknown outcome, known by their titles, that are there in part or more
        than once; and the refused ones that are there."""
        made: dict[tuple[int, Any], list[Logged]] = {}
        for entry in log:
            if entry.type == "task_created":
                made.setdefault((entry.data["created_by"], entry.data["title"]), []).append(entry)
        asked = [
            one
            for one in self.operations
            if one.method == "POST" and one.outcome != OK and isinstance(one.body, dict)
        ]
        return [
            one
            for one in asked
            if len(found := made.get((one.who, one.body.get("title")), []))
            > (one.outcome == UNKNOWN)
            or any({key: entry.data[key] for key in one.body} != one.body for entry in found)
        ]


def _ask(
    client: Client, method: str, path: str, body: Any, options: dict[str, Any]
) -> tuple[str, int | None, Any, str | None, float]:
    """Outcome, status, answer, Retry-After, and when it was sent.

    A full storage is a refusal like any other; after another 5xx it may or may not have happened.
    """
    status, answer, outcome, retry_after = None, None, UNKNOWN, None
    began = time.monotonic()
    try:
        came = client.request(method, path, json=body, **options)
        status, retry_after = came.status_code, came.headers.get("Retry-After")
        answer = came.json()
        if status < 500 or status == STORAGE_FULL:
            outcome = OK if status < 400 else FAIL
    except (requests.RequestException, ValueError):
        client.hang_up()  # it may or may not have happened
    return outcome, status, answer, retry_after, began


def _is_in(now: dict[str, Any] | None, told: dict[str, Any], *, exactly: bool) -> bool:
    """Whether a task is as an answer told, or (unless `exactly`) is at a later version."""
    if now is None or now["version"] < told["version"]:
        return False
    return not exactly or now == {key: told[key] for key in now}


def read_log(instance: Path, url: str | None = None, *, since: int = 0) -> list[Logged]:
    """The log of a server, whether it runs or not, from after `since` on; `url` is its database's
    when it was told one."""
    text = "CAST(data AS VARCHAR)"  # as it stands: a driver may have parsed it already
    query = f"SELECT seq, type, task_id, {text} FROM events WHERE seq > :since ORDER BY seq"
    rows = databases.run(instance, query, database=url, since=since)
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


def astray(log: list[Logged], session: Session, until: int) -> dict[str, list[int]]:
    """The events up to `until` that did not reach this client as they should: those that it may
    see once, in order, and no other.  Empty when all is well."""
    expected = [
        one.seq
        for one in log
        if session.base < one.seq <= until and one.may_see(session.user_id, session.role)
    ]
    came = [one.seq for one in session.seen if one.seq <= until]
    if came == expected:
        return {}
    times = Counter(came)
    found = {
        "missing": sorted(set(expected) - set(came)),
        "strange": sorted(set(came) - set(expected)),
        "twice": sorted(seq for seq, count in times.items() if count > 1),
        "late": [after for before, after in itertools.pairwise(came) if after < before],
    }
    return {name: seqs for name, seqs in found.items() if seqs}


def check_delivery(log: list[Logged], session: Session, until: int) -> None:
    """Each event up to `until` reached this client if it may see it: once, in order; and no
    other did."""
    assert not (found := astray(log, session, until)), {"user": session.user_id, **found}


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


def keep(
    name: str, history: Recorder, log: Iterable[Logged], sessions: Iterable[Session] = ()
) -> None:
    """Keep a run's history in another file of this name, where that is asked for: a line for each
    thing that was sent, that was seen, and that is in the log."""
    if form.HISTORIES is None:
        return
    form.HISTORIES.mkdir(parents=True, exist_ok=True)
    number = len(list(form.HISTORIES.glob(f"{name}-*.gz"))) + 1
    with gzip.open(form.HISTORIES / f"{name}-{number}.jsonl.gz", "wt") as file:
        for one in history.operations:
            file.write(json.dumps({"sent": asdict(one)}) + "\n")
        for number, session in enumerate(sessions):
            for seen in session.seen:
                file.write(json.dumps({"client": number, "seen": asdict(seen)}) + "\n")
        for entry in log:
            file.write(json.dumps({"logged": asdict(entry)}) + "\n")
