"""The disk is full: writes are refused with 507 and leave nothing, reads go on, and so do writes
once there is room again, without anybody doing anything."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import sqlite_only
from tests.faults import form
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.recorder import OK, Operation, Recorder, keep
from tests.support import accounts
from tests.support.accounts import Person, unique
from tests.support.clients import Rest
from tests.support.server import AppPy, Server

pytestmark = [sqlite_only, pytest.mark.fault("disk")]

REFUSED = 20  # writes once it is full
MEGABYTES = 200 if form.SOAK else 6  # of the small disk; each round leaves a megabyte of events
ROOM = 300_000  # bytes that are left there for the test to fill
PAGES = 200  # of a bounded database; an empty one has some fifty
LONG = "d" * 9_000

# Bounds every connection's database as soon as it is opened.
PROGRAM = f"""
import sys
from app import main, server
patch = server.patch
def patch_and_bound(mode):
    patch(mode)
    from sqlalchemy import Engine, event
    @event.listens_for(Engine, "connect")
    def bound(connection, record):
        connection.execute("PRAGMA max_page_count = {PAGES}")
server.patch = patch_and_bound
sys.exit(main())
"""


COPY = """
import sqlite3, sys
sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))
"""


class Bounded(Server):
    program = ("-c", PROGRAM)


class OnSmallDisk(AppPy):
    """Its instance folder is a disk of its own, which nobody else sees and which goes with it."""

    @property
    def under(self) -> Sequence[str]:
        mount = f'mount -t tmpfs -o size={MEGABYTES}m,mode=700 none "$0" && exec "$@"'
        return "unshare", "-m", "sh", "-c", mount, str(self.instance)

    @property
    def folder(self) -> Path:
        """Where the instance is from here.  (SQLite would follow it back to what is here.)"""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{self.instance}")

    def copy(self) -> Path:
        """The database, page by page, on the disk we all have."""
        assert self.process is not None
        found = self.instance.with_suffix(".db")
        enter = ["nsenter", "-m", "-t", str(self.process.pid), sys.executable, "-c", COPY]
        subprocess.run([*enter, str(self.instance / "tasks.db"), str(found)], check=True)
        return found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[OnSmallDisk]:
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("nobody may mount here but root with all its rights")
    instance = tmp_path / "instance"
    instance.mkdir()
    server = OnSmallDisk(instance)
    try:
        yield server
    finally:
        server.kill()


def write(alice: Person, history: Recorder) -> Operation:
    body = {"title": unique("Long"), "description": LONG}
    return history.send(alice, "POST", "/tasks", body)


def check_full(alice: Person, history: Recorder) -> None:
    """Once it is full every answer says so, nobody hears of what was refused, and reads go on."""
    while write(alice, history).outcome == OK:
        pass
    before = alice.rest.get("/tasks?limit=1").headers["X-Event-Seq"]
    statuses = [write(alice, history).status for _ in range(REFUSED)]
    reads = [
        Rest(alice.rest.url, alice.token).get(path).status_code
        for path in ("/tasks", "/tasks?limit=1&sort=title", "/profile", "/health", "/activity")
    ]
    figure("disk", "other", sum(status != 507 for status in statuses), len(statuses))
    figure("disk", "reads", sum(status != 200 for status in reads), len(reads))
    after = alice.rest.get("/tasks?limit=1").headers["X-Event-Seq"]
    figure("disk", "events", int(after) - int(before), len(statuses))


def check_whole(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    figure("disk", "integrity", len([line for line in said if line != "ok"]))


def test_bounded_database(tmp_path: Path) -> None:
    """`PRAGMA max_page_count`."""
    server = Bounded(tmp_path)
    try:
        server.start()
        alice = accounts.register(server.url, "Alice")
        follower, history = Follower("sse", server.url, alice), Recorder()
        check_full(alice, history)
        log = follower.finish(tmp_path)
        keep("disk", history, log, [follower.session])
        figure("disk", "events", follower.wrong(log), REFUSED)
        assert server.stop() == 0
        assert "Traceback" not in server.log
    finally:
        server.kill()
    check_whole(tmp_path / "tasks.db")


def test_small_disk(small: OnSmallDisk) -> None:
    """Filled by somebody else, who then makes room again; more than once."""
    small.start()
    password = (small.folder / "admin_password").read_text().strip()
    boss = accounts.sign_in(small.url, "admin", password)
    follower, history = Follower("fiber", small.url, boss, "admin"), Recorder()
    stuck = tries = 0
    for tries in form.rounds("disk full", short=2, long=20, share=0.005):
        with ballast(small.folder):
            check_full(boss, history)
        answers = [history.send(boss, "POST", "/tasks", {"title": f"Room {tries}"})]
        answers += [
            history.send(boss, "DELETE", f"/tasks/{task['id']}")
            for task in boss.rest.get("/tasks?limit=1000").json()
        ]
        stuck += sum(one.outcome != OK for one in answers)
    figure("disk", "stuck", stuck, tries)
    database = small.copy()
    log = follower.finish(small.instance, f"sqlite:///{database}")
    keep("disk", history, log, [follower.session])
    figure("disk", "events", follower.wrong(log), tries)
    final = {task["id"]: task for task in boss.rest.get("/tasks?limit=1000").json()}
    history.check(final, log)
    check_whole(database)
    assert small.stop() == 0
    assert "Traceback" not in small.log


@contextmanager
def ballast(folder: Path) -> Iterator[None]:
    """A file that leaves little room."""
    free = os.statvfs(folder)
    file = folder / "ballast"
    with suppress(OSError):  # the server may have taken some of it meanwhile: none is left then
        file.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - ROOM)))
    try:
        yield
    finally:
        file.unlink()
