"""Does a list cost what its reader has, or what everybody has?  `make bench-scale` says.

Two databases, made by the server's own migrations and filled directly: 1 000 tasks in all, and
1 000 000 tasks of 1 000 people.  The measured member sees the same 1 000 tasks in both, of which
200 are other people's, assigned to them; in the large database they lie scattered among all the
others.  The log holds one event for each task.  A real server runs on each, and every request is
measured on both in turn, small, large, small, large, so that whatever else the machine does
falls on both.  What is compared with the limit is a ratio; the milliseconds are this machine's.

The table goes to docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection, HTTPMessage
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from websocket import create_connection  # noqa: E402

from task_app.task_lists import WINDOW  # noqa: E402
from tests.support.accounts import PASSWORD, Person, sign_in  # noqa: E402
from tests.support.clients import Rest  # noqa: E402
from tests.support.server import Server  # noqa: E402

LIMIT = 1.5
SEEN = 1_000  # tasks the measured member sees
ASSIGNED = 200  # of which these are assigned to them by their owners
PAGE = 50
BATCH = 50_000
TURN = 10  # requests to one server before the other has its turn
MEMBER, COLLEAGUE = 2, 3  # ids; 1 is the first admin
WORDS = ("sow", "reap", "plough", "water", "prune", "graft", "thresh", "winnow", "mend", "paint")
STATUSES = ("todo", "in_progress", "completed")
PRIORITIES = ("low", "medium", "high")
SPAN = timedelta(days=6)  # how far back the log goes; a week is kept


@dataclass(frozen=True)
class Size:
    """How big a database is."""

    name: str
    tasks: int
    people: int


SMALL, LARGE = Size("small", 1_000, 2), Size("large", 1_000_000, 1_000)


# --- the databases


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def tasks(size: Size, now: datetime) -> Iterator[tuple[Any, ...]]:
    """The rows of the table.  The member's own are the same in every size, but for the id."""
    every = size.tasks // SEEN
    own, others = random.Random(1), random.Random(2)
    crowd = range(COLLEAGUE, COLLEAGUE + size.people - 1)
    day = now.date()
    for number in range(1, size.tasks + 1):
        mine = number % every == 0
        dice = own if mine else others
        owner: int = MEMBER
        assignee: int | None = None
        if not mine:
            owner = dice.choice(crowd)
            assignee = dice.choice(crowd) if dice.random() < 0.2 else None
        elif number // every % (SEEN // ASSIGNED) == 0:
            owner, assignee = COLLEAGUE, MEMBER
        made = now - SPAN * (1 - number / size.tasks)
        due = str(day + timedelta(days=dice.randrange(2, 14))) if dice.random() < 0.7 else None
        title = " ".join(dice.choices(WORDS, k=3)) + f" {dice.randrange(10**6)}"
        yield (
            number,
            title,
            " ".join(dice.choices(WORDS, k=12)),
            dice.choice(STATUSES),
            dice.choice(PRIORITIES),
            due,
            owner,
            owner,
            assignee,
            stamp(made),
            stamp(now - dice.random() * SPAN),
            1,
        )


TASK_COLUMNS = (
    "id, title, description, status, priority, due_date, user_id, created_by, assigned_to, "
    "created_at, updated_at, version"
)


def event(row: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[tuple[str, int]]]:
    """The event of a task's making, and its rows in `event_rooms`."""
    seq, owner, assignee = row[0], row[6], row[8]
    rooms = [f"user:{person}" for person in (owner, assignee) if person] + ["role:admin"]
    data = dict(zip(TASK_COLUMNS.split(", "), row, strict=True))
    packed = (seq, "task_created", seq, owner, json.dumps(data), "[]", json.dumps(rooms), row[9])
    return packed, [(room, seq) for room in dict.fromkeys(rooms)]


