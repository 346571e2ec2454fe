"""The checker finds what it is there to find: each history here is wrong in one way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.recorder import (
    FAIL,
    OK,
    UNKNOWN,
    Logged,
    Operation,
    Recorder,
    Session,
    check_delivery,
    check_fold,
    check_log,
)
from tests.support.readers import Seen

ALICE, BOB, CHARLIE = 2, 3, 4


def task(number: int, version: int = 1, **fields: Any) -> dict[str, Any]:
    people = {"user_id": ALICE, "created_by": ALICE, "assigned_to": BOB}
    return {"id": number, "title": "Sow", **people, "version": version} | fields


LOG = [
    Logged(1, "task_created", 1, task(1)),
    Logged(2, "task_updated", 1, task(1, 2, assigned_to=None)),
    Logged(3, "task_removed", 1, {"id": 1, "user_id": BOB}),
    Logged(4, "user_changed", None, {"user_id": BOB}),
    Logged(5, "broadcast", None, {"type": "x", "data": None}),
]
# (user, role, the seqs that came): what is right.
RIGHT = [(ALICE, "member", [1, 2, 5]), (BOB, "member", [1, 3, 5]), (CHARLIE, "member", [5])]
RIGHT += [(CHARLIE, "admin", [1, 2, 5])]


def session(user: int, role: str, seqs: list[int]) -> Session:
    return Session(user, role, 0, [Seen(seq, "x", None, None) for seq in seqs])


@pytest.mark.parametrize(("user", "role", "seqs"), RIGHT)
def test_delivery(user: int, role: str, seqs: list[int]) -> None:
    check_delivery(LOG, session(user, role, seqs), 5)
    wrong = [seqs[1:], [*seqs, 5], [*seqs, 4], [1, *seqs], sorted({1, 2, 3, 5})]
    wrong += [seqs[::-1]] if len(seqs) > 1 else []
    for came in wrong:
        with pytest.raises(AssertionError):
            check_delivery(LOG, session(user, role, came), 5)


def test_hole_in_the_log() -> None:
    check_log(LOG)
    check_log([])
    for log in (LOG[:1] + LOG[2:], [LOG[0], LOG[0]], LOG[::-1]):
        with pytest.raises(AssertionError):
            check_log(log)


def operation(method: str, path: str, outcome: str, answer: Any = None, **body: Any) -> Operation:
    return Operation(ALICE, method, path, body, outcome, None, answer)


CREATED = operation("POST", "/tasks", OK, task(1), title="Sow")
CHANGED = operation("PATCH", "/tasks/1", OK, task(1, 2, title="Reap"), title="Reap")
DELETED = operation("DELETE", "/tasks/1", OK, {"message": "deleted"})
KEPT = operation("DELETE", "/tasks/1", FAIL)
UNCHANGED = operation("PATCH", "/tasks/1", FAIL, title="Sow")
LOST = operation("POST", "/tasks", UNKNOWN, title="Sow")
REFUSED = operation("POST", "/tasks", FAIL, title="Sow")
MADE = [Logged(1, "task_created", 1, task(1))]
GONE = Logged(2, "task_deleted", 1, task(1))
TWICE = [*MADE, Logged(2, "task_created", 2, task(2))]
OTHER = task(1, title="Other")
WRONG: list[tuple[list[Operation], dict[int, Any], list[Logged]]] = [
    ([CREATED], {}, []),
    ([CREATED, CHANGED], {1: task(1)}, MADE),
    (
        [CREATED],
        {1: task(1, title="Other")},
        [Logged(1, "task_created", 1, task(1, title="Other"))],
    ),
    ([CREATED, DELETED], {1: task(1)}, MADE),
    ([CREATED, KEPT], {}, [*MADE, GONE]),
    ([CREATED, UNCHANGED], {1: task(1, 2)}, [*MADE, Logged(2, "task_updated", 1, task(1, 2))]),
    ([LOST], {1: task(1), 2: task(2)}, TWICE),
    ([REFUSED], {1: task(1)}, MADE),
    ([], {1: task(1, 2)}, MADE),
    ([], {}, MADE),
]


def recorder(operations: list[Operation]) -> Recorder:
    history = Recorder()
    history.operations = operations
    return history


@pytest.mark.parametrize(("operations", "final", "log"), WRONG)
def test_writes(operations: list[Operation], final: dict[int, Any], log: list[Logged]) -> None:
    with pytest.raises(AssertionError):
        recorder(operations).check(final, log)


def test_right_writes() -> None:
    recorder([CREATED]).check({1: task(1)}, MADE)
    recorder([LOST]).check({1: task(1)}, MADE)
    recorder([LOST, REFUSED]).check({}, [])
    recorder([CREATED, DELETED]).check({}, [*MADE, GONE])
    recorder([CREATED, KEPT, UNCHANGED]).check({1: task(1)}, MADE)


def test_fold() -> None:
    seen = [Seen(1, "task_created", 1, task(1)), Seen(2, "task_removed", 2, {"id": 2})]
    check_fold({2: task(2)}, seen, {1: task(1)})
    for fresh in ({}, {1: task(1, 2)}, {1: task(1), 2: task(2)}):
        with pytest.raises(AssertionError):
            check_fold({2: task(2)}, seen, fresh)
