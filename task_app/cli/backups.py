"""`backup` and `restore`: SQLite's file as a whole, past nobody's way."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain, count
from pathlib import Path

import click
from flask import current_app

from task_app import bootstrap, database, events, instance
from task_app.cli.common import OneSentence, open_database
from task_app.extensions import db

# Under any other than the visibility of the settings a server begins a new epoch
# (`actions.server.settle_log`): a copy put in place by hand is not taken for the log it was.
COPIED = "restored"
BESIDE = ("-wal", "-shm")


@click.command("backup", cls=OneSentence)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def backup(file: Path, force: bool) -> None:
    """Copy the SQLite database into FILE while servers go on.

    The copy is of one moment and takes no lock that a server waits for.  The secrets in the
    instance folder are not in it: keep those as well, or everybody signs in again.
    """
    if file.exists() and not force:
        raise click.ClickException(f"{file} is there already; --force writes over it.")
    if not file.absolute().parent.is_dir():
        raise click.ClickException(f"There is no folder {file.absolute().parent}.")
    source = _database()
    open_database()
    _copy(source, file)
    click.echo(f"Wrote {file} ({file.stat().st_size:,} bytes).")


@click.command("restore", cls=OneSentence)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def restore(file: Path) -> None:
    """Put the backup FILE in the place of the SQLite database.

    No server may run.  What was there is kept beside it, and the log gets a new epoch: clients
    that saw what the backup has not are told to read everything again.
    """
    target = _database()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    with instance.alone(app.instance_path):
        draft = target.with_name(f"{target.name}.restoring")
        _copy(file, draft)
        _check_schema(draft)
        kept = _set_aside(target)
        os.replace(draft, target)
        bootstrap.settle(app)
        with database.reading() as tx:
            seq, epoch = events.head(tx)
    click.echo(f"Restored; the log stands at {seq} in the new epoch {epoch}.")
    if kept:
        click.echo(f"What was there is kept as {kept}.")


def _database() -> Path:
    url = db.engine.url
    if url.get_backend_name() != "sqlite" or not url.database:
        raise click.ClickException(
            "The database is PostgreSQL: use pg_dump and pg_restore, and after a restore "
            "`flask --app app events new-epoch`."
        )
    return Path(url.database)


def _copy(source: Path, target: Path) -> None:
    """A whole copy in one file, marked as one, on the disk under its name or not at all."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.touch(mode=0o600)
        with _opened(source) as old, closing(sqlite3.connect(draft)) as new:
            # In one step: a copy in several begins anew whenever a server has written.
            old.backup(new)
            _check_and_mark(new)
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, target)
    except sqlite3.Error as error:
        raise click.ClickException(f"{source} cannot be copied: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _opened(source: Path) -> Iterator[sqlite3.Connection]:
    if not source.is_file():
        raise click.ClickException(f"There is no database at {source}.")
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        yield connection


def _check_and_mark(copy: sqlite3.Connection) -> None:
    [(found,)] = copy.execute("PRAGMA quick_check(1)")
    if found != "ok":
        raise sqlite3.DatabaseError(f"it is damaged ({found})")
    [(ours,)] = copy.execute("SELECT count(*) FROM sqlite_master WHERE name = 'log_head'")
    with copy:
        marked = ours and copy.execute("UPDATE log_head SET visibility = ?", (COPIED,)).rowcount
    if marked != 1:
        raise sqlite3.DatabaseError("it is no database of this server")
    copy.execute("PRAGMA journal_mode = DELETE")  # or it would not be one file


def _check_schema(draft: Path) -> None:
    """Raises `StartError`, and takes the draft away, when a newer version has made it."""
    with closing(sqlite3.connect(draft)) as copy:
        [(revision,)] = copy.execute("SELECT version_num FROM alembic_version")
    try:
        bootstrap.is_newest(revision)
    except bootstrap.StartError:
        draft.unlink()
        raise


def _unused(name: str) -> Path:
    """A path that nothing has yet: the name, or with a number behind it."""
    numbered = (f"{name}-{number}" for number in count(2))
    return next(path for path in map(Path, chain([name], numbered)) if not path.exists())


def _set_aside(target: Path) -> Path | None:
    """Keep the database that is there under another name; its log, once it is in the file, must
    not meet the new one."""
    if not target.exists():
        return None
    with suppress(sqlite3.Error), closing(sqlite3.connect(target)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = _unused(f"{target}.before-restore")
    for end in BESIDE:
        Path(f"{kept}{end}").unlink(missing_ok=True)  # another's, which would spoil this one
    os.link(target, kept)  # until the new one takes its place there is always one
    for end in BESIDE:
        with suppress(FileNotFoundError):
            os.replace(f"{target}{end}", f"{kept}{end}")
    return kept
