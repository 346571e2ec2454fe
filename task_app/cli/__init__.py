"""`flask --app app …`: what an operator does beside the servers.

Everything that changes data is a command of `commands.py`, done as the server itself or as a
named admin; what servers must know of it they find in the log.  What goes wrong is one sentence
on stderr, and the exit code is not 0.
"""

from __future__ import annotations

from flask import Flask

from task_app.cli import backups, doctor, log, stress, tasks, users


def register(app: Flask) -> None:
    """Give the `flask` command those of this application (`db` is Flask-Migrate's)."""
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
