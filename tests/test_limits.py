"""How often one may try: login, registration, broadcast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, sign_in, unique
from tests.support.clients import Rest, error_of
from tests.support.server import Server
from tests.support.waits import until

pytestmark = pytest.mark.fault("guessing")

LOGINS = 10  # at one account
TRIES = 300  # at any
BROADCASTS = 60
REGISTRATIONS = 30


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that listens on all of 127.0.0.0/8 and counts."""
    folder = tmp_path_factory.mktemp("limited")
    running = Server(
        folder,
        RATELIMIT_ENABLED="1",
        HOST="0.0.0.0",  # noqa: S104 - the owner comes from 127.0.0.2
        BROADCAST_ROLES="admin,member",
    ).start()
    yield running
    code = running.stop()
    assert (code, "Traceback" in running.log) == (0, False), running.log


@pytest.fixture(scope="module")
def people(limited: Server) -> tuple[Person, ...]:
    """Alice and Bob."""
    return tuple(accounts.people(limited.url, "Alice", "Bob"))


class From(HTTPAdapter):
    """Connections from another address of this machine."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


def elsewhere(server: Server, address: str = "127.0.0.2") -> Rest:
    rest = Rest(server.url)
    rest.session.mount("http://", From(address))
    return rest


def check_refused(answer: requests.Response) -> None:
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    body = answer.json()
    assert body.keys() == {"error", "message", "code", "request_id"}
    assert body["code"] == "too_many_requests"


def login(rest: Rest, name: str, password: str = "a wrong one", **options: Any) -> Any:
    return rest.post("/login", {"username": name, "password": password}, **options)


def test_guessing_one_account(limited: Server) -> None:
    """429 after 10 a minute from one place; the owner, elsewhere, is not locked out."""
    alice = accounts.register(limited.url, "Alice")  # one sign-in
    here = Rest(limited.url)
    paths = ["/login", "/api/auth/login/", "/api/v1/users/login", "/users/login", "/auth/login"]
    for number in range(LOGINS - 1):
        body = {"username": alice.username.swapcase(), "password": "a wrong one"}
        assert here.post(paths[number % len(paths)], body).status_code == 401
    check_refused(login(here, alice.username))
    for number in range(3):
        headers = {"X-Forwarded-For": f"10.0.0.{number}", "X-Real-IP": f"10.0.1.{number}"}
        headers |= {"Forwarded": f"for=10.0.2.{number}", "Client-IP": f"10.0.3.{number}"}
        check_refused(login(here, alice.username, headers=headers))
    check_refused(login(here, alice.username, PASSWORD))  # the right one is not told apart
    assert login(elsewhere(limited), alice.username, PASSWORD).status_code == 200
    assert alice.rest.get("/tasks").status_code == 200  # nor is a session that goes on


def with_address(server: Server) -> tuple[str, str]:
    """The username and the e-mail address of a new account."""
    name = unique("carol")
    account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    assert Rest(server.url).post("/register", account).status_code == 201
    return name, account["email"]


@pytest.mark.parametrize("by_name", [LOGINS, 3], ids=["by one name, then the other", "by both"])
def test_two_names_of_one_account_count_together(limited: Server, by_name: int) -> None:
    """Ten a minute in all.  After that the right password is a wrong one, from there."""
    here, (name, address) = Rest(limited.url), with_address(limited)
    tries = [name] * by_name + [address] * (LOGINS - by_name)
    assert [login(here, tried).status_code for tried in tries] == [401] * LOGINS
    for key in ("username", "email", "login"):
        body = {key: address.upper(), "password": PASSWORD}
        answer = here.post("/login", body)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_credentials")
    for tried in (name, address):
        assert login(elsewhere(limited), tried, PASSWORD).status_code == 200


def test_the_second_limit_does_not_tell_whose_address_it_is(limited: Server) -> None:
    """An address of an account that was tried too often is answered like one of nobody's."""
    here, (name, address) = Rest(limited.url), with_address(limited)
    assert [login(here, name).status_code for _ in range(LOGINS)] == [401] * LOGINS
    for password in ("a wrong one", PASSWORD):
        answers = [
            login(here, tried, password) for tried in (address, f"{unique('nobody')}@example.com")
        ]
        known, unknown = (
            (answer.status_code, error_of(answer), limit_headers(answer)) for answer in answers
        )
        assert known[:2] == unknown[:2]
        if password != PASSWORD:  # the first try under either name
            assert known == unknown
    malformed = here.post("/login", {"username": address, "password": 7})
    assert malformed.status_code == 400


