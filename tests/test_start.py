"""A start that cannot be: one sentence, exit code 1, no traceback."""

from __future__ import annotations

import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import sqlite_only
from tests.support.server import Server, refusal

SHORT, EXAMPLE = "too-short", "your_jwt_secret_key_your_jwt_secret_key"


def check(instance: Path, *words: str, **settings: str) -> None:
    """The start is refused in one sentence that has these words."""
    code, said = refusal(instance, **settings)
    assert code == 1, said
    assert "Traceback" not in said
    lines = said.strip().splitlines()
    assert len(lines) == 1, said
    assert lines[0].endswith(".")
    for word in words:
        assert word in lines[0]


@pytest.mark.fault("defaults")
@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SECRET_KEY", "JWT_SECRET"])
@pytest.mark.parametrize("value", [SHORT, EXAMPLE, "x" * 40])
def test_secret(tmp_path: Path, name: str, value: str) -> None:
    code, said = refusal(tmp_path, **{name: value})
    assert (code, len(said.splitlines())) == (1, 1)
    assert said.startswith(f"{name} cannot be used: ")
    assert value not in said


BAD_SETTINGS = {
    "DATABASE_URL": "mysql://localhost/tasks",
    "PORT": "http",
    "TASK_VISIBILITY": "everyone",
    "ASYNC_MODE": "tornado",
    "ALLOWED_ORIGINS": "example.com",
    "ACCESS_TOKEN_MINUTES": "0",
}


@pytest.mark.parametrize(("name", "value"), BAD_SETTINGS.items())
def test_setting(tmp_path: Path, name: str, value: str) -> None:
    check(tmp_path, name, **{name: value})


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "tasks.db", "x://"]
)
def test_database_url(tmp_path: Path, url: str) -> None:
    check(tmp_path, "DATABASE_URL", DATABASE_URL=url)


@pytest.mark.fault("defaults")
def test_kept_secret_that_is_short(tmp_path: Path) -> None:
    (tmp_path / "jwt_secret_key").write_text(SHORT)
    check(tmp_path, "jwt_secret_key")


@sqlite_only
def test_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "tasks.db").write_text("These are the minutes of the meeting. " * 100)
    check(tmp_path, "database")


@sqlite_only
def test_directory_in_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "tasks.db").mkdir()
    check(tmp_path, "database")


def test_file_in_place_of_the_instance_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check(tmp_path / "file", "instance folder")


def test_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (tmp_path / "admin_password").write_text("")
        code, said = refusal(tmp_path, PORT=port, ADMIN_PASSWORD="correct horse battery")
    assert code == 1, said
    assert "Traceback" not in said
    [line] = said.strip().splitlines()
    assert port in line


def test_host_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "admin_password").write_text("")
    host = {"HOST": "nobody.invalid", "ADMIN_PASSWORD": "correct horse battery"}
    code, said = refusal(tmp_path, **host)
    [line] = said.strip().splitlines()
    assert code == 1 and "nobody.invalid" in line and "set HOST" in line
    assert "name" in line.lower() and "Errno" not in line and "Unknown" not in line  # why, in words


def test_first_start_makes_an_admin_and_keeps_it(start: Callable[..., Server]) -> None:
    server = start()
    password = server.admin_password
    assert password in server.log  # shown once
    for name in ("admin_password", "secret_key", "jwt_secret_key"):
        assert stat.S_IMODE((server.instance / name).stat().st_mode) == 0o600
    assert server.stop() == 0
    again = start()
    assert again.admin_password == password
    assert password not in again.log
    assert again.stop() == 0
