"""`events`: the log."""

from __future__ import annotations

import dataclasses
import time

import click

from task_app import database, events, jsonio
from task_app.access import SYSTEM
from task_app.cli.common import Group, open_database
from task_app.commands import execute
from task_app.events import Event

BATCH = 500
POLL_SECONDS = 0.5


@click.group("events", cls=Group)
def events_group() -> None:
    """Look at the event log, and tend it."""


@events_group.command("tail")
@click.option(
    "-n",
    "number",
    default=10,
    show_default=True,
    type=click.IntRange(0, 100_000),
    help="How many of the last ones.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line, with data.")
def tail(number: int, follow: bool, as_json: bool) -> None:
    """Show the last events, whoever they are for."""
    open_database()
    with database.reading() as tx:
        reached = max(0, events.head(tx)[0] - number)
    try:
        while True:
            with database.reading() as tx:
                found = events.since(tx, reached, BATCH)
            for event in found:
                click.echo(_line(event, as_json))
                reached = event.seq
            if len(found) < BATCH:
                if not follow:
                    return
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:  # how following ends
        return


def _line(event: Event, as_json: bool) -> str:
    if as_json:
        return jsonio.dumps(dataclasses.asdict(event))
    task = "" if event.task_id is None else f" task {event.task_id}"
    actor = "server" if event.actor_id is None else f"user {event.actor_id}"
    changes = f" ({', '.join(event.changes)})" if event.changes else ""
    request = f" [{event.request_id}]" if event.request_id else ""  # as in the lines of `logs.py`
    return f"{event.seq} {event.created_at} {event.type}{task} by {actor}{changes}{request}"


@events_group.command("prune")
def prune() -> None:
    """Delete what is past EVENT_RETENTION_DAYS now; servers do so every ten minutes."""
    open_database()
    total = 0
    while True:
        done = execute(SYSTEM, "server.prune", {}).body
        total += done["pruned"]
        if not done["pruned"]:
            break
    click.echo(f"{total} events were deleted; clients can resume from {done['floor']} on.")


@events_group.command("new-epoch")
def new_epoch() -> None:
    """Say that the log is another one, after any database was restored from a backup.

    Clients that have seen more than the log now holds, or something else under its numbers, are
    told to read everything again.  Stop every server first.
    """
    open_database()
    epoch = execute(SYSTEM, "server.new_epoch", {}).body["epoch"]
    click.echo(f"The log's epoch is now {epoch}.")
