"""The disk is full: writes are refused with 507 and leave nothing, reads go on, and so do writes
once there is room again, without anybody doing anything."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import sqlite_only, unable
from tests.faults import form
from tests.faults.checker import finish
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.recorder import OK, Operation, Recorder
from tests.faults.speaker import Speaker
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest
from tests.support.server import AppPy, Server, running

pytestmark = [sqlite_only, pytest.mark.fault("disk")]

CYCLES = 4  # through all kinds of write, once it is full
MEGABYTES = 200 if form.SOAK else 6  # of the small disk; each round leaves a megabyte of events
ROOM = 300_000  # bytes that are left there for the test to fill
PAGES = 200  # of a bounded database; an empty one has some fifty
LONG = "d" * 9_000

# Bounds the database for each transaction, in the thread whose it is, until there is a file `room`.
PROGRAM = f"""
import os, sys
from app import main, server
patch, room = server.patch, os.path.join(os.environ["INSTANCE_PATH"], "room")
def patch_and_bound(mode):
    patch(mode)
    from task_app.database import _Pool
    take = _Pool.take
    def bounded(pool):
        session = take(pool)
        pages = {PAGES} * (10 if os.path.exists(room) else 1)
        session.driver.execute(f"PRAGMA max_page_count = {{pages}}").close()
        return session
    _Pool.take = bounded
server.patch = patch_and_bound
sys.exit(main())
"""


COPY = """
import sqlite3, sys
sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))
"""


class Bounded(Server):
    source = PROGRAM

    def make_room(self) -> None:
        (self.instance / "room").touch()


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
        unable("nobody may mount here but root with all its rights")
    instance = tmp_path / "instance"
    instance.mkdir()
    server = OnSmallDisk(instance)
    try:
        yield server
    finally:
        server.kill()


class Writer:
    """Somebody who writes in every way there is.  `history` has it, but for the logins."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.speaker = Speaker(person.rest.url, person)
        self.history = Recorder()
        self.task = self.create().task_id

    def body(self) -> dict[str, str]:
        return {"title": unique("Long"), "description": unique(LONG)}

    def create(self) -> Operation:
        return self.history.send(self.person, "POST", "/tasks", self.body())

    def change(self) -> Operation:
        body = {"description": unique(LONG)}
        return self.history.send(self.person, "PATCH", f"/tasks/{self.task}", body)

    def delete(self) -> Operation:
        """Of the newest task but the one that is changed."""
        newest = self.person.rest.get("/tasks?limit=2&sort=-id").json()
        [number, *_] = [task["id"] for task in newest if task["id"] != self.task]
        return self.history.send(self.person, "DELETE", f"/tasks/{number}")

    def make_two(self) -> Operation:
        made, _ = self.history.send_at_once(self.person, [self.body(), self.body()])
        return made

    def say(self) -> Operation:
        return self.history.send(self.person, "POST", "/tasks", self.body(), by=self.speaker)

    def sign_in(self) -> int:
        body = {"username": self.person.username, "password": PASSWORD}
        return Rest(self.person.rest.url).post("/login", body).status_code

    def once(self) -> dict[str, int | None]:
        """The statuses of one of each, by name."""
        kinds = (self.create, self.change, self.make_two, self.say, self.delete)
        return {kind.__name__: kind().status for kind in kinds} | {"sign_in": self.sign_in()}


DONE = (200, 201)
# These may leave, or find, the room that they take; but for the others there is none for long.
MAY_FIT = {"delete", "sign_in"}
KINDS = {"create", "change", "make_two", "say"} | MAY_FIT


def check_full(writer: Writer) -> int:
    """Once it is full every kind of write is refused as it should be, and reads go on.  Returns
    how many were refused."""
    refused: list[tuple[str, int | None]] = []
    for cycle in itertools.count(1):
        while (status := writer.create().status) in DONE:
            pass
        refused.append(("create", status))
        refused += [one for one in writer.once().items() if one[1] not in DONE]
        kinds = {kind for kind, _ in refused} | MAY_FIT
        if cycle >= CYCLES and kinds == KINDS:
            break
        assert cycle < 5 * CYCLES, kinds
    rest = writer.person.rest
    reads = [
        Rest(rest.url, rest.token).get(path).status_code
        for path in ("/tasks", "/tasks?limit=1&sort=title", "/profile", "/health", "/activity")
    ]
    print(Counter(refused))
    figure("disk", "other", sum(status != 507 for _, status in refused), len(refused))
    figure("disk", "reads", sum(status != 200 for status in reads), len(reads))
    return len(refused)


def check_whole(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    figure("disk", "integrity", len([line for line in said if line != "ok"]))


def test_bounded_database(tmp_path: Path) -> None:
    """`PRAGMA max_page_count`, which is raised in the end."""
    server = Bounded(tmp_path)
    with running(server):
        alice = accounts.register(server.url, "Alice")
        follower, writer = Follower("sse", server.url, alice), Writer(alice)
        refused = check_full(writer)
        server.make_room()
        answers = writer.once()
        figure("disk", "stuck", sum(status not in DONE for status in answers.values()), 1)
        finish("disk", writer.history, [follower], tmp_path, tries=refused)
        writer.speaker.hang_up()
    check_whole(tmp_path / "tasks.db")


def test_small_disk(small: OnSmallDisk) -> None:
    """Filled by somebody else, who then makes room again; more than once."""
    small.start()
    alice = accounts.register(small.url, "Alice")
    follower, writer = Follower("fiber", small.url, alice), Writer(alice)
    stuck = rounds = refused = 0
    for _ in form.rounds("disk full", short=2, long=20, share=0.005):
        rounds += 1
        with ballast(small.folder):
            refused += check_full(writer)
        stuck += sum(status not in DONE for status in writer.once().values())
        for task in alice.rest.get("/tasks?limit=1000").json():
            if task["id"] != writer.task:
                done = writer.history.send(alice, "DELETE", f"/tasks/{task['id']}")
                stuck += done.outcome != OK
    figure("disk", "stuck", stuck, rounds)
    writer.speaker.hang_up()
    database = small.copy()
    finish(
        "disk", writer.history, [follower], small.instance, f"sqlite:///{database}", tries=refused
    )
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
