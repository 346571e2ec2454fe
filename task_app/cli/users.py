"""`users`: accounts."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from task_app import jsonio
from task_app.access import SYSTEM
from task_app.cli.common import Group, account, ask_password, open_database
from task_app.commands import execute
from task_app.models.user import ADMIN, MEMBER

COLUMNS = ("id", "username", "email", "role", "is_active", "last_login")
role_choice = click.Choice((ADMIN, MEMBER))


@click.group(cls=Group)
def users() -> None:
    """Make, list and change accounts."""


@users.command("create")
@click.argument("name")
@click.option("--email", help="The e-mail address.")
@click.option(
    "--role", type=role_choice, default=MEMBER, show_default=True, help="What they may do."
)
def create(name: str, email: str | None, role: str) -> None:
    """Make an account.  The password is asked for, or is the first line of stdin."""
    open_database()
    wanted = {"username": name, "role": role, "password": ask_password("Password")}
    if email:
        wanted["email"] = email
    made = execute(SYSTEM, "user.create", wanted).body["user"]
    click.echo(f"Made the {made['role']} {made['username']!r}, id {made['id']}.")


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line.")
def list_all(as_json: bool) -> None:
    """List every account."""
    open_database()
    found = everybody()
    if as_json:
        for user in found:
            click.echo(jsonio.dumps(user))
        return
    table = Table()
    for name in COLUMNS:
        table.add_column(name, overflow="fold")  # whole, however narrow the terminal
    for user in found:
        table.add_row(*("" if user[name] is None else str(user[name]) for name in COLUMNS))
    Console().print(table)


def everybody() -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = execute(SYSTEM, "user.list", query).page
        assert page is not None  # noqa: S101 - what lists are
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


def _change(name: str, change: dict[str, Any]) -> None:
    execute(SYSTEM, "user.update", change, target=account(name).id)


@users.command("set-role")
@click.argument("name")
@click.argument("role", type=role_choice)
def set_role(name: str, role: str) -> None:
    """Make an account an admin's or a member's.  Its open connections are told."""
    open_database()
    _change(name, {"role": role})
    click.echo(f"{name!r} is now {role}.")


@users.command("reset-password")
@click.argument("name")
def reset_password(name: str) -> None:
    """Give an account another password; its sessions end.  The password is asked for, or is the
    first line of stdin."""
    open_database()
    account(name)  # before a password is asked for in vain
    _change(name, {"password": ask_password("New password")})
    click.echo(f"{name!r} has another password; its sessions were ended.")


@users.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Keep an account from signing in; its sessions and connections end."""
    open_database()
    _change(name, {"is_active": False})
    click.echo(f"{name!r} is disabled.")


@users.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Let a disabled account sign in again."""
    open_database()
    _change(name, {"is_active": True})
    click.echo(f"{name!r} may sign in again.")
