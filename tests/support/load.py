"""Writers that go on while something breaks, and what each of their requests came to."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from types import TracebackType

import requests

from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.recorder import FAIL, OK, UNKNOWN, Operation, Recorder

PAUSE = 0.005  # between two requests of a writer


class Load:
    """Makes tasks for a person from several threads until the `with` block ends.

    `history` has every write, `refused` the answers that were no success, `statuses` how often
    each status came (None: no answer at all).
    """

    def __init__(self, person: Person, writers: int = 4, url: str | None = None) -> None:
        self.person = person
        self.url = url or person.rest.url
        self.history = Recorder()
        self.refused: list[requests.Response] = []
        self.statuses: Counter[int | None] = Counter()
        self.changed = threading.Condition()
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self._write, args=(number,), daemon=True)
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

    def _write(self, number: int) -> None:
        client = Rest(self.url, self.person.token)
        for count in itertools.count():
            if self.over.wait(PAUSE):
                return
            self._send(client, {"title": f"{number}.{count}"})

    def _send(self, client: Rest, body: dict[str, str]) -> None:
        answer, outcome = None, UNKNOWN
        try:
            answer = client.post("/tasks", body)
            if answer.status_code < 500:
                outcome = OK if answer.status_code < 400 else FAIL
        except requests.RequestException:
            client.session.close()
        told = answer.json() if answer is not None and outcome == OK else None
        status = None if answer is None else answer.status_code
        self.history.keep(Operation(self.person.id, "POST", "/tasks", body, outcome, status, told))
        with self.changed:
            self.statuses[status] += 1
            if answer is not None and outcome != OK:
                self.refused.append(answer)
            self.changed.notify_all()

    def go_on(self, count: int, status: int | None = 201, seconds: float = 20) -> None:
        """Wait for so many more answers of this status."""
        with self.changed:
            wanted = self.statuses[status] + count
            reached = self.changed.wait_for(lambda: self.statuses[status] >= wanted, seconds)
            assert reached, self.statuses