def fill(path: Path, size: Size) -> None:
    """Write people, tasks and events into a database that has its tables already."""
    began, now = time.monotonic(), datetime.now(timezone.utc)
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous = OFF", "cache_size = -2000000", "foreign_keys = OFF"):
        db.execute(f"PRAGMA {pragma}")
    # Indexes are made once at the end, as fast as it goes; the statements are the migration's.
    indexes = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'tasks' AND type = 'index'"
    ).fetchall()
    for name, _ in indexes:
        db.execute(f"DROP INDEX {name}")
    insert = f"INSERT INTO tasks ({TASK_COLUMNS}) VALUES ({', '.join('?' * 12)})"  # noqa: S608
    db.execute("BEGIN")
    people = range(COLLEAGUE, COLLEAGUE + size.people - 1)
    db.executemany(
        "INSERT INTO users (id, username, role, is_active, date_joined, token_generation, "
        "sight_seq) VALUES (?, ?, 'member', 1, ?, 0, 0)",
        [(person, f"person-{person}", stamp(now - SPAN)) for person in people],
    )
    rows = tasks(size, now)
    done = 0
    while batch := list(islice(rows, BATCH)):
        db.executemany(insert, batch)
        events = [event(row) for row in batch]
        db.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", [e for e, _ in events]
        )
        db.executemany("INSERT INTO event_rooms VALUES (?, ?)", [r for _, rs in events for r in rs])
        done += len(batch)
        progress(f"{size.name}: {done:,} tasks, {time.monotonic() - began:.0f} s")
    db.execute("UPDATE log_head SET seq = ?", (size.tasks,))
    db.execute("COMMIT")
    for name, sql in indexes:
        progress(f"{size.name}: {name}, {time.monotonic() - began:.0f} s")
        db.execute(sql)
    db.close()
    progress(f"{size.name}: made in {time.monotonic() - began:.0f} s\n")


def progress(text: str) -> None:
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def make(folder: Path, size: Size) -> None:
    """A database of this size in `folder`, unless it is there from an earlier run."""
    if (folder / "made").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder).start()
    try:
        account = {"username": "measured", "password": PASSWORD}
        made = Rest(server.url).post("/register", account).json()["user"]
        assert made["id"] == MEMBER, made
    finally:
        server.stop()
    fill(folder / "tasks.db", size)
    (folder / "made").touch()


# --- the measurement


