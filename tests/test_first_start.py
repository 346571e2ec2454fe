"""The first start: who the admin is, and the demo."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import accounts
from tests.support.clients import Rest
from tests.support.server import Server, refusal


@pytest.fixture(autouse=True)
def _on_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "has_schema", False)


def test_first_admin_is_shown_once_and_kept(start: Callable[..., Server]) -> None:
    server = start()
    password = server.admin_password
    assert server.log.count(password) == 1
    assert stat.S_IMODE((server.instance / "admin_password").stat().st_mode) == 0o600
    assert accounts.admin(server).rest.get("/users").status_code == 200
    assert server.stop() == 0
    again = start(ADMIN_PASSWORD="another password")
    assert password == again.admin_password
    assert password not in again.log
    assert accounts.admin(again).username == "admin"


def test_first_admin_as_told(start: Callable[..., Server]) -> None:
    email, password = "root@example.org", "correct horse battery"
    server = start(ADMIN_EMAIL=email, ADMIN_PASSWORD=password)
    assert accounts.sign_in(server.url, email, password).rest.get("/users").status_code == 200
    assert not (server.instance / "admin_password").exists()
    assert password not in server.log


@pytest.mark.fault("defaults")
@pytest.mark.parametrize("name", ["admin", "admin@example.com", "root", "test@example.com"])
def test_no_account_has_a_password_that_is_known(nobody: Rest, name: str) -> None:
    """Without `--demo`: neither its own nor what other servers come with."""
    for password in ("admin123", "admin", "password", "password123", "changeme", "123456", ""):
        answer = nobody.post("/login", {"username": name, "password": password})
        assert answer.status_code in (400, 401), password


def test_demo(start: Callable[..., Server]) -> None:
    server = start(arguments=["--demo"])
    admin = accounts.sign_in(server.url, "admin@example.com", "admin123")
    tasks = admin.rest.get("/tasks").json()
    assert {task["status"] for task in tasks} == {"todo", "in_progress", "completed"}
    assert server.stop() == 0
    again = start(arguments=["--demo"])
    admin = accounts.sign_in(again.url, "admin@example.com", "admin123")
    assert admin.rest.get("/tasks").json() == tasks
    assert Rest(again.url).get("/tasks").status_code == 401


@pytest.mark.fault("defaults")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_demo_on_loopback_alone(tmp_path: Path, host: str) -> None:
    code, said = refusal(tmp_path, "--demo", HOST=host)
    assert code == 1
    assert re.fullmatch(r"--demo has .*HOST.*\.\n", said)
    assert not (tmp_path / "tasks.db").exists()
