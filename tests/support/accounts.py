"""People: registered and signed in over REST, with names no other test has."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.support.clients import Rest
from tests.support.server import Server

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    id: int
    username: str
    token: str
    refresh_token: str
    rest: Rest

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def unique(name: str) -> str:
    """`Alice` as nobody else is called, in whatever process."""
    return f"{name}-{os.getpid()}-{next(_numbers)}"


def sign_in(url: str, username: str, password: str, rest: Rest | None = None) -> Person:
    """`rest` is nobody's yet: the person's from now on, with its connection."""
    rest = rest or Rest(url)
    answer = rest.post("/login", {"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    rest.token = body["access_token"]
    return Person(body["user"]["id"], username, rest.token, body["refresh_token"], rest)


def register(url: str, name: str) -> Person:
    """A new member.  Costs two password hashes (about 0.15 s)."""
    username, rest = unique(name), Rest(url)
    answer = rest.post("/register", {"username": username, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    return sign_in(url, username, PASSWORD, rest)


def people(url: str, *names: str) -> list[Person]:
    """New members, made side by side because hashing takes its time."""
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: register(url, name), names))


def admin(server: Server) -> Person:
    return sign_in(server.url, "admin", server.admin_password)
