"""`doctor`: what is not as it should be, and what to do about it."""

from __future__ import annotations

import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import click
import redis
from flask import current_app
from sqlalchemy import text

from task_app import bootstrap, database, events, presence
from task_app.cli.common import KNOWN_ERRORS, OneSentence, sentence
from task_app.extensions import db
from task_app.measured import VERSIONS

GOOD, DOUBTFUL, BAD = "ok", "warning", "wrong"
COLOURS = {GOOD: "green", DOUBTFUL: "yellow", BAD: "red"}
SECRETS = ("secret_key", "jwt_secret_key", "admin_password")
FEW_FILES = 4_096  # a socket takes one each, and a request in SQLite three
LITTLE_SPACE = 256 << 20
REDIS_SECONDS = 2.0


class Finding(NamedTuple):
    """How one thing is: `state`, what was seen and, unless that is good, what to do."""

    state: str
    about: str
    seen: str
    advice: str = ""


@click.command("doctor", cls=OneSentence)
def doctor() -> None:
    """Look at the settings, secrets, database, Redis, limits and versions.

    The exit code is 1 when something is wrong, 0 when there are only warnings.  A setting that
    cannot be used keeps every command from starting, with a sentence of its own.
    """
    worst = False
    for check in CHECKS:
        for finding in check():
            mark = click.style(f"{finding.state:<8}", fg=COLOURS[finding.state])
            click.echo(f"{mark} {finding.about}: {finding.seen}")
            if finding.advice:
                click.echo(f"{'':8}   → {finding.advice}")
            worst = worst or finding.state == BAD
    if worst:
        raise click.ClickException("Something is wrong; see above.")


def _settings() -> Iterator[Finding]:
    config = current_app.config
    host = config["HOST"]
    yield Finding(GOOD, "settings", f"usable; instance folder {config['INSTANCE_PATH']}")
    if host not in bootstrap.LOOPBACK:
        yield Finding(
            DOUBTFUL,
            "HOST",
            f"listens on {host}, in plain HTTP",
            "put a gateway that speaks TLS in front (deploy/nginx.conf) and listen on loopback",
        )
    if not config["RATELIMIT_ENABLED"]:
        yield Finding(
            DOUBTFUL, "RATELIMIT_ENABLED", "passwords may be guessed without end", "set it to 1"
        )
    if config["HASH_COST"] < 15:
        yield Finding(
            DOUBTFUL, "HASH_COST", "stolen hashes are guessed faster than need be", "set it to 15"
        )


def _secrets() -> Iterator[Finding]:
    folder = Path(current_app.config["INSTANCE_PATH"])
    open_to_others = [
        name
        for name in SECRETS
        if (folder / name).exists() and stat.S_IMODE((folder / name).stat().st_mode) & 0o077
    ]
    for name in open_to_others:
        yield Finding(BAD, "secrets", f"{name} can be read by others", f"chmod 600 {folder / name}")
    if (folder / "admin_password").exists():
        yield Finding(
            DOUBTFUL,
            "secrets",
            "the first admin's password is in a file",
            f"change it, and delete {folder / 'admin_password'}",
        )
    if not open_to_others:
        yield Finding(GOOD, "secrets", "for this user alone")


def _database() -> Iterator[Finding]:
    engine = db.engine
    name = engine.url.render_as_string(hide_password=True)
    try:
        current = bootstrap.schema_is_current()
    except KNOWN_ERRORS as error:
        yield Finding(BAD, "database", sentence(error), f"see to {name}, or DATABASE_URL")
        return
    if not current:
        advice = "flask --app app db upgrade (on SQLite a server does so when it starts)"
        yield Finding(BAD, "database", f"{name} has not this version's schema", advice)
        return
    with database.reading() as tx:
        seq, epoch = events.head(tx)
        servers = presence.others(tx)
    said = f"{name}, event log at {seq} in epoch {epoch}, servers running: {servers}"
    yield Finding(GOOD, "database", said)
    if engine.dialect.name == "sqlite":
        yield from _sqlite_file(Path(engine.url.database or ""))


def _sqlite_file(path: Path) -> Iterator[Finding]:
    with db.engine.connect() as connection:
        found = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
    if found != "ok":
        yield Finding(BAD, "database", f"it is damaged: {found}", "restore a backup")
    free = shutil.disk_usage(path.parent).free
    if free < LITTLE_SPACE:
        yield Finding(
            DOUBTFUL, "disk", f"{free >> 20} MiB are free at {path.parent}", "make room there"
        )


def _redis() -> Iterator[Finding]:
    url = current_app.config["REDIS_URL"]
    if url is None:
        yield Finding(GOOD, "Redis", "not used; processes hear of one another within a second")
        return
    try:
        redis.Redis.from_url(
            url, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS
        ).ping()
    except (redis.RedisError, OSError) as error:
        yield Finding(
            DOUBTFUL,
            "Redis",
            f"it does not answer ({' '.join(str(error).split())})",
            "see to it or to REDIS_URL; nothing is lost meanwhile, other processes hear later",
        )
    else:
        yield Finding(GOOD, "Redis", "answers")


def _limits() -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        yield Finding(
            DOUBTFUL,
            "open files",
            f"a process may have {soft}, so it takes no more than about that many connections",
            "ulimit -n 20000 (LimitNOFILE= in a systemd unit)",
        )
    else:
        yield Finding(GOOD, "open files", f"a process may have {soft}")


def _versions() -> Iterator[Finding]:
    others = [
        f"{name} {installed} (measured: {version})"
        for name, version in VERSIONS.items()
        if (installed := _installed(name)) != version
    ]
    if others:
        yield Finding(
            BAD,
            "versions",
            f"not those this was measured with: {', '.join(others)}",
            "pip install -r requirements.txt",
        )
    else:
        yield Finding(GOOD, "versions", "those this was measured with")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    *(_settings, _secrets, _database, _redis, _limits, _versions),
)
