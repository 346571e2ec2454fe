"""PostgreSQL goes away under load and comes back: nothing acknowledged is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import accounts
from tests.support.accounts import Person
from tests.support.load import Load
from tests.support.postgres import Databases
from tests.support.readers import connect
from tests.support.recorder import Session, check_delivery, read_log
from tests.support.server import Server
from tests.support.snapshots import snapshot

HEALTHY_SECONDS = 3  # FAULTS


def ready_again(person: Person) -> float:
    """Seconds until the server says that it can be used."""
    began, pause = time.monotonic(), threading.Event()
    while person.rest.get("/ready").status_code != 200:
        assert time.monotonic() < began + HEALTHY_SECONDS
        pause.wait(0.02)
    return time.monotonic() - began


def test_restarted_at_once(
    postgresql: Databases,
    start: Callable[..., Server],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """As by `pg_ctl restart -m immediate`, twice."""
    server = start(DATABASE_URL=postgresql.of(tmp_path))
    alice = accounts.register(server.url, "Alice")
    before, seq, epoch = snapshot("sse", server.url, alice)
    reader = connect("sse", server.url, alice, since=seq, epoch=epoch)
    session = Session(alice.id, "member", seq)
    healed: list[float] = []
    with Load(alice) as load:
        for _ in range(2):
            load.go_on(20)
            postgresql.server.stop_at_once()
            load.go_on(4, status=503)
            health: Any = alice.rest.get("/health").json()
            assert (health["status"], health["database"]) == ("degraded", "unavailable")
            postgresql.server.start()
            healed.append(ready_again(alice))
            load.go_on(20)
    assert not before
    assert set(load.statuses) == {201, 503}  # never another error, never no answer
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in load.refused)
    log = read_log(tmp_path, postgresql.of(tmp_path))
    final = {task["id"]: task for task in alice.rest.get("/tasks?limit=1000").json()}
    load.history.check(final, [one for one in log if one.type == "task_created"])
    reader.until_seq(log[-1].seq)
    session.seen = reader.events
    check_delivery(log, session, log[-1].seq)
    record_property("healthy after restart", healed)
    print(f"healthy {max(healed) * 1000:.0f} ms after it accepts; {dict(load.statuses)}")
    assert server.stop() == 0
    assert "Traceback" not in server.log
