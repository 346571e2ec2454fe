"""PostgreSQL goes away under load and comes back: nothing acknowledged is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults import form
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import Lives
from tests.faults.recorder import fold, keep
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.postgres import Databases
from tests.support.server import Server
from tests.support.snapshots import snapshot

HEALTHY_SECONDS = 30  # to wait for it at most: what is promised is in tests/faults/rows.py


def ready_again(person: Person) -> float:
    """Seconds until the server says that it can be used."""
    began, pause = time.monotonic(), threading.Event()
    while person.rest.get("/ready").status_code != 200:
        assert time.monotonic() < began + HEALTHY_SECONDS
        pause.wait(0.02)
    return time.monotonic() - began


@pytest.mark.fault("postgresql")
def test_restarted_at_once(
    postgresql: Databases, start: Callable[..., Server], tmp_path: Path
) -> None:
    """As by `pg_ctl restart -m immediate`, again and again."""
    url = postgresql.of(tmp_path)
    server = start(DATABASE_URL=url)
    alice = accounts.register(server.url, "Alice")
    follower = Follower("sse", server.url, alice)
    healed: list[float] = []
    with Lives(alice) as load:
        for _ in form.rounds("PostgreSQL restarted", short=2, long=30, share=0.09):
            load.go_on(10)
            postgresql.server.stop_at_once()
            load.go_on(4, status=503)
            health: Any = alice.rest.get("/health").json()
            assert (health["status"], health["database"]) == ("degraded", "unavailable")
            postgresql.server.start()
            healed.append(ready_again(alice))
            load.go_on(10)
    tries = len(healed)
    log = follower.finish(tmp_path, url)
    keep("postgresql", load.history, log, [follower.session])
    final, _, _ = snapshot("sse", server.url, alice)
    other = [
        one
        for one in load.history.operations
        if one.status not in (200, 201) and not (one.status == 503 and one.retry_after)
    ]
    assert load.statuses[503] >= 4 * tries
    figure("postgresql", "lost", len(load.history.lost(final)), tries)
    figure("postgresql", "events", follower.wrong(log), tries)
    figure("postgresql", "healthy", max(healed), tries)
    figure("postgresql", "other", len(other), len(load.history.operations))
    assert not load.history.torn(log)
    assert fold({}, log) == final
    assert server.stop() == 0
    assert "Traceback" not in server.log
