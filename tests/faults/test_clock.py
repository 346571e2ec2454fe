"""The clock is moved by an hour, either way: the order of events does not care, what expires does
so by the clock there is, and nobody is put out because it went back."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.conftest import eventlet_only, require
from tests.faults.checker import finish
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.recorder import Recorder
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest
from tests.support.readers import Reader, connect
from tests.support.server import AppPy

# Of what faketime does to threads' sleep, a deadline by the clock that nobody moves, nothing is
# ours: it takes that for a time of day, and the sleep fails.
pytestmark = [eventlet_only, pytest.mark.fault("clock")]
# Of its two libraries the one for threads: the other ends a program whose threads ask at once.
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
HOUR = 3600
LIFE = 1.0  # seconds that a token has left once the clock was moved
CLOSED_SECONDS = 10  # to wait for it at most: how late it was is measured


class Shifted(AppPy):
    """Its clock is ours and `shift` seconds.  Only the time of day: what is measured from a start
    to an end goes by a clock that nobody can move."""

    def __init__(self, instance: Path, library: str) -> None:
        self.offset = instance / "offset"
        self.shift(0)
        super().__init__(
            instance,
            LD_PRELOAD=library,
            FAKETIME_TIMESTAMP_FILE=str(self.offset),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            ACCESS_TOKEN_MINUTES="600",
        )

    def shift(self, seconds: int) -> None:
        late = self.offset.with_suffix(".new")
        late.write_text(f"{seconds:+d}\n")
        late.replace(self.offset)  # never half of it


@pytest.fixture
def shifted(tmp_path: Path) -> Iterator[Shifted]:
    require("faketime")
    [library, *_] = [path for pattern in LIBRARIES for path in glob.glob(pattern)]
    server = Shifted(tmp_path, library)
    try:
        server.start()
        yield server
        assert server.stop() == 0, server.log
        assert "Traceback" not in server.log, server.log
    finally:
        server.kill()


def expiring(server: Shifted, person: Person, at: float) -> Person:
    """The same person by a token that ends then."""
    claims = jwt.decode(person.token, options={"verify_signature": False})
    key = (server.instance / "jwt_secret_key").read_text()
    token = jwt.encode(claims | {"exp": at}, key, "HS256")
    return Person(person.id, person.username, token, "", Rest(server.url, token))


def check_expiry(server: Shifted, person: Person, shift: int) -> float:
    """Move the clock; how far from its token's time, in seconds, a socket was closed then.

    It has been there when the clock goes ahead.  When it goes back its token was over before.
    """
    ends = time.time() + shift + LIFE
    soon = expiring(server, person, ends)
    if shift < 0:
        assert soon.rest.get("/tasks").status_code == 401
        server.shift(shift)
    reader: Reader = connect("fiber", server.url, soon)
    server.shift(shift)
    assert reader.until_ended(CLOSED_SECONDS) == 4401
    wrong = abs(time.time() + shift - ends)
    assert soon.rest.get("/tasks").status_code == 401
    return wrong


def test_moved(shifted: Shifted) -> None:
    alice, charlie = accounts.people(shifted.url, "Alice", "Charlie")
    whose = {"socketio": alice, "sse": alice, "gin": charlie}
    followers = [Follower(transport, shifted.url, who) for transport, who in whose.items()]
    history, wrong = Recorder(), []
    for number, shift in enumerate((HOUR, -HOUR, 0)):
        task = history.send(alice, "POST", "/tasks", {"title": f"Before {number}"}).task_id
        if shift:
            wrong.append(check_expiry(shifted, alice, shift))
        # Nobody has used this token when the clock goes back: it is of the future then.
        later = accounts.register(shifted.url, "Bob")
        shifted.shift(min(shift, 0))
        assert later.rest.get("/tasks").status_code == 200
        history.send(alice, "PATCH", f"/tasks/{task}", {"title": f"After {number}"})
        history.send(charlie, "POST", "/tasks", {"title": f"After {number}, too"})
        assert alice.rest.get("/tasks").status_code == 200
        shifted.shift(shift)
    assert {one.outcome for one in history.operations} == {"ok"}
    finish("clock", history, followers, shifted.instance, tries=len(history.operations))
    figure("clock", "expiry", max(wrong), len(wrong))
