"""The end of a run: everything that must hold of it, whatever was provoked.

    with Lives(alice, 2) as load, Lives(bob, 1, history=load.history):
        ...                                             # who writes is also followed
    finish("killed", load.history, followers, server.instance, tries=10)

`finish` waits until each follower has all that is for it, reads the final state as each of their
people sees it, and hands all of that to `conclude`, which those call that have no followers;
`finish_one` does so for one person's run, on a server that others share.  Each says the figures
that the row promises of it (`lost`, `torn`, `events`) and fails by itself for what the row does
not: a hole in `seq`, an acknowledged write that is lost, one of unknown outcome that is there in
part or twice, a final state that is not what the log adds up to, an event that did not reach who
may see it once and in order, or that reached somebody else.

A row's own figures (how late, how many requests failed) come after it, from what it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.recorder import Logged, Recorder, Session, astray, keep, read_log
from tests.faults.rows import ROWS
from tests.support.accounts import Person
from tests.support.readers import Reader
from tests.support.snapshots import Tasks, snapshot


def finish(
    row: str,
    history: Recorder,
    followers: Sequence[Follower],
    instance: Path,
    database: str | None = None,
    *,
    tries: int = 1,
    since: int = 0,
) -> list[Logged]:
    """The end of a run all of whose writers have a follower, and are new: their tasks are those
    of the run.  Close the followers, check all; returns the log from `since` on.

    `database` is the URL of the server's, where it was told one; `tries` how often the fault was
    provoked; `since` the seq after which the run began, on a server that others had before.
    Raises AssertionError.
    """
    log = [follower.finish(instance, database) for follower in followers][-1]
    people = {one.person.id: one for one in followers}
    final: Tasks = {}
    for follower in people.values():
        final |= snapshot("sse", follower.url, follower.person)[0]
    sessions = [one.session for one in followers]
    log = conclude(row, history, log, final, sessions, tries=tries, since=since)
    for follower in followers:
        follower.check_state()
    return log


def finish_one(
    row: str,
    history: Recorder,
    person: Person,
    instance: Path,
    database: str | None = None,
    *,
    since: int = 0,
    readers: Sequence[Reader] = (),
) -> None:
    """The end of a run in which one person alone has written, who is new.  `readers` were theirs:
    each went on where the one before it had ended, and the last of them is still there.  Raises
    AssertionError."""
    log = read_log(instance, database, after=since)
    sessions = []
    if readers:
        readers[-1].until_seq(max(one.seq for one in log if one.may_see(person.id, "member")))
        seen = [one for reader in readers for one in reader.events]
        sessions.append(Session(person.id, "member", since, seen))
    final = snapshot("sse", person.rest.url, person)[0]
    conclude(row, history, log, final, sessions, since=since)


def conclude(
    row: str,
    history: Recorder,
    log: list[Logged],
    final: Tasks,
    sessions: Sequence[Session] = (),
    *,
    tries: int = 1,
    since: int = 0,
) -> list[Logged]:
    """Keep the run's history and check it.

    `log` is the log, from after `since` on or whole; `final` the tasks, in the native dialect and
    by their ids, that those see who wrote or whose sessions these are: when somebody had some
    before `since`, the log does not add up to them.  Returns the log from there on.  Raises
    AssertionError.
    """
    log = [one for one in log if one.seq > since]
    keep(row, history, log, sessions)
    until = log[-1].seq if log else 0
    wrong = [(one.user_id, away) for one in sessions if (away := astray(log, one, until))]
    found = {"lost": history.lost(final), "torn": history.torn(log), "events": wrong}
    count = {name: len(some) for name, some in found.items()}
    count["events"] = sum(len(seqs) for _, away in wrong for seqs in away.values())
    if any(count.values()):
        print({name: some[:3] for name, some in found.items() if some})
    for name, number in count.items():
        if name in ROWS[row].promises:
            figure(row, name, number, tries)
    assert not any(count.values()), count
    viewers = {(one.user_id, one.role) for one in sessions}
    viewers |= {(one.who, "member") for one in history.operations}
    history.check(final, log, viewers)
    return log
