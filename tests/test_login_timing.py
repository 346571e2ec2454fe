"""How long a refused sign-in takes tells nobody whether there is such an account."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.figures import figure
from tests.faults.form import SOAK
from tests.support import accounts
from tests.support.accounts import PASSWORD, unique
from tests.support.clients import Rest
from tests.support.server import Server

pytestmark = pytest.mark.fault("names")

TRIES = 200
# Of the processor's time, which other work on the machine does not lengthen.
SHORT_TRIES, ALIKE = 30, 0.5


def worked(server: Server) -> float:
    """Seconds of processor time that the server has had, in all its threads."""
    assert server.process
    numbers = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def refused(rest: Rest, name: str) -> None:
    answer = rest.post("/login", {"username": name, "password": "a wrong one"})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_credentials")


def disabled(server: Server) -> str:
    person = accounts.register(server.url, "Disabled")
    answer = accounts.admin(server).rest.patch(f"/users/{person.id}", {"is_active": False})
    assert answer.status_code == 200
    return person.username


def test_the_same_work(server: Server) -> None:
    """A hash is computed for a name that nobody has, and for one that may not sign in."""
    rest = Rest(server.url)
    names = {
        "known": accounts.register(server.url, "Alice").username,
        "unknown": unique("nobody"),
        "disabled": disabled(server),
    }
    refused(rest, names["unknown"])  # makes the hash that such names are checked against
    took = {}
    for kind, name in names.items():
        before = worked(server)
        for _ in range(SHORT_TRIES):
            refused(rest, name)
        took[kind] = (worked(server) - before) / SHORT_TRIES
    print({kind: f"{seconds * 1000:.1f} ms" for kind, seconds in took.items()})
    assert min(took.values()) >= ALIKE * max(took.values()), took


@pytest.mark.skipif(not SOAK, reason="the long form: 400 hashes at their full cost")
@pytest.mark.timeout(600)
def test_medians(start: Callable[..., Server]) -> None:
    server = start(HASH_COST="15")
    rest, known, unknown = Rest(server.url), unique("Alice"), unique("nobody")
    account = {"username": known, "password": PASSWORD}
    assert rest.post("/register", account).status_code == 201
    disabled = unique("Bob")
    made = rest.post("/register", account | {"username": disabled}).json()["user"]
    boss = accounts.admin(server).rest
    assert boss.put(f"/users/{made['id']}", {"is_active": False}).status_code == 200
    refused(rest, unknown)
    times: dict[str, list[float]] = {known: [], unknown: [], disabled: []}
    for _ in range(TRIES):
        for name, taken in times.items():  # one after the other: the machine is the same to both
            began = time.perf_counter()
            refused(rest, name)
            taken.append(time.perf_counter() - began)
    medians = [statistics.median(taken) for taken in times.values()]
    print(f"medians: {[f'{one * 1000:.1f} ms' for one in medians]}")
    figure("names", "apart", (max(medians) - min(medians)) * 1000, TRIES)
    assert server.stop() == 0
