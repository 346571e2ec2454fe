"""Fixtures: one server for the whole session, people and sockets of a test's own."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from deploy.services import Missing, Redis, program
from tests.faults.tries import (  # noqa: F401 - hooks
    pytest_runtest_makereport,
    pytest_runtest_teardown,
)
from tests.support import accounts
from tests.support import server as support
from tests.support.accounts import PASSWORD, Person
from tests.support.clients import Rest, Socket
from tests.support.forkserver import FORKS, UNPATCHED, share
from tests.support.impatient import SILENCE, Impatient
from tests.support.leaks import leaks
from tests.support.server import ASYNC_MODE, DATABASE, ENGINE, Server

settings.register_profile(
    "suite",
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("suite")

# What workers are started by need not import the server.
if TYPE_CHECKING:
    from tests.support.postgres import Databases

# A suite that is started in the background of a shell ignores Ctrl-C, and so would each program it
# starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

eventlet_only = pytest.mark.skipif(ASYNC_MODE != "eventlet", reason="a property of eventlet's mode")
engine_only = pytest.mark.skipif(
    ASYNC_MODE != "eventlet" or ENGINE != "on", reason="a property of the engine"
)

sqlite_only = pytest.mark.skipif(DATABASE != "sqlite", reason="a property of SQLite")


def unable(why: str) -> NoReturn:
    """What a test needs is not here: it is skipped, or fails if REQUIRE_SERVICES=1."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(why)
    pytest.skip(why)


def require(binary: str) -> str:
    """The path of a program; without it the test is skipped, or fails if REQUIRE_SERVICES=1."""
    try:
        return program(binary)
    except Missing as missing:
        unable(str(missing))


def pytest_configure(config: pytest.Config) -> None:
    """Where the suite is shared by several processes, all fork from the same ones."""
    if FORKS and config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
        share(folder.name, {ASYNC_MODE, UNPATCHED})


def require_chromium() -> str:
    """The path of a Chromium, under whichever of its names it is here."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        with suppress(Missing):
            return program(name)
    return require("chromium")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A folder of what is not asked for is not read: together they take a third of a second of the
    start of each process."""
    asked_for = f"not {collection_path.name}" not in config.option.markexpr.split(" and ")
    return None if asked_for or collection_path.parent != Path(__file__).parent else True


def pytest_collection_finish() -> None:
    """What there is by now stays: the collector need not walk it again and again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a PostgreSQL is done by one worker: to make one takes seconds."""
    if DATABASE == "sqlite":
        for item in items:
            if "postgresql" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group("postgresql"))


def logged_secrets() -> list[str]:
    """The lines of this process's servers with what nobody may read there (`leaks`)."""
    return [
        line
        for output, secrets in support.printed
        for line in leaks("".join(output), [*secrets, PASSWORD])
    ]


@pytest.fixture(scope="session", autouse=True)
def _logs() -> Iterator[None]:
    """Whatever the suite has done, no server has logged a token, a ticket, a password, an e-mail
    address or its secrets.  (Where this fails in a soak, it is at the end of `test_logged.py`.)"""
    yield
    assert logged_secrets() == []


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Databases]:
    """A private PostgreSQL; `of(instance)` is the URL of a database of that instance's own."""
    from tests.support.postgres import Databases

    require("postgres")
    require("initdb")
    databases = Databases()
    try:
        yield databases.start()
    finally:
        databases.server.discard()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    """A private Redis."""
    require("redis-server")
    running = Redis()
    try:
        running.start()
        yield running
    finally:
        running.discard()


@pytest.fixture(scope="session", autouse=True)
def _database(request: pytest.FixtureRequest) -> Iterator[None]:
    """With DATABASE=postgresql every server has its database there."""
    if DATABASE == "postgresql":
        support.database_of = request.getfixturevalue("postgresql").of
    yield
    support.database_of = None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that tests share."""
    with support.running(Server(tmp_path_factory.mktemp("instance"))) as one:
        yield one


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another that tests share, with little patience for its sockets' clients."""
    running = Impatient(tmp_path_factory.mktemp("impatient"), WS_TIMEOUT_SECONDS=str(SILENCE))
    try:
        yield running.start()
        assert running.stop() == 0, running.log
        assert "Traceback" not in running.log, running.log
    finally:
        running.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own: `start(NAME=value, …)`."""
    started: list[Server] = []

    def run(instance: Path = tmp_path, arguments: Sequence[str] = (), **settings: str) -> Server:
        started.append(Server(instance, arguments, **settings))
        return started[-1].start()

    yield run
    for running in started:
        running.kill()


@pytest.fixture
def nobody(server: Server) -> Rest:
    return Rest(server.url)


@pytest.fixture
def alice(server: Server) -> Person:
    return accounts.register(server.url, "Alice")


@pytest.fixture
def people(server: Server) -> tuple[Person, ...]:
    """Alice, Bob and Charlie."""
    return tuple(accounts.people(server.url, "Alice", "Bob", "Charlie"))


@pytest.fixture(scope="session")
def admin(server: Server) -> Person:
    return accounts.admin(server)


@pytest.fixture
def listen(server: Server) -> Iterator[Callable[..., Socket]]:
    """Opens sockets: `listen(person)`, `listen()` without a token, `listen(url=…)`."""
    opened: list[Socket] = []

    def connect(person: Person | None = None, url: str = "", **options: Any) -> Socket:
        opened.append(Socket())
        token = None if person is None else person.token
        return opened[-1].connect(url or server.url, token, **options)

    yield connect
    for socket in opened:
        socket.close()