class Reader:
    """Somebody who asks one of the two servers, over one kept connection."""

    def __init__(self, server: Server, person: Person, sees: int) -> None:
        self.server, self.person, self.sees = server, person, sees
        self.connection = HTTPConnection("127.0.0.1", server.port)
        self.own: int | None = None
        self.changes = 0

    def get(self, path: str, **headers: str) -> tuple[int, HTTPMessage, bytes]:
        self.connection.request("GET", path, headers=self.person.header | headers)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def news(self) -> None:
        """Change a task that one sees, or the next page would come from the server's memory."""
        if self.own is None:
            path = "/tasks?sort=-id&limit=1"  # an admin has none, and may change any
            for query in (f"&user_id={self.person.id}", ""):
                if self.own is None and (found := json.loads(self.get(path + query)[2])):
                    self.own = found[0]["id"]
        self.changes += 1
        body = {"description": f"changed {self.changes} times"}
        answer = self.person.rest.patch(f"/tasks/{self.own}", body)
        assert answer.status_code == 200, answer.text

    def middle(self, **query: Any) -> str:
        """The path of the page half way through the list, found by walking there."""
        path = "/tasks?" + urlencode({**query, "limit": min(1000, self.sees // 2)})
        for _ in range(max(1, self.sees // 2000)):
            _, headers, _ = self.get(path)
            path = headers["Link"].partition(">")[0].lstrip("<")
        return path.replace(f"limit={min(1000, self.sees // 2)}", f"limit={PAGE}")


Probe = Callable[[Reader], Callable[[], Any]]


@dataclass(frozen=True)
class Row:
    """One line of the table.  `probe(reader)` prepares, and returns what is measured."""

    name: str
    probe: Probe
    members_only: bool = False
    lists: bool = True  # answered from memory while nothing is new to the reader
    windowed: bool = False  # for an admin: bounded by task_lists.WINDOW, not by the page


def page(**query: Any) -> Probe:
    def probe(reader: Reader) -> Callable[[], Any]:
        path = "/tasks?" + urlencode({**query, "limit": PAGE})
        return lambda: check(reader.get(path))

    return probe


def middle(**query: Any) -> Probe:
    def probe(reader: Reader) -> Callable[[], Any]:
        path = reader.middle(**query)
        return lambda: check(reader.get(path))

    return probe


def path(text: str) -> Probe:
    return lambda reader: lambda: check(reader.get(text))


def unchanged(reader: Reader) -> Callable[[], Any]:
    tag = reader.get(f"/tasks?limit={PAGE}")[1]["ETag"]
    return lambda: check(reader.get(f"/tasks?limit={PAGE}", **{"If-None-Match": tag}), 304)


def one_task(reader: Reader) -> Callable[[], Any]:
    """The task in the middle of the table that the member sees."""
    task_id = json.loads(reader.get(reader.middle())[2])[0]["id"]
    return lambda: check(reader.get(f"/tasks/{task_id}"))


def resume(reader: Reader) -> Callable[[], Any]:
    """Connect over Socket.IO and resume from the event that came before the last ten the member
    could see, until `ready`."""
    tasks = json.loads(reader.get("/tasks?sort=-id&limit=11")[2])
    credentials = json.dumps({"token": reader.person.token, "since": tasks[-1]["id"]})
    url = f"ws://127.0.0.1:{reader.server.port}/socket.io/?EIO=4&transport=websocket"

    def connect() -> None:
        socket = create_connection(url)
        try:
            socket.recv()
            socket.send("40" + credentials)
            while not (frame := socket.recv()).startswith('42["ready"'):
                assert frame.startswith(("40", "42")), frame
        finally:
            socket.close()

    return connect


def check(answer: tuple[int, HTTPMessage, bytes], expected: int = 200) -> None:
    assert answer[0] == expected, answer


def named(query: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" if key == "done" else key for key, value in query.items())


def rows() -> list[Row]:
    now = datetime.now(timezone.utc)
    lately = stamp(now - SPAN / 10)
    soon = str((now + timedelta(days=7)).date())
    found = [
        # First: before the log has events of what is done between the requests.
        Row("resume, ten events missed", resume, members_only=True, lists=False),
        Row("first page", page()),
        Row("page in the middle", middle()),
        Row("one task", one_task, lists=False),
        Row("unchanged list (304)", unchanged, lists=False),
        Row("notifications", path("/notifications")),
    ]
    filters: list[dict[str, Any]] = [
        {"status": "in_progress"},
        {"priority": "high"},
        {"done": "true"},
        {"done": "false"},
        {"due_date": soon},
        {"due_before": soon},
        {"due_after": soon},
        {"user_id": MEMBER},
        {"assigned_to": MEMBER},
        {"updated_since": lately},
    ]
    found += [Row("filter " + named(query), page(**query)) for query in filters]
    for sort in ("id", "created_at", "updated_at", "due_date", "priority", "title"):
        found += [Row(f"sort {sign}{sort}", page(sort=sign + sort)) for sign in ("", "-")]
        if sort not in ("id", "created_at"):
            found.append(Row(f"sort {sort}, in the middle", middle(sort=sort)))
    several = {"status": "todo", "priority": "low", "due_after": soon}
    found += [
        Row("search, common word", page(q="plough"), windowed=True),
        Row("search, no match", page(q="nowhere"), windowed=True),
        Row("three filters", page(**several), windowed=True),
        Row("filter and another sort", page(status="todo", sort="-title"), windowed=True),
    ]
    return found


@dataclass(frozen=True)
class Measured:
    row: Row
    who: str
    small: float  # milliseconds
    large: float

    @property
    def ratio(self) -> float:
        return self.large / self.small

    @property
    def verdict(self) -> str:
        if self.ratio <= LIMIT:
            return ""
        return "window" if self.row.windowed and self.who == "admin" else "**over**"


def timed(probe: Callable[[], Any], requests: int, before: Callable[[], Any]) -> list[float]:
    """How long each of so many requests took, one after the other, in ms."""
    durations = []
    for _ in range(requests):
        before()
        began = time.perf_counter()
        probe()
        durations.append((time.perf_counter() - began) * 1000)
    return durations


def measure(row: Row, who: str, readers: list[Reader], rounds: int, requests: int) -> Measured:
    for reader in readers:
        # Opened again by the next request: the server has closed it if the last row took long.
        reader.connection.close()
    probes = [(row.probe(reader), reader.news if row.lists else lambda: None) for reader in readers]
    for probe, before in probes:
        timed(probe, 10, before)
    medians: list[list[float]] = [[], []]
    for _ in range(rounds):
        taken: list[list[float]] = [[], []]
        for _ in range(requests // TURN):
            for (probe, before), durations in zip(probes, taken, strict=True):
                durations += timed(probe, TURN, before)
        for durations, found in zip(taken, medians, strict=True):
            found.append(median(durations))
    return Measured(row, who, *map(median, medians))


def table(measured: list[Measured]) -> str:
    lines = ["| request | who | small, ms | large, ms | ratio | |", "|---|---|--:|--:|--:|---|"]
    lines += [
        f"| {m.row.name} | {m.who} | {m.small:.2f} | {m.large:.2f} | {m.ratio:.2f} | {m.verdict} |"
        for m in measured
    ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GB of memory, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.machine()}"
    )


DOCUMENT = """# What a million tasks cost

Made by `make bench-scale` (`bench/scale.py`, which says what is measured and how) on {date}:
{machine}. Median of {rounds} rounds of {requests} requests each, one client, small and large in
turn. Pages of {page}; before each, and outside its time, a task that the reader sees is changed, or
it would come from the server's memory. The limit is {limit} times what the same request costs with
1 000 tasks in all.

*small*: 1 000 tasks, all of them the member's own or assigned to them; 1 000 events.
*large*: 1 000 000 tasks of 1 000 people, of which the member sees the same 1 000; 1 000 000 events.

{table}
`window`: an admin's search, or filters beyond the one an index serves, look at rows one by one.
They look at {window} of them at most and then answer with what they found and a cursor
(`task_app/task_lists.py`). The small database ends after 1 000 rows, so the ratio compares a look
at {window} rows with a look at 1 000: the work is bounded, and is the same at ten million tasks.

A member's list is found in two indexes, by owner and by assignee, which hold all that one may
filter and sort by: what one member has lies together there, in a large file as in a small one.
Only the 50 rows of the page are then read from the table. A member's search has to look into the
rows of all that this member may see, and of nothing else. What is left of its ratio is where they
lie: 1 000 tasks fill some fifty pages of the small file, and lie on 1 000 pages of the large one.

The first row connects over Socket.IO with a token and `since`, until `ready`, while the log holds
1 000 000 events of others.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--data", type=Path, help="keep the databases here, and use them again")
    parser.add_argument("--only", default="", help="rows whose name contains this; writes nothing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as temporary:
        return run(given, given.data or Path(temporary))


def run(given: argparse.Namespace, folder: Path) -> int:
    servers = []
    try:
        for size in (SMALL, LARGE):
            make(folder / size.name, size)
            servers.append(Server(folder / size.name).start())
        measured = list(measure_all(given, servers))
    finally:
        for server in servers:
            server.kill()
    text = table(measured)
    print(text)
    if not given.only:
        (ROOT / "docs" / "scale.md").write_text(
            DOCUMENT.format(
                date=f"{datetime.now(timezone.utc):%Y-%m-%d}",
                machine=machine(),
                rounds=given.rounds,
                requests=given.requests,
                page=PAGE,
                limit=LIMIT,
                window=f"{WINDOW:,}".replace(",", " "),
                table=text,
            )
        )
    return int(any(m.verdict == "**over**" for m in measured))


def measure_all(given: argparse.Namespace, servers: list[Server]) -> Iterator[Measured]:
    def sign_in_all(name: str, password: Callable[[Server], str], all_tasks: bool) -> list[Reader]:
        return [
            Reader(
                server,
                sign_in(server.url, name, password(server)),
                size.tasks if all_tasks else SEEN,
            )
            for server, size in zip(servers, (SMALL, LARGE), strict=True)
        ]

    actors = {
        "member": sign_in_all("measured", lambda server: PASSWORD, False),
        "admin": sign_in_all("admin", lambda server: server.admin_password, True),
    }
    for row in rows():
        for who, readers in actors.items():
            if given.only in row.name and not (row.members_only and who == "admin"):
                progress(f"{row.name}, {who}")
                yield measure(row, who, readers, given.rounds, given.requests)
    progress("")


if __name__ == "__main__":
    sys.exit(main())
