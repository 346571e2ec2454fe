"""`flask --app app users …`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import sqlite_only
from tests.support import accounts, cli, databases
from tests.support.cli import Cli
from tests.support.server import Server

PASSWORD = "a new long password"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(tmp_path_factory.mktemp("users"))


def listed(run: Cli) -> dict[str, dict[str, object]]:
    lines = run("users", "list", "--json").good().splitlines()
    return {user["username"]: user for user in map(json.loads, lines)}


def test_create_list_and_change(run: Cli) -> None:
    made = run("users", "create", "Grace", "--email", "grace@example.com", given=f"{PASSWORD}\n")
    assert "'Grace'" in made.good() and PASSWORD not in made.out + made.err
    assert listed(run)["Grace"]["role"] == "member"
    assert listed(run)["Grace"]["email"] == "grace@example.com"
    assert "Grace" in run("users", "list").good()
    run("users", "set-role", "grace@example.com", "admin").good()
    assert listed(run)["Grace"]["role"] == "admin"
    run("users", "disable", "Grace").good()
    assert listed(run)["Grace"]["is_active"] is False
    run("users", "enable", "Grace").good()
    assert listed(run)["Grace"]["is_active"] is True


REFUSED = {
    "taken": (("create", "admin"), f"{PASSWORD}\n", "This username is taken."),
    "short password": (("create", "Ada"), "tiny\n", "8 to 128"),
    "no password": (("create", "Ada"), "", "first line of stdin"),
    "bad address": (("create", "Ada", "--email", "x"), f"{PASSWORD}\n", "email"),
    "unknown": (("disable", "Nobody"), "", "There is no account called 'Nobody'."),
    "last admin": (("disable", "admin"), "", "There must be another active admin first."),
    "last admin's role": (("set-role", "admin", "member"), "", "another active admin"),
}


@pytest.mark.parametrize(("arguments", "given", "why"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    run: Cli,
    arguments: tuple[str, ...],
    given: str,
    why: str,
) -> None:
    if "last" in why or "another" in why:
        for name, user in listed(run).items():  # whoever another test has made
            if name != "admin" and user["role"] == "admin":
                run("users", "set-role", name, "member").good()
    before = listed(run)
    assert why in run("users", *arguments, given=given).refused()
    assert listed(run) == before


def test_a_server_is_told(server: Server, people: tuple[accounts.Person, ...], listen) -> None:  # type: ignore[no-untyped-def]
    """A password given on the command line's stdin works at once, and sessions end."""
    alice = people[0]
    socket = listen(alice)
    done = cli.flask(
        server.instance, "users", "reset-password", alice.username, given=f"{PASSWORD}\n"
    )
    assert "sessions were ended" in done.good() and PASSWORD not in done.out + done.err
    socket.wait_for("disconnect")
    assert alice.rest.get("/tasks").status_code == 401
    assert accounts.sign_in(server.url, alice.username, PASSWORD).id == alice.id


@sqlite_only
def test_before_there_is_a_database(tmp_path: Path) -> None:
    """It is told what to do, does it, and what was made is for this user alone."""
    why = cli.flask(tmp_path, "users", "list").refused()
    assert "flask --app app db upgrade" in why
    cli.flask(tmp_path, "db", "upgrade").good()
    assert (tmp_path / "tasks.db").stat().st_mode & 0o077 == 0
    assert cli.flask(tmp_path, "users", "list", "--json").good() == ""
    assert databases.run(tmp_path, "SELECT count(*) FROM log_head") == [(1,)]


def test_a_bad_setting_is_one_sentence(tmp_path: Path) -> None:
    why = cli.flask(tmp_path, "users", "list", PORT="http").refused()
    assert why.startswith("PORT='http' cannot be used")
