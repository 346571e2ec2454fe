"""One installation for the session; `server`, to the contract tests, is its gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cluster import Cluster, Process
from tests.conftest import require
from tests.contracts.conftest import client  # noqa: F401 - a fixture of the families' tests
from tests.contracts.test_gin import ORIGIN, SECRET
from tests.support import databases
from tests.support import server as support
from tests.support.server import ASYNC_MODE

# What the families' documents set, all at once.
SETTINGS = {
    "ASYNC_MODE": ASYNC_MODE,
    "HASH_COST": "10",
    "RATELIMIT_ENABLED": "0",
    "ALLOWED_ORIGINS": ORIGIN,
    "JWT_SECRET": SECRET,
    "BROADCAST_ROLES": "admin,member",
}


class Installed(Cluster):
    """With the names that a test knows a server by."""

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


@pytest.fixture(scope="session")
def gin(server: Installed) -> Installed:
    """In place of the family's own server."""
    return server


@pytest.fixture
def tasks(cluster: Installed) -> list[Process]:
    return cluster.of("tasks")


@pytest.fixture
def notifications(cluster: Installed) -> list[Process]:
    return cluster.of("notifications")
