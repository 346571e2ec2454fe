"""Private services in the foreground, on free ports of 127.0.0.1: for `make cluster` and the tests.

Each is a program that this process starts, waits for until it says that it is ready, and stops.
Their files are in a folder of their own, which goes with them.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 12
PLACES = os.pathsep.join(
    [
        os.environ.get("PATH", ""),
        # Debian keeps PostgreSQL's programs off the PATH, and nginx where only root's goes.
        *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
        "/usr/local/sbin:/usr/sbin:/sbin",
    ]
)


class Missing(Exception):
    """A program that is not installed; the text names it."""


def program(name: str) -> str:
    """Where it is.  Raises `Missing`."""
    path = shutil.which(name, path=PLACES)
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server((HOST, 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def allow_many_files() -> int:
    """Let this process, and what it starts, have as many descriptors as the system allows it.
    Returns how many: a shell's 1 024 end at some five hundred clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Service:
    """A program in the foreground, in a session of its own: a Ctrl-C at the terminal goes to this
    process alone, which then stops one after the other in good order.

    `ready` is what it says once it serves; what it says is kept in `log`.  `user` runs it when
    this process is root's (PostgreSQL refuses to be).  `folder` is closed to everybody else.
    """

    ready: re.Pattern[str]
    users: tuple[str, ...] = ()
    last_word = signal.SIGTERM

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        self.output: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        if user := self.user():
            shutil.chown(self.folder, user)

    def user(self) -> str | None:
        """Who is to run it; None for whoever runs this."""
        known = {one.pw_name for one in pwd.getpwall()}
        return next((one for one in self.users if one in known and os.geteuid() == 0), None)

    def identity(self) -> dict[str, object]:
        """Options of `subprocess` that make the program the user's."""
        user = self.user()
        if user is None:
            return {}
        return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}

    def command(self) -> Sequence[str]:
        """What to run."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {"PATH": PLACES, "LC_ALL": "C"}

    def start(self) -> Service:
        """Run it and wait until it is ready.  Raises `Missing`, or RuntimeError with its log."""
        told = threading.Event()
        self.process = subprocess.Popen(  # type: ignore[call-overload]  # a list of our own  # nosec B603
            self.command(),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **self.identity(),
        )
        threading.Thread(target=self._read, args=(self.process, told), daemon=True).start()
        if not told.wait(START_SECONDS) or self.process.poll() is not None:
            self.kill()
            raise RuntimeError(f"{self.command()[0]} did not start:\n{self.log}")
        return self

    def _read(self, process: subprocess.Popen[str], told: threading.Event) -> None:
        for line in process.stdout or ():
            self.output.append(line)
            if self.heard(line):
                told.set()
        process.wait()
        told.set()  # it ended without a word

    def heard(self, line: str) -> bool:
        """Whether this is the word that it is ready."""
        return self.ready.search(line) is not None

    @property
    def log(self) -> str:
        return "".join(self.output)

    def stop(self, word: signal.Signals | None = None) -> int:
        """Ask it to end and wait.  Returns its exit code; -9 when it had to be killed."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(word or self.last_word)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        if self.process is None:
            return 0
        self.process.kill()
        return self.process.wait()

    def keep_private(self, name: str, text: str) -> Path:
        """Write a file that only whoever runs the program may read."""
        path = self.folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        if user := self.user():
            shutil.chown(path, user)
        return path

    def discard(self) -> None:
        """Stop it and delete its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


# The password is asked for on loopback as well: everybody on this machine can connect there.
INITDB = (
    *("--username=postgres", "--auth=scram-sha-256"),
    *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
)


class PostgreSQL(Service):
    """Its data lives no longer than this object and need not survive a power loss."""

    ready = re.compile("database system is ready to accept connections")
    users = ("postgres", "nobody")
    last_word = signal.SIGINT  # a fast shutdown: open sessions are ended

    def __init__(self, port: int | None = None, connections: int = 200) -> None:
        super().__init__(port)
        self.connections = connections
        self.data = self.folder / "data"
        self.password = secrets.token_urlsafe(24)

    def environment(self) -> dict[str, str]:
        return super().environment() | {"PGDATA": str(self.data)}

    def start(self) -> PostgreSQL:
        if not self.data.exists():
            password = self.keep_private("password", self.password)
            made = subprocess.run(  # type: ignore[call-overload]  # initdb  # nosec B603
                [program("initdb"), *INITDB, f"--pwfile={password}"],
                cwd=self.folder,
                env=self.environment(),
                capture_output=True,
                text=True,
                **self.identity(),
            )
            if made.returncode:
                raise RuntimeError(f"initdb failed:\n{made.stderr}")
        super().start()
        return self

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self.connections,
            "fsync": "off",
            "full_page_writes": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [program("postgres"), *options]

    def stop_at_once(self) -> int:
        """As `pg_ctl stop -m immediate`: no farewell, recovery at the next start."""
        return self.stop(signal.SIGQUIT)

    def url(self, name: str = "postgres", user: str = "postgres") -> str:
        """Of a database, for somebody who has the password of the superuser."""
        return f"postgresql://{user}:{self.password}@{HOST}:{self.port}/{name}"


class Redis(Service):
    """It keeps nothing.  The password is in a file: everybody may read a command line."""

    ready = re.compile("Ready to accept connections")

    def __init__(self, port: int | None = None) -> None:
        super().__init__(port)
        self.password = secrets.token_urlsafe(24)

    def command(self) -> Sequence[str]:
        settings = f'bind {HOST}\nport {self.port}\nsave ""\nrequirepass {self.password}\n'
        return [program("redis-server"), str(self.keep_private("redis.conf", settings))]

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"