def test_what_was_tried_is_not_logged(limited: Server) -> None:
    """An address, or a password that was typed where the name belongs; only that it was tried."""
    here, (_, address) = Rest(limited.url), with_address(limited)
    for _ in range(LOGINS):
        assert login(here, address).status_code == 401
    check_refused(login(here, address))
    until(lambda: "too many tries: /login by 127.0.0.1" in limited.log)
    assert address not in limited.log


def limit_headers(answer: requests.Response) -> dict[str, str]:
    """What the headers tell of the limits, but for the moment they are told of."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name.startswith("X-RateLimit") and not name.endswith("Reset")
    }


def test_other_accounts_are_counted_apart(limited: Server, people: tuple[Person, ...]) -> None:
    here = Rest(limited.url)
    name = unique("nobody")
    assert [login(here, name).status_code for _ in range(LOGINS)] == [401] * LOGINS
    check_refused(login(here, name))
    assert sign_in(limited.url, people[1].username, PASSWORD).id == people[1].id


def test_many_accounts_from_one_address(limited: Server) -> None:
    """One try at each is counted, too."""
    here = elsewhere(limited, "127.0.0.3")
    codes = [login(here, f"name {number}", "").status_code for number in range(TRIES)]
    assert codes == [400] * TRIES  # without a password nothing is hashed
    check_refused(login(here, "another"))
    assert login(elsewhere(limited), "another").status_code == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b'{"username": [1]}'])
def test_bodies_that_name_nobody(limited: Server, body: bytes) -> None:
    """They are counted without harm, and answered like anywhere."""
    headers = {"Content-Type": "application/json"}
    answer = elsewhere(limited).request("POST", "/login", data=body, headers=headers)
    assert answer.status_code == 400


def test_password_change_is_counted_by_account(limited: Server, people: tuple[Person, ...]) -> None:
    """A stolen token must not serve to guess the password; and one's guesses are one's own."""
    alice, bob = people
    body = {"old_password": "a wrong one", "new_password": "x" * 8}
    given = [alice.rest.put("/users/password", body).status_code for _ in range(LOGINS)]
    assert given == [401] * LOGINS
    check_refused(alice.rest.put("/users/password", body))
    assert bob.rest.put("/users/password", body).status_code == 401


def test_broadcast(limited: Server, people: tuple[Person, ...]) -> None:
    """60 a minute for one person, with whatever token and however the header is spelt."""
    alice, bob = people
    again = sign_in(limited.url, alice.username, PASSWORD)
    words = [f"Bearer {alice.token}", f"token  {alice.token}", f"BEARER {again.token}"]
    message = {"type": "custom", "data": None}
    nobody = Rest(limited.url)
    for number in range(BROADCASTS):
        headers = {"Authorization": words[number % len(words)]}
        assert nobody.post("/broadcast", message, headers=headers).status_code == 200
    for word in words:
        refused = nobody.post("/api/broadcast", message, headers={"Authorization": word})
        check_refused(refused)
    assert bob.rest.post("/broadcast", message).status_code == 200


def test_registration(limited: Server) -> None:
    rest = elsewhere(limited)
    codes = [rest.post("/register", {}).status_code for _ in range(REGISTRATIONS)]
    assert codes == [400] * REGISTRATIONS
    headers = {"X-Forwarded-For": "10.0.0.9"}
    check_refused(rest.post("/auth/register", {}, headers=headers))


def test_no_limits_when_told_so(server: Server, nobody: Rest) -> None:
    for _ in range(REGISTRATIONS + 1):
        assert nobody.post("/register", {}).status_code == 400
