"""What the commands share: their errors, the open database, who acts, passwords, progress."""

from __future__ import annotations

import sys
from typing import Any

import click
from flask import current_app
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import DBAPIError

from task_app import bootstrap, database, instance, queries
from task_app.access import Actor
from task_app.errors import AppError
from task_app.models.user import ADMIN
from task_app.realtime.relay import relay

# Told apart from what a command was asked for, which may go into a pipe.
console = Console(stderr=True)
KNOWN_ERRORS = (
    *(AppError, DBAPIError, OSError, database.Busy),
    *(bootstrap.StartError, instance.InstanceError),
)


class OneSentence(click.Command):
    """A command whose known failures are one sentence, and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read the output has seen enough; click ends quietly
            raise
        except KNOWN_ERRORS as error:
            raise click.ClickException(sentence(error)) from error


class Group(click.Group):
    command_class = OneSentence


def sentence(error: BaseException) -> str:
    """What went wrong, for the terminal."""
    if isinstance(error, AppError):
        told = error.message
    elif isinstance(error, (DBAPIError, database.Busy)):
        told = database.sentence(error)
    elif isinstance(error, OSError) and error.filename is not None:
        told = f"{error.filename}: {error.strerror}"
    else:
        told = str(error)
    return database.as_sentence(told)


def open_database() -> None:
    """Call before anything of the database: holds the instance for as long as the command runs,
    and lets the relay stand at the end of the log, or the first change would read all of it.

    Raises `StartError` when the schema is not this version's.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    click.get_current_context().with_resource(instance.used(app.instance_path))
    if not bootstrap.schema_is_current():
        raise bootstrap.StartError(bootstrap.BEHIND)
    relay.start(app)


def account(name: str) -> Any:
    """The row of whoever has this username or e-mail address."""
    with database.reading() as tx:
        found = queries.users_by_name(tx, name)
    if not found:
        raise click.ClickException(f"There is no account called {name!r}.")
    return found[0]


def admin(name: str) -> Actor:
    """The admin of this name, to act as."""
    row = account(name)
    if row.role != ADMIN or not row.is_active:
        raise click.ClickException(f"{name!r} is no active admin; name one with --as.")
    return Actor(row.id, row.username, row.role, generation=row.token_generation)


as_admin = click.option(
    "--as", "admin_name", default="admin", show_default=True, help="The admin to act as."
)


def ask_password(what: str, *, confirm: bool = True) -> str:
    """A password from the terminal, unseen, or else the first line of stdin.  There is no
    argument for it: arguments are for every user of the machine to see."""
    if sys.stdin.isatty():
        given: str = click.prompt(what, hide_input=True, confirmation_prompt=confirm)
        return given
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise click.ClickException("Give the password on the first line of stdin.")
    return line


def progress() -> Progress:
    """A progress bar on stderr; none where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
