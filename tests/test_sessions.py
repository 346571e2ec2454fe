"""The session a browser keeps: a refresh token in a cookie, for our own pages alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from tests.support.accounts import PASSWORD, Person
from tests.support.server import Server

FRIEND = "https://friend.example"
Session = requests.Session


@pytest.fixture
def session(server: Server, alice: Person) -> Iterator[Session]:
    """Alice's browser, signed in."""
    with requests.Session() as browser:
        login = {"username": alice.username, "password": PASSWORD}
        answer = browser.post(f"{server.url}/session", json=login)
        assert answer.status_code == 200
        yield browser


def test_cookie_is_out_of_reach(server: Server, alice: Person) -> None:
    login = {"username": alice.username, "password": PASSWORD}
    answer = requests.post(f"{server.url}/session", json=login)
    assert "refresh_token" not in answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    cookie = answer.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/session", "Max-Age=2592000"):
        assert part in cookie
    assert "Domain" not in cookie
    assert "Secure" not in cookie  # over http it would not be kept


def test_cookie_over_https_is_for_https_alone(start: Callable[..., Server]) -> None:
    server = start(TRUSTED_PROXIES="127.0.0.1")
    login = {"username": "admin", "password": server.admin_password}
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    answer = requests.post(f"{server.url}/session", json=login, headers=headers)
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1"])
def test_a_session_from_end_to_end(server: Server, alice: Person, prefix: str) -> None:
    url = f"{server.url}{prefix}/session"
    with requests.Session() as browser:
        login = {"username": alice.username, "password": PASSWORD}
        first = browser.post(url, json=login).json()
        second = browser.put(url)
        assert second.json()["user"] == first["user"]
        assert "Set-Cookie" not in second.headers
        bearer = {"Authorization": f"Bearer {second.json()['access_token']}"}
        tasks = f"{server.url}{prefix}/tasks"
        assert browser.get(tasks, headers=bearer).status_code == 200
        kept = browser.cookies.copy()
        ended = browser.delete(url)
        assert (ended.status_code, len(browser.cookies)) == (200, 0)
        assert browser.get(tasks, headers=bearer).status_code == 401
        assert requests.put(url, cookies=kept).status_code == 401


def test_a_new_password(server: Server, alice: Person, session: Session) -> None:
    """The session goes on in a new cookie; every other one ends."""
    url = f"{server.url}/session"
    bearer = {"Authorization": f"Bearer {session.put(url).json()['access_token']}"}
    wrong = {"old_password": "not the password", "new_password": "another horse battery"}
    assert session.patch(url, json=wrong, headers=bearer).status_code == 401
    before = session.cookies.copy()
    answer = session.patch(url, json={**wrong, "old_password": PASSWORD}, headers=bearer)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert not {"refresh_token", "message"} & set(answer.json())
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert session.get(f"{server.url}/tasks", headers=bearer).status_code == 200
    assert session.put(url).json()["user"]["id"] == alice.id
    assert requests.put(url, cookies=before).status_code == 401
    assert alice.rest.get("/tasks").status_code == 401


def test_cookie_is_worth_nothing_elsewhere(server: Server, session: Session) -> None:
    value = session.cookies["task_session"]
    assert requests.get(f"{server.url}/tasks", cookies={"task_session": value}).status_code == 401
    bearer = {"Authorization": f"Bearer {value}"}
    assert requests.get(f"{server.url}/tasks", headers=bearer).status_code == 401


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 8_000])
def test_bad_cookie(server: Server, value: str) -> None:
    for method in ("PUT", "DELETE"):
        answer = requests.request(method, f"{server.url}/session", cookies={"task_session": value})
        assert answer.status_code == 401


def test_access_token_in_the_cookie(server: Server, alice: Person) -> None:
    answer = requests.put(f"{server.url}/session", cookies={"task_session": alice.token})
    assert answer.status_code == 401


@pytest.mark.fault("origins")
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},  # the same site to a cookie, but not our page
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_another_page_may_not_use_it(
    server: Server, alice: Person, session: Session, headers: dict[str, str]
) -> None:
    url = f"{server.url}/session"
    login = {"username": alice.username, "password": PASSWORD}
    for method, body in (("POST", login), ("PUT", None), ("PATCH", None), ("DELETE", None)):
        answer = session.request(method, url, json=body, headers=headers)
        assert answer.status_code == 403, method
        assert "access_token" not in answer.text
    assert session.put(url, headers={"Origin": server.url}).status_code == 200  # it goes on


def test_an_allowed_origin_has_no_credentials(start: Callable[..., Server]) -> None:
    """A page of `ALLOWED_ORIGINS` may call the API with a token, but has no use of the cookie."""
    server = start(ALLOWED_ORIGINS=FRIEND)
    login = {"username": "admin", "password": server.admin_password}
    with requests.Session() as browser:
        assert browser.post(f"{server.url}/session", json=login).status_code == 200
        answer = browser.put(f"{server.url}/session", headers={"Origin": FRIEND})
    assert answer.status_code == 403
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_tries_are_limited(start: Callable[..., Server]) -> None:
    server = start(RATELIMIT_ENABLED="1")
    login = {"username": "admin", "password": "not the password"}
    codes = [requests.post(f"{server.url}/session", json=login).status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]
    # The same tries as those of the other door.
    assert requests.post(f"{server.url}/login", json=login).status_code == 429
