"""What must never be, whatever is sent and however (FAULTS, "Bad input"): trouble of the server's
own, another user's data, a stall, memory that grows, a secret in the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.figures import figure
from tests.faults.form import rounds
from tests.support import accounts
from tests.support.attacker import Attacker, Outcome
from tests.support.attacks import HTTP, RAW, SOCKETIO, attacks
from tests.support.honest import do_everything
from tests.support.leaks import leaks
from tests.support.process import memory
from tests.support.server import ASYNC_MODE, AppPy, Server, running

SECRET = "Nobody else may read this"
REFUSED = {400, 401, 413, 415, 431}
# A round of FAULTS' frames ends with one of these, or with a client's own 1000.
CLOSED = {1000, 1002, 1007, 1008, 1009}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose log must stay without a traceback.

    With threads glibc keeps an arena for each of many, 180 MB that nothing is in, and whose is
    filled next is chance.  With one arena attacks use what honest requests have left there; a
    program reads the setting when it starts, which one that is forked does not.
    """
    folder = tmp_path_factory.mktemp("instance")
    threads = AppPy(folder, MALLOC_ARENA_MAX="1")
    with running(Server(folder) if ASYNC_MODE == "eventlet" else threads) as server:
        yield server


def check_refused(outcomes: dict[tuple[str, str], Outcome]) -> None:
    for (over, name), outcome in outcomes.items():
        if over == HTTP:
            assert set(outcome.statuses) <= REFUSED, (name, outcome)
            assert len(outcome.statuses) <= 1, (name, outcome)
        else:
            assert outcome.closed in CLOSED, (over, name, outcome)


@pytest.mark.fault("never")
def test_never(own: Server) -> None:
    alice, mallory, bob = accounts.people(own.url, "Alice", "Mallory", "Bob")
    do_everything(own, alice)  # its growth is nobody's attack
    alice.rest.new_task(SECRET)
    attacker = Attacker(own, mallory, bob)
    before = memory(own)
    first = attacker.send_all(attacks())
    check_refused(first)
    tries = len(first)
    for _ in rounds("bad input", short=1, long=60, share=0.03):
        assert attacker.send_all(attacks()) == first
        tries += len(first)
    growth = memory(own) / before
    attacker.end()
    stall, name = max((stall, name) for name, stall in attacker.stalls.items())
    print(f"the longest stall: {name}")
    figure("never", "stall", stall * 1000, tries)
    figure("never", "growth", growth, tries)
    traces = (SECRET.encode(), b"Traceback", b'File "', b"internal_error", b"HTTP/1.1 5")
    trouble = [came for came in attacker.came if any(one in came for one in traces)]
    figure("never", "trouble", len(trouble), tries)
    figure("never", "secrets", len(leaks(own.log)), tries)
    assert mallory.rest.get("/tasks").json() == []  # nothing came of any of it
    assert {over for over, _ in first} == {HTTP, SOCKETIO, RAW}
