"""A whole installation on this machine: `python -m deploy.cluster`.

Private PostgreSQL, Redis and nginx, and the processes of the three services, all on free ports of
127.0.0.1; Ctrl-C stops everything.  Nothing is kept.
"""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

from deploy.services import (
    HOST,
    Missing,
    PostgreSQL,
    Redis,
    Service,
    allow_many_files,
    program,
)

ROOT = Path(__file__).resolve().parent.parent
AnyService = TypeVar("AnyService", bound=Service)
SPARE_FILES = 64  # of nginx's descriptors are no connection
PROCESSES = {"users": 1, "tasks": 2, "notifications": 2}


class Place(Protocol):
    """Where a service is served."""

    name: str
    port: int


class Process(Service):
    """One process of a service."""

    ready = re.compile("Serving on ")

    def __init__(self, name: str, settings: Mapping[str, str], port: int | None = None) -> None:
        super().__init__(port)
        self.name = name
        self.settings = {**settings, "SERVICES": name, "PORT": str(self.port)}

    def command(self) -> Sequence[str]:
        return [sys.executable, "-u", str(ROOT / "app.py")]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.settings}

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class Gateway(Service):
    """nginx by `nginx.conf`, with other ports, and no more connections than it can have."""

    ready = re.compile("start worker process ")
    users = ("nginx", "www-data", "nobody")

    def __init__(self, processes: Sequence[Place], port: int | None = None) -> None:
        super().__init__(port)
        self.processes = processes

    def command(self) -> Sequence[str]:
        conf = (ROOT / "deploy" / "nginx.conf").read_text()
        conf = conf.replace("listen 8000", f"listen {HOST}:{self.port}")
        conf = conf.replace("stderr warn", "stderr notice")  # or it does not say that it serves
        conf = conf.replace("worker_processes auto", "worker_processes 1")
        files = min(65_536, allow_many_files())
        conf = conf.replace("worker_rlimit_nofile 65536", f"worker_rlimit_nofile {files}")
        most = f"worker_connections {min(20_000, files - SPARE_FILES)};"
        conf = conf.replace("worker_connections 20000;", most)
        self.keep_private("nginx.conf", conf)
        self.keep_private("upstreams.conf", self.upstreams())
        return [program("nginx"), *self.arguments("nginx.conf"), "-g", "daemon off;"]

    def arguments(self, conf: str) -> Sequence[str]:
        """Where it writes, and its configuration, which is looked for there."""
        return ["-e", "stderr", "-p", str(self.folder), "-c", conf]

    def upstreams(self) -> str:
        def servers(name: str) -> str:
            return "".join(
                f"    server {HOST}:{one.port} max_fails=0;\n"
                for one in self.processes
                if one.name == name
            )

        return (
            f"upstream users {{\n{servers('users')}}}\n"
            f"upstream tasks {{\n{servers('tasks')}}}\n"
            f"upstream notifications {{\n    least_conn;\n{servers('notifications')}}}\n"
            "upstream socketio {\n    hash $socketio_key consistent;\n"
            f"{servers('notifications')}}}\n"
        )

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class Cluster:
    """All of it; `settings` go to every process beside those that it cannot do without.

    `counts` is how many processes each service has.
    """

    counts: Mapping[str, int] = PROCESSES

    def __init__(self, port: int | None = None, **settings: str) -> None:
        self.closing = ExitStack()
        self.wanted_port = port
        self.given = settings
        self.processes: list[Process] = []

    def start(self) -> Cluster:
        """Start everything, the gateway last.  Raises `Missing`, RuntimeError."""
        allow_many_files()
        try:
            self.postgres = self._run(PostgreSQL())
            self.redis = self._run(Redis())
            self.settings = self._settings()
            self._migrate()
            for name, count in self.counts.items():
                for _ in range(count):
                    self.processes.append(self._run(Process(name, self.settings)))
            self.gateway = self._run(Gateway(self.processes, self.wanted_port))
        except BaseException:
            self.stop()
            raise
        return self

    def _run(self, service: AnyService) -> AnyService:
        self.closing.callback(service.discard)
        service.start()
        return service

    def _settings(self) -> dict[str, str]:
        # Goes with the database; the processes find one another's secrets in it.
        folder = self.postgres.folder / "instance"
        return {
            "INSTANCE_PATH": str(folder),
            "DATABASE_URL": self.postgres.url(),
            "REDIS_URL": self.redis.url,
            "TRUSTED_PROXIES": HOST,
            "ADMIN_PASSWORD": secrets.token_urlsafe(12),
            **self.given,
        }

    def _migrate(self) -> None:
        command = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
        environment = Service.environment(self.redis) | self.settings
        done = subprocess.run(  # our own migration  # nosec B603
            command, cwd=ROOT, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"the database could not be migrated:\n{done.stderr}")

    def of(self, name: str) -> list[Process]:
        """The processes of a service."""
        return [one for one in self.processes if one.name == name]

    @property
    def url(self) -> str:
        return self.gateway.url

    @property
    def port(self) -> int:
        return self.gateway.port

    def stop(self) -> None:
        """Stop everything, the last first."""
        self.closing.close()


STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, a terminal that closes


def _stop_once(*_: object) -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)  # a second one would leave things behind
    raise KeyboardInterrupt


def main() -> int:
    for number in STOPS:
        signal.signal(number, _stop_once)
    cluster = Cluster()
    try:
        cluster.start()  # which stops what it has started when it is interrupted
        print(f"The gateway is at {cluster.url}")
        for one in cluster.processes:
            print(f"  {one.name:14} {one.url}")
        print(f"Sign in as admin, password {cluster.settings['ADMIN_PASSWORD']}; Ctrl-C stops all.")
        sys.stdout.flush()
        while True:
            signal.pause()
    except KeyboardInterrupt:
        print("\nStopping")
    except (Missing, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
