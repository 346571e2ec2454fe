"""A real server: `python app.py` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import schema
from tests.support.forkserver import FORKS, ROOT, Child, forkserver
from tests.support.leaks import secrets_of

ASYNC_MODE = os.environ.get("ASYNC_MODE", "eventlet")
ENGINE = os.environ.get("ENGINE", "on")
DATABASE = os.environ.get("DATABASE", "sqlite")
READY = re.compile(r"Serving on http://localhost:(\d+)")
# Thousands of accounts are made; test_logins has some at full cost.
HASH_COST = "10"
START_SECONDS = 20
STOP_SECONDS = 12


# What each server of this session has printed, and the secrets it had: looked through at the end.
printed: list[tuple[list[str], list[str]]] = []
# Gives the URL of an instance's database; SQLite's need none.
database_of: Callable[[Path], str] | None = None


def environment(instance: Path, settings: dict[str, str]) -> dict[str, str]:
    """The environment of a server: nothing of ours but where programs are, and what the whole
    suite may be run with."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    base = {"INSTANCE_PATH": str(instance), "PORT": "0"}
    base |= {"ASYNC_MODE": ASYNC_MODE, "ENGINE": ENGINE}
    base["RATELIMIT_ENABLED"] = "0"  # every test comes from one address; test_limits sets it
    base["HASH_COST"] = HASH_COST
    if database_of is not None and "DATABASE_URL" not in settings:
        base["DATABASE_URL"] = database_of(instance)
    return kept | base | settings


class Server:
    """One server on a free port of 127.0.0.1.  What it prints is kept in `log`."""

    # What Python is told to run when the server is a program of its own, and not forked.
    program: Sequence[str] = ()
    # What is run in place of `app.py`.
    source = ""
    has_schema = True  # from the start, where it has SQLite
    HEARS_SECONDS = 0.0  # of what another process of it did: this is one

    @property
    def under(self) -> Sequence[str]:
        """The words of another program that is to start Python; it must become the server."""
        return ()

    def __init__(self, instance: Path, arguments: Sequence[str] = (), **settings: str) -> None:
        self.instance = instance
        self.arguments = arguments
        self.settings = settings
        self.output: list[str] = []
        self.port = 0
        self.restarted = threading.Event()
        self.process: subprocess.Popen[str] | Child | None = None

    def start(self) -> Server:
        self.output, self.port, ready = [], 0, threading.Event()
        if self.has_schema and DATABASE == "sqlite" and "DATABASE_URL" not in self.settings:
            schema.lay(self.instance)
        self.process = process = self._run(environment(self.instance, self.settings))
        threading.Thread(target=self._read, args=(process, ready), daemon=True).start()
        if not ready.wait(START_SECONDS) or not self.port:
            self.kill()
            raise AssertionError(f"the server did not start:\n{self.log}")
        printed.append((self.output, [*secrets_of(self.instance), *self._given_secrets()]))
        return self

    def _given_secrets(self) -> list[str]:
        named = ("SECRET", "PASSWORD", "METRICS_TOKEN")
        found = [value for name, value in self.settings.items() if any(n in name for n in named)]
        return [value for value in found if len(value) >= 8]  # shorter ones are words, too

    def _run(self, env: dict[str, str]) -> subprocess.Popen[str] | Child:
        what = ("-c", self.source) if self.source else ("app.py",)
        if FORKS and not self.program:
            return forkserver(env["ASYNC_MODE"]).start([*what, *self.arguments], env)
        return subprocess.Popen(
            [*self.under, sys.executable, "-u", *(self.program or what), *self.arguments],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _read(self, process: subprocess.Popen[str] | Child, ready: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)
            if found := READY.search(line):
                self.port = int(found[1])
                ready.set()
                self.restarted.set()
        ready.set()  # it ended without a word

    def await_restart(self, change: Callable[[], object]) -> None:
        """Do what makes the server start itself anew, and wait until it has."""
        self.restarted.clear()
        change()
        assert self.restarted.wait(START_SECONDS), self.log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return "".join(self.output)

    @property
    def admin_password(self) -> str:
        return (self.instance / "admin_password").read_text().strip()

    def signal(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit code, once it has ended."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended after {seconds} s:\n{self.log}") from None

    def stop(self) -> int:
        self.signal()
        return self.wait()

    def restart(self, between: Callable[[], None] = lambda: None) -> None:
        """Kill it and start it again, the same instance on the same port."""
        self.kill()
        between()
        self.settings = {**self.settings, "PORT": str(self.port)}
        self.start()

    def kill(self) -> None:
        """End it whatever state it is in; nothing to do when it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class AppPy(Server):
    """`python app.py` itself, which makes all it needs."""

    program = ("app.py",)
    has_schema = False


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, started; at the end it must stop in good order, and must never have had an
    unforeseen error."""
    try:
        yield server.start()
        code = server.stop()
        assert code == 0, server.log
        assert "Traceback" not in server.log, server.log
    finally:
        server.kill()


def refusal(instance: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Start a server that should refuse: its exit code and all it said."""
    env = environment(instance, settings)
    if FORKS:
        forks = forkserver(env["ASYNC_MODE"])
        code, out, err = forks.run(["app.py", *arguments], env, "", START_SECONDS)
        return code, out + err
    done = subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_SECONDS,
    )
    return done.returncode, done.stdout
