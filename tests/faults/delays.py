"""How long events take, measured of every write: nobody waits for one before the next is written.

So the worst of them is seen whenever it comes, and as long as it lasts.
"""

from __future__ import annotations

from collections import defaultdict

from tests.faults.recorder import OK, Recorder, Session


def delays(history: Recorder, session: Session) -> list[float]:
    """Seconds from the sending of each of this person's acknowledged writes until its event came
    to their client, in the order in which they were sent.

    Each write must have made one event, and each event must have come: that is for the checker.
    """
    came: dict[int | None, list[float]] = defaultdict(list)
    for one in session.seen:
        came[one.task_id].append(one.at)
    found = []
    for done in sorted(history.operations, key=lambda one: one.at):
        if done.who == session.user_id and done.outcome == OK and came[done.task_id]:
            found.append(came[done.task_id].pop(0) - done.at)
    return found
