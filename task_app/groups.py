"""Writers that come together share one transaction of SQLite's, and so one commit.

A commit costs as much as everything before it: it writes a dozen pages to the log, nearly all of
which the next task that is made writes again (and with `SQLITE_SYNCHRONOUS=FULL` it waits for the
disk).  Under eventlet whoever writes first waits until the hub has been round once; those who
came meanwhile are in its group.  A writer that nobody joined lately does not wait.  Each has a
savepoint of its own: what one may not do, or cannot, leaves the others as they were.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from task_app import database
from task_app.errors import AppError
from task_app.extensions import hub_turns, socketio
from task_app.transactions import Transaction

T = TypeVar("T")
Act = Callable[[Transaction], T]
# How many acts are done, committed and made known in one go: some milliseconds of the hub's time.
MOST = 32


class GroupRefused(Exception):
    """The database refused something to one of a group, and nothing was done: which one shows
    when each is alone."""


class Member(Generic[T]):
    """One act, and what became of it: `outcome` is its result or its error."""

    __slots__ = ("act", "deadline", "done", "outcome", "turn")

    def __init__(self, act: Act[T], patience: float) -> None:
        self.act = act
        self.deadline = time.monotonic() + patience
        self.done = False
        self.outcome: Any = None
        self.turn = threading.Lock()
        self.turn.acquire()

    def settle(self, outcome: Any) -> None:
        self.outcome = outcome
        self.done = True
        self.turn.release()

    def result(self) -> T:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        found: T = self.outcome
        return found


class Groups(Generic[T]):
    """The writers of one application.  `transact(acts, patience)` does them in one transaction
    and returns the outcome of each; what it raises has become of all of them.

    For greenlets, which run one at a time and only let go where they wait.
    """

    def __init__(self, transact: Callable[[list[Act[T]], float], list[Any]]) -> None:
        self.transact = transact
        self.waiting: list[Member[T]] = []
        self.led = False  # somebody gathers or commits a group
        self.company = False  # the last group was more than one
        self.turn = -1  # of the hub, in which it was done

    def run(self, act: Act[T], patience: float) -> T:
        """Do the act with whoever else writes now.  Raises what it raised, and `Busy` when that
        was not possible within `patience` seconds."""
        member = Member(act, patience)
        self.waiting.append(member)
        if self.led and not self._is_to_lead(member, patience):
            return member.result()
        self.led = True
        try:
            if self.company or self.turn == hub_turns():
                socketio.sleep(0)
            self._lead(member.deadline)
        finally:
            if self.waiting:
                self.waiting[0].turn.release()
            else:
                self.led = False
        return member.result()

    def _is_to_lead(self, member: Member[T], patience: float) -> bool:
        """Wait until the member is done, or first of those who wait.  Raises `Busy`."""
        turn = member.turn
        # The second look: it may have become its turn when the time was up.
        if turn.acquire(timeout=max(0.0, patience)) or turn.acquire(blocking=False):
            return not member.done
        if member in self.waiting:
            self.waiting.remove(member)
            raise database.Busy
        turn.acquire()  # its group is being done, and is not more patient than its members
        return False

    def _lead(self, until: float) -> None:
        """Do what the first of those who wait want.  Each is settled then.

        Whoever leads waits for nobody's database longer than until its own deadline: it may be
        too late itself, and others of its group may have just come (they try again).
        """
        group, self.waiting = self.waiting[:MOST], self.waiting[MOST:]
        self.company, self.turn = len(group) > 1, hub_turns()
        try:
            group = self._in_time(group)
            try:
                self._transact(group, until)
            except GroupRefused:
                for member in group:
                    self._transact(self._in_time([member]), until)
        finally:
            for member in group:
                if not member.done:  # something has ended this greenlet
                    member.settle(database.Busy())

    def _in_time(self, group: list[Member[T]]) -> list[Member[T]]:
        """Those who are not too late; the others are told so at once."""
        now = time.monotonic()
        for member in group:
            if member.deadline <= now:
                member.settle(database.Busy())
        return [member for member in group if not member.done]

    def _transact(self, group: list[Member[T]], until: float) -> None:
        """Do the acts of a group together and settle its members.  Raises `GroupRefused`."""
        if not group:
            return
        left = min(until, *(member.deadline for member in group)) - time.monotonic()
        try:
            outcomes = self.transact([member.act for member in group], max(0.0, left))
        except GroupRefused:
            raise
        except Exception as error:
            outcomes = [error] * len(group)
        for member, outcome in zip(group, outcomes, strict=True):
            member.settle(outcome)


def do_each(tx: Transaction, acts: list[Act[T]]) -> list[Any]:
    """The result of each act, or the `AppError` it raised and nothing of what it had done.

    Raises `GroupRefused`; for a single act, whatever that raised.
    """
    if len(acts) == 1:
        return [acts[0](tx)]
    outcomes: list[Any] = []
    for act in acts:
        part = Transaction(tx.session)
        tx.session.driver.execute("SAVEPOINT act")
        try:
            outcomes.append(act(part))
        except AppError as error:
            tx.session.driver.execute("ROLLBACK TO act")
            outcomes.append(error)
        except Exception as error:
            raise GroupRefused from error
        tx.session.driver.execute("RELEASE act")
    return outcomes
