"""Writers that go on while something breaks, and what each of their requests came to."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tests.faults.recorder import OK, UNKNOWN, Client, Operation, Recorder
from tests.faults.speaker import Speaker
from tests.support.accounts import Person, unique
from tests.support.clients import Rest

PAUSE = 0.005  # seconds between two tasks of a writer
AGAIN = 0.02  # and before it asks again: who is away stays away for longer than that


class Load:
    """Makes tasks for a person from several threads until the `with` block ends.

    `history` has every write (several loads may share one), `refused` those of them that were
    answered with no success, `statuses` how often each status came (None: no answer at all);
    `pause` is the time between two tasks of a writer, in seconds.
    """

    name = ""  # in the titles: what a person does by another kind of load has others
    pause = PAUSE

    def __init__(
        self,
        person: Person,
        writers: int = 4,
        url: str | None = None,
        history: Recorder | None = None,
    ) -> None:
        self.person = person
        self.url = url or person.rest.url
        self.history = history or Recorder()
        self.refused: list[Operation] = []
        self.statuses: Counter[int | None] = Counter()
        self.changed = threading.Condition()
        self.over = threading.Event()
        self.errors: list[BaseException] = []
        self.threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(writers)
        ]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        if error is None and self.errors:
            raise self.errors[0]

    def _run(self, number: int) -> None:
        client = self.client()
        try:
            for count in itertools.count():
                if self.over.wait(self.pause):
                    return
                self.write(client, f"{self.name}{number}.{count}")
        except BaseException as error:
            self.errors.append(error)
        finally:
            client.hang_up()

    def client(self) -> Client:
        """One writer's."""
        return Rest(self.url, self.person.token)

    def write(self, client: Client, title: str) -> None:
        """What a writer does again and again."""
        self.send(client, "POST", "/tasks", {"title": title})

    def send(
        self, client: Client, method: str, path: str, body: Any = None, **options: Any
    ) -> Operation:
        done = self.history.send(self.person, method, path, body, by=client, **options)
        with self.changed:
            self.statuses[done.status] += 1
            if done.status is not None and done.outcome != OK:
                self.refused.append(done)
            self.changed.notify_all()
        return done

    def go_on(self, count: int, status: int | None = 201, seconds: float = 20) -> None:
        """Wait for so many more answers of this status."""
        self._until(lambda: self.statuses[status], count, seconds)

    def _until(self, counted: Callable[[], int], count: int, seconds: float) -> None:
        with self.changed:
            wanted = counted() + count
            assert self.changed.wait_for(lambda: counted() >= wanted, seconds), self.statuses


class Lives(Load):
    """Each writer takes one task after the other from its beginning to its end.

    What is not answered is sent again with the same idempotency key until it is: `again` counts
    those.  One task in ten stays.
    """

    again = 0

    def write(self, client: Client, title: str) -> None:
        body = {"title": f"{self.person.username} {title}", "assigned_to": self.person.id}
        made = self.insist(client, "POST", "/tasks", body)
        if made is None:
            return
        path = f"/tasks/{made.task_id}"
        for change in ({"status": "in_progress"}, {"done": True}):
            self.insist(client, "PATCH", path, change)
        if not title.endswith("0"):
            self.insist(client, "DELETE", path)

    def insist(self, client: Client, method: str, path: str, body: Any = None) -> Operation | None:
        """The answer, whenever it comes; None when all is over before."""
        key = {"Idempotency-Key": unique("key")}
        while True:
            done = self.send(client, method, path, body, headers=key)
            if done.outcome != UNKNOWN:
                return done
            if self.over.wait(AGAIN):
                return None
            with self.changed:
                self.again += 1


class Speakers(Lives):
    """The same over Socket.IO: each writer has a socket, comes back when it has lost it, and asks
    again under the `request_id` for what was not acknowledged."""

    name = "by socket "

    def client(self) -> Client:
        return Speaker(self.url, self.person)


class Newcomers(Lives):
    """The same, each request over a connection of its own, which must be let in first."""

    name = "by newcomer "

    def send(
        self, client: Client, method: str, path: str, body: Any = None, **options: Any
    ) -> Operation:
        try:
            return super().send(client, method, path, body, **options)
        finally:
            client.hang_up()
