"""What a delay is measured from, and until when."""

from __future__ import annotations

from tests.faults.delays import delays
from tests.faults.recorder import FAIL, OK, Operation, Recorder, Session
from tests.support.readers import Seen

ALICE, BOB = 2, 3


def sent(at: float, task: int, who: int = ALICE, outcome: str = OK) -> Operation:
    return Operation(who, "PATCH", f"/tasks/{task}", {}, outcome, None, None, None, at)


def came(at: float, seq: int, task: int) -> Seen:
    return Seen(seq, "task_updated", task, {}, at)


def test_each_write_has_its_own() -> None:
    history = Recorder()
    history.operations = [
        sent(2, 1),  # kept when answered, which may be after the next one was sent
        sent(1, 1),
        sent(1, 3, BOB),
        sent(1.5, 1, outcome=FAIL),
        sent(3, 2),
    ]
    session = Session(ALICE, "member", 0, [came(1.5, 1, 1), came(4.25, 2, 2), came(9, 3, 1)])
    assert delays(history, session) == [0.5, 7, 1.25]
