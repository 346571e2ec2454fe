"""Readers that go on while something breaks, and what each of their requests came to."""

from __future__ import annotations

from typing import Any

from tests.faults.load import Load
from tests.faults.recorder import Client
from tests.support.accounts import PASSWORD, Person


class Reads(Load):
    """Asks for a person's tasks and profile again and again, and with `signing_in` for a token.

    These change no task, so that `history` is none for the checker; `go_on(n, 200)` waits.
    """

    def __init__(
        self, person: Person, readers: int = 1, url: str | None = None, *, signing_in: bool = False
    ) -> None:
        super().__init__(person, readers, url)
        self.requests: list[tuple[str, str, Any]] = [
            ("GET", "/tasks", None),
            ("GET", "/profile", None),
        ]
        if signing_in:
            who = {"username": person.username, "password": PASSWORD}
            self.requests.append(("POST", "/login", who))

    def write(self, client: Client, title: str) -> None:
        for method, path, body in self.requests:
            self.send(client, method, path, body)
