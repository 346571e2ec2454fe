"""What happens to an account while its password is being checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from task_app.access import SYSTEM, Actor
from task_app.actions import users
from task_app.commands import COMMANDS, authenticate, execute
from task_app.errors import AppError
from task_app.extensions import offload
from task_app.models.user import ADMIN
from tests.support import statements
from tests.support.accounts import PASSWORD, unique

BOSS = Actor(1, "admin", ADMIN, "a session")
OTHER = "another battery staple"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = statements.prepared(tmp_path_factory.mktemp("instance"))
    with app.app_context():
        yield app


def update(user_id: int, change: dict[str, Any]) -> None:
    execute(BOSS, "user.update", change, target=user_id)


def disable_and_enable(user_id: int) -> None:
    update(user_id, {"is_active": False})
    update(user_id, {"is_active": True})


MEANWHILE: dict[str, Callable[[int], Any]] = {
    "disabled and enabled": disable_and_enable,
    "another password": lambda user_id: update(user_id, {"password": OTHER}),
    "deleted": lambda user_id: execute(BOSS, "user.delete", {}, target=user_id),
}


@pytest.fixture
def alice(app: Flask) -> dict[str, Any]:
    account = {"username": unique("Alice"), "password": PASSWORD}
    return dict(execute(SYSTEM, "user.register", account).body["user"])


def login(alice: dict[str, Any]) -> dict[str, Any]:
    body = {"username": alice["username"], "password": PASSWORD}
    return dict(execute(SYSTEM, "user.login", body).body)


def during(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Let this happen once, while the next hash is computed."""
    real = offload.runner

    def runner(call: Callable[..., Any], *args: Any) -> Any:
        monkeypatch.setattr(offload, "runner", real)
        change()
        return real(call, *args)

    monkeypatch.setattr(offload, "runner", runner)


@pytest.mark.parametrize("change", MEANWHILE.values(), ids=MEANWHILE)
def test_login(
    alice: dict[str, Any], change: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    during(monkeypatch, lambda: change(alice["id"]))
    with pytest.raises(AppError) as refused:
        login(alice)
    assert (refused.value.status, refused.value.code) == (401, "bad_credentials")


@pytest.mark.parametrize("change", MEANWHILE.values(), ids=MEANWHILE)
def test_password_change(
    alice: dict[str, Any], change: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = authenticate(login(alice)["access_token"])
    during(monkeypatch, lambda: change(alice["id"]))
    body = {"old_password": PASSWORD, "new_password": "a third battery"}
    with pytest.raises(AppError) as refused:
        execute(actor, "user.change_password", body)
    assert (refused.value.status, refused.value.code) == (401, "bad_credentials")


@pytest.mark.parametrize("change", MEANWHILE.values(), ids=MEANWHILE)
def test_refresh(
    alice: dict[str, Any], change: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is checked in one transaction and answered in another."""
    token = login(alice)["refresh_token"]

    def prepare(actor: Actor, data: Any) -> Any:
        checked = users.check_refresh_token(actor, data)
        change(alice["id"])
        return checked

    monkeypatch.setitem(COMMANDS["user.refresh"].__dict__, "prepare", prepare)
    with pytest.raises(AppError) as refused:
        execute(SYSTEM, "user.refresh", {"refresh_token": token})
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")


@pytest.mark.parametrize("name", ["user.update", "user.update_profile"])
def test_an_admin_of_a_moment_ago(alice: dict[str, Any], name: str) -> None:
    """Another process has taken the role away; this one has not heard of it yet."""
    late = Actor(alice["id"], alice["username"], ADMIN, "a session")
    with pytest.raises(AppError) as refused:
        execute(late, name, {"role": ADMIN}, target=alice["id"])
    assert refused.value.status == 403
    assert execute(BOSS, "user.get", {}, target=alice["id"]).body["role"] == "member"
