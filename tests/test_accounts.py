"""One's own account: sessions, password, profile, names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from tests.support import accounts, databases
from tests.support.accounts import PASSWORD, Person, register, sign_in, unique
from tests.support.clients import Rest, Socket
from tests.support.server import Server

CLOSED_WITHIN = 2


@pytest.fixture(scope="module")
def bob(server: Server) -> Person:
    """Somebody whom no test changes."""
    return register(server.url, "Bob")


def refresh(url: str, token: str) -> requests.Response:
    return Rest(url).post("/auth/refresh", {"refresh_token": token})


def works(url: str, token: str) -> bool:
    status = Rest(url, token).get("/tasks").status_code
    assert status in (200, 401)
    return status == 200


def test_refresh_by_body_or_bearer(server: Server, bob: Person) -> None:
    for answer in (
        refresh(server.url, bob.refresh_token),
        Rest(server.url, bob.refresh_token).post("/refresh"),
        # A client that puts its access token into every request.
        bob.rest.post("/auth/refresh", {"refresh_token": bob.refresh_token}),
    ):
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["token"] == body["access_token"]
        assert "refresh_token" not in body
        assert body["user"]["id"] == bob.id
        assert works(server.url, body["access_token"])


def test_neither_token_is_the_other(server: Server, bob: Person) -> None:
    assert not works(server.url, bob.refresh_token)
    refused = refresh(server.url, bob.token)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    assert Rest(server.url, bob.token).post("/auth/refresh").status_code in (400, 401, 415)
    assert Rest(server.url).post("/auth/refresh", {}).status_code == 400


def test_logout_ends_one_session(server: Server, listen: Callable[..., Socket]) -> None:
    here = register(server.url, "Alice")
    there = sign_in(server.url, here.username, PASSWORD)
    renewed = refresh(server.url, here.refresh_token).json()["access_token"]
    ending, staying = [listen(here), listen()], listen(there)
    ending[1].call("authenticate", {"token": renewed})
    assert here.rest.post("/logout").status_code == 200
    for socket in ending:
        socket.wait_for("disconnect", CLOSED_WITHIN)
    assert not works(server.url, here.token)
    assert not works(server.url, renewed)
    assert refresh(server.url, here.refresh_token).status_code == 401
    assert works(server.url, there.token)
    assert refresh(server.url, there.refresh_token).status_code == 200
    task = there.rest.new_task()
    assert staying.names(task["id"]) == ["task_created"]


def test_password_change(server: Server, listen: Callable[..., Socket]) -> None:
    alice = register(server.url, "Alice")
    socket, new = listen(alice), "another battery staple"
    wrong = alice.rest.put("/users/password", {"old_password": "no", "new_password": new})
    assert wrong.status_code == 401
    short = alice.rest.put("/users/password", {"old_password": PASSWORD, "new_password": "x"})
    assert (short.status_code, list(short.json()["errors"])) == (400, ["new_password"])
    assert works(server.url, alice.token)
    body = {"old_password": PASSWORD, "new_password": new}
    changed = alice.rest.put("/users/password", body)
    assert changed.status_code == 200
    socket.wait_for("disconnect", CLOSED_WITHIN)
    assert not works(server.url, alice.token)
    assert refresh(server.url, alice.refresh_token).status_code == 401
    assert works(server.url, changed.json()["access_token"])
    assert refresh(server.url, changed.json()["refresh_token"]).status_code == 200
    old = {"username": alice.username, "password": PASSWORD}
    assert Rest(server.url).post("/login", old).status_code == 401
    assert sign_in(server.url, alice.username, new).id == alice.id


def test_profile(server: Server, bob: Person) -> None:
    alice = register(server.url, "Alice")
    before = alice.rest.get("/users/profile").json()
    assert (before["id"], before["username"]) == (alice.id, alice.username)
    changes = {"username": unique("Alicia"), "email": f"{unique('alicia')}@example.com"}
    changed = alice.rest.put("/users/profile", changes)
    assert (changed.status_code, changed.json()) == (200, before | changes)
    assert alice.rest.get("/users/profile").json() == before | changes
    assert sign_in(server.url, changes["email"], PASSWORD).id == alice.id
    taken = alice.rest.patch("/users/profile", {"username": bob.username.upper()})
    assert (taken.status_code, taken.json()["code"]) == (409, "user_exists")
    own_case = alice.rest.patch("/users/profile", {"username": changes["username"].upper()})
    assert own_case.status_code == 200


def test_a_profile_change_carries_no_password(bob: Person) -> None:
    before = bob.rest.get("/users/profile").json()
    answer = bob.rest.patch("/users/profile", {"password": "x" * 9})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["password"])
    assert bob.rest.get("/users/profile").json() == before


@pytest.mark.parametrize("change", [{"role": "admin"}, {"is_active": False}])
def test_rights_are_not_ones_own_to_change(bob: Person, change: dict[str, object]) -> None:
    before = bob.rest.get("/users/profile").json()
    name = {"username": unique("Robert")}
    answer = bob.rest.patch("/users/profile", {**before, **name, **change})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert bob.rest.get("/users/profile").json() == before


def test_names_are_unique_across_kinds_and_case(server: Server, nobody: Rest) -> None:
    name, email = unique("Dora"), f"{unique('Dora')}@Example.com"
    account = {"username": name, "email": email, "password": PASSWORD}
    assert nobody.post("/register", account).status_code == 201
    for username, address in (
        (name.upper(), None),
        (unique("Eve"), email.lower()),
        (email.upper(), None),
    ):
        eve = {"username": username, "email": address, "password": PASSWORD}
        answer = nobody.post("/register", eve)
        assert (answer.status_code, answer.json()["code"]) == (409, "user_exists")
    # An address for a username, and then the same as somebody's address.
    odd = f"{unique('odd')}@example.com"
    body = {"username": odd, "password": PASSWORD}
    assert nobody.post("/register", body).status_code == 201
    body = {"username": unique("Eve"), "email": odd.upper(), "password": PASSWORD}
    assert nobody.post("/register", body).status_code == 409


def test_one_s_own_name_may_be_one_s_address(server: Server, nobody: Rest) -> None:
    both = f"{unique('both')}@example.com"
    body = {"username": both, "email": both, "password": PASSWORD}
    made = nobody.post("/register", body)
    assert made.status_code == 201
    assert accounts.sign_in(server.url, both, PASSWORD).id == made.json()["user"]["id"]


def test_an_account_another_process_deleted(server: Server) -> None:
    """This process remembers the token and has not heard of it yet."""
    alice = register(server.url, "Alice")
    assert works(server.url, alice.token)
    delete = "DELETE FROM users WHERE id = :id"
    assert len(databases.run(server.instance, delete, id=alice.id)) == 1
    answer = alice.rest.post("/tasks", {"title": "Sow"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert not works(server.url, alice.token)
