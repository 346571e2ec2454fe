"""Readers that come back: whenever its connection ends, one resumes from the last event it saw."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.recorder import Logged, Session, astray, check_fold, read_log
from tests.support.accounts import Person
from tests.support.readers import Reader, SocketReader, dial
from tests.support.snapshots import snapshot

RETRY_SECONDS = 0.02  # between two attempts to connect
HANDSHAKE_SECONDS = 2  # for who may have connected to somebody who dies
LEVEL_SECONDS = 30  # for what the log has to come to a reader, which may have to come back first


class Follower:
    """One person's client over all its connections, from a first list of their tasks on.

    `session` has what came; `away` how long it took each time from the end of a connection to
    the beginning of the next one's feed, in seconds.
    """

    def __init__(self, transport: str, url: str, person: Person, role: str = "member") -> None:
        self.transport, self.url, self.person = transport, url, person
        self.before, seq, self.epoch = snapshot(transport, url, person)
        self.session = Session(person.id, role, seq)
        self.away: list[float] = []
        self.reader: Reader | None = None
        self.over = threading.Event()
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()
        self._wait(lambda: self.reader is not None)

    def _follow(self) -> None:
        ended: float | None = None
        while not self.over.is_set():
            reader = self._connect()
            if reader is None:
                self.over.wait(RETRY_SECONDS)
                continue
            if ended is not None:
                self.away.append(time.monotonic() - ended)
            with self.changed:
                self.reader = reader
                self.changed.notify_all()
            with reader.changed:
                reader.changed.wait_for(lambda now=reader: now.ended)
            ended = time.monotonic()
            with self.changed:
                self.session.seen += reader.events
                self.reader = None

    def _connect(self) -> Reader | None:
        """A connection whose feed has begun; None when there is none to be had yet."""
        where = {"since": self.position, "epoch": self.epoch}
        reader: Reader
        try:
            if self.transport == "socketio":
                reader = SocketReader(self.url, self.person.token, where, HANDSHAKE_SECONDS)
            else:
                reader = dial(self.transport, self.url, self.person, **where)
        except Exception:  # each library has its own, and the next attempt shows what it is worth
            return None
        with reader.changed:
            begun = reader.changed.wait_for(
                lambda: reader.ended or "ready" in dict(reader.notices), LEVEL_SECONDS
            )
        assert begun, "neither a feed nor an end"
        assert "resync" not in dict(reader.notices), "the log goes on where it was"
        if reader.ended:
            self.session.seen += reader.events
            return None
        return reader

    def _wait(self, condition) -> None:  # type: ignore[no-untyped-def]
        with self.changed:
            assert self.changed.wait_for(condition, LEVEL_SECONDS), self.transport

    @property
    def position(self) -> int:
        """The seq of the last event that came."""
        reader = self.reader
        seen = self.session.seen if reader is None else reader.events or self.session.seen
        return seen[-1].seq if seen else self.session.base

    def until(self, seq: int) -> None:
        """Wait until it has everything up to this event, which it may see."""
        pause, late = threading.Event(), time.monotonic() + LEVEL_SECONDS
        while self.position < seq:
            assert time.monotonic() < late, (self.transport, self.position, seq, self.away[-3:])
            assert self.thread.is_alive()
            pause.wait(0.01)

    def finish(self, instance: Path, database: str | None = None) -> list[Logged]:
        """Wait until it has all that the log has for it, then close it.  Returns the log."""
        log = read_log(instance, database)
        mine = [one.seq for one in log if one.may_see(self.person.id, self.session.role)]
        self.until(mine[-1] if mine else 0)
        self.close()
        return log

    def close(self) -> None:
        self.over.set()
        late = time.monotonic() + LEVEL_SECONDS
        while self.thread.is_alive():  # it may be coming back just now
            assert time.monotonic() < late
            if (reader := self.reader) is not None:
                with suppress(OSError):
                    reader.close()
            self.thread.join(RETRY_SECONDS)

    def wrong(self, log: list[Logged]) -> int:
        """How many events were lost, repeated or out of order, or were none of its business; and
        the first list with the events since must be what a list is now."""
        found = astray(log, self.session, log[-1].seq if log else 0)
        if found:
            print(f"{self.transport}: {found}")
        else:
            self.check_state()
        return sum(len(seqs) for seqs in found.values())

    def check_state(self) -> None:
        """The first list with the events since is what a list is now, in its own dialect."""
        now, _, _ = snapshot(self.transport, self.url, self.person)
        check_fold(self.before, self.session.seen, now)
