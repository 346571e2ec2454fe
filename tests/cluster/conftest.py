"""One installation for the session; `server`, to the contract tests, is its gateway."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import ClassVar

import pytest

from deploy.cluster import PROCESSES, Cluster, Gateway, Process
from task_app.presence import SILENT_SECONDS
from tests.conftest import require
from tests.contracts.conftest import client  # noqa: F401 - a fixture of the families' tests
from tests.contracts.test_gin import ORIGIN, SECRET
from tests.support import databases
from tests.support import server as support
from tests.support.clients import Rest
from tests.support.leaks import leaks, secrets_of
from tests.support.server import ASYNC_MODE

# What the families' documents set, all at once.
SETTINGS = {
    "ASYNC_MODE": ASYNC_MODE,
    "HASH_COST": "10",
    "RATELIMIT_ENABLED": "0",
    "ALLOWED_ORIGINS": ORIGIN,
    "JWT_SECRET": SECRET,
}
SETTLED_SECONDS = SILENT_SECONDS + 10


class Installed(Cluster):
    """With the names that a test knows a server by, and of each service a process that stands in
    for the other; `more` are processes that it was given."""

    counts: ClassVar = {**PROCESSES, "users": 2}
    more: Sequence[Process] = ()
    HEARS_SECONDS = 2.0  # FAULTS: in every process

    @property
    def instance(self) -> Path:
        return Path(self.settings["INSTANCE_PATH"])

    @property
    def admin_password(self) -> str:
        return self.settings["ADMIN_PASSWORD"]

    @property
    def log(self) -> str:
        return "".join(one.log for one in self.processes)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(180))  # the first of them starts twelve programs


@pytest.fixture(scope="session")
def cluster() -> Iterator[Installed]:
    for name in ("postgres", "initdb", "redis-server", "nginx"):
        require(name)
    running = Installed(**SETTINGS).start()
    try:
        yield running
        codes = [one.stop() for one in running.processes]
        assert codes == [0] * len(codes), running.log
        assert "Traceback" not in running.log, running.log
        assert leaks(running.log, [*secrets_of(running.instance), SECRET]) == []
    finally:
        running.stop()


@pytest.fixture(scope="session")
def server(cluster: Installed) -> Iterator[Installed]:
    before = support.database_of

    def database_of(instance: Path) -> str:
        if instance == cluster.instance:
            return cluster.settings["DATABASE_URL"]
        return before(instance) if before is not None else f"sqlite:///{instance}/tasks.db"

    support.database_of = database_of
    assert databases.run(cluster.instance, "SELECT 1") == [(1,)]
    yield cluster
    support.database_of = before


class GinFamily:
    """Two more processes of the notifications, with the roles that this family's document gives,
    and a gateway of their own; the rest is the installation's."""

    def __init__(self, cluster: Installed) -> None:
        settings = {**cluster.settings, "BROADCAST_ROLES": "admin,member"}
        self.own = [Process("notifications", settings) for _ in range(2)]
        self.gateway = Gateway([*cluster.of("users"), *cluster.of("tasks"), *self.own])
        self.admin_password = cluster.admin_password
        cluster.more = self.own

    def start(self) -> GinFamily:
        for one in (*self.own, self.gateway):
            one.start()
        return self

    def discard(self) -> None:
        for one in (self.gateway, *self.own):
            one.discard()

    @property
    def url(self) -> str:
        return self.gateway.url


@pytest.fixture(scope="session")
def gin(cluster: Installed) -> Iterator[GinFamily]:
    """In place of the family's own server."""
    family = GinFamily(cluster)
    try:
        yield family.start()
        assert [one.stop() for one in family.own] == [0, 0]
        said = "".join(one.log for one in family.own)
        assert "Traceback" not in said, said
        assert leaks(said, [*secrets_of(cluster.instance), SECRET]) == []
    finally:
        family.discard()


@pytest.fixture
def settled(cluster: Installed) -> Callable[..., None]:
    """Wait until every process has told the others how many clients it has; and until there are
    so many, if that is said: those of the test before may be about to leave."""

    def wait(clients: int | None = None) -> None:
        late, pause = time.monotonic() + SETTLED_SECONDS, threading.Event()
        while True:
            told, there = told_together(cluster), counted(cluster)
            if told == there and clients in (None, sum(count for count, _ in there.values())):
                return
            assert time.monotonic() < late, (told, there)
            pause.wait(0.05)

    return wait


Counts = dict[str, tuple[int, int]]  # of a process: connections, and those that get broadcasts


def counted(cluster: Installed) -> Counts:
    """What each process that has any counts itself."""
    found = {}
    for process in (*cluster.of("notifications"), *cluster.more):
        text = Rest(process.url).get("/metrics").text
        [name] = re.findall(r'^task_process_info\{id="(\w+)"\}', text, re.M)
        numbers = [
            int(float(re.findall(rf"^{gauge} (\S+)", text, re.M)[0]))
            for gauge in ("task_sockets", "task_signed_in")
        ]
        found[name] = (numbers[0], numbers[1])
    return {name: counts for name, counts in found.items() if any(counts)}


def told_together(cluster: Installed) -> Counts:
    """What any of them would add up for a client: one that was killed counts for a while."""
    alive = datetime.now(timezone.utc) - timedelta(seconds=SILENT_SECONDS)
    rows = databases.run(
        cluster.instance,
        "SELECT id, clients, signed_in FROM processes WHERE seen_at > :alive",
        database=cluster.settings["DATABASE_URL"],
        alive=f"{alive:%Y-%m-%dT%H:%M:%S.%fZ}",
    )
    return {name: (clients, signed_in) for name, clients, signed_in in rows if clients or signed_in}


@pytest.fixture
def tasks(cluster: Installed) -> list[Process]:
    return cluster.of("tasks")


@pytest.fixture
def notifications(cluster: Installed) -> list[Process]:
    return cluster.of("notifications")
