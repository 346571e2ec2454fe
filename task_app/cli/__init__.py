"""`flask --app app …`: what an operator does beside the servers.

Everything that changes data is a command of `commands.py`, done as the server itself or as a
named admin; what servers must know of it they find in the log.  What goes wrong is one sentence
on stderr, and the exit code is not 0.
"""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import run_command

from task_app.cli import backups, doctor, log, stress, tasks, users


def register(app: Flask) -> None:
    """Give the `flask` command those of this application (`db` is Flask-Migrate's).

    Raises `ClickException` under Flask's own `run`, which would answer requests and tell nobody
    of what they change.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.command is run_command:
        raise click.ClickException(
            "`flask run` is no server for sockets and events; start it with `python app.py` "
            "(`--dev`: anew at each change)."
        )
    for command in (
        users.users,
        tasks.tasks,
        log.events_group,
        backups.backup,
        backups.restore,
        stress.stress,
        doctor.doctor,
    ):
        app.cli.add_command(command)
