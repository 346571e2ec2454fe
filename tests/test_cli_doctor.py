"""`flask --app app doctor`: says what is wrong and what to do, and nothing is wrong here."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import Config
from task_app import create_app, measured
from tests.conftest import sqlite_only
from tests.support import cli, databases
from tests.support.cli import Cli
from tests.support.server import Server


@pytest.fixture
def run(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_all_is_well(server: Server) -> None:
    """The real program, beside a server."""
    said = cli.flask(server.instance, "doctor").good()
    assert not [line for line in said.splitlines() if line.startswith("wrong")]
    assert "servers running: 1" in said
    assert "HASH_COST" in said and "RATELIMIT_ENABLED" in said  # as the suite sets them


def test_a_secret_others_can_read(run: Cli) -> None:
    (run.folder / "jwt_secret_key").chmod(0o644)
    done = run("doctor")
    assert done.code == 1
    assert f"chmod 600 {run.folder / 'jwt_secret_key'}" in done.out


def test_a_schema_that_is_behind(run: Cli) -> None:
    databases.run(run.folder, "DELETE FROM alembic_version")
    done = run("doctor")
    assert done.code == 1 and "flask --app app db upgrade" in done.out


@sqlite_only
def test_a_database_that_is_none(run: Cli) -> None:
    (run.folder / "tasks.db").write_bytes(b"nothing of the kind" * 500)
    done = run("doctor")
    assert done.code == 1 and "file is not a database" in done.out


def test_redis_away(run: Cli) -> None:
    run.app.config["REDIS_URL"] = "redis://127.0.0.1:1/0"
    assert "Redis: it does not answer" in run("doctor").good()


def test_another_version(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(measured.VERSIONS, "flask", "0.1")
    done = run("doctor")
    assert done.code == 1 and "(measured: 0.1)" in done.out


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Not even of a database that does not answer."""
    url = "postgresql://somebody:hunter2hunter2@127.0.0.1:1/tasks"
    environ = {"INSTANCE_PATH": str(tmp_path), "DATABASE_URL": url}
    done = Cli(tmp_path, create_app(Config(environ, async_mode="threading")))("doctor")
    assert done.code == 1 and "127.0.0.1" in done.out
    assert "hunter2" not in done.out + done.err
    assert (tmp_path / "secret_key").read_text() not in done.out + done.err
