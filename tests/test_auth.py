"""Tokens and passwords."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from socketio.exceptions import ConnectionError as Refused

from tests.support.accounts import PASSWORD, Person, register, sign_in, unique
from tests.support.clients import Rest, Socket, content_of, error_of, nameless
from tests.support.frames import TEXT, Bytes, frame
from tests.support.server import Server

HOUR = 3600
UNAUTHORIZED, TOO_BIG = 4401, 1009


def secret(server: Server) -> str:
    return (server.instance / "jwt_secret_key").read_text()


def claims(token: str, **changes: Any) -> dict[str, Any]:
    """The claims of a good token, changed; None takes one away."""
    found = jwt.decode(token, options={"verify_signature": False}) | changes
    return {key: value for key, value in found.items() if value is not None}


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(token: str, algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims(token))}."


def resign(token: str, key: str, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(token, **changes), key, "HS256", headers=headers)


def tampered(token: str) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{part(claims(token, sub='1'))}.{signature}"


# Each makes a token that must be refused, from Alice's good one and the server's secret.
BAD: dict[str, Callable[[Person, str], str]] = {
    "none": lambda alice, key: unsigned(alice.token, "none"),
    "None": lambda alice, key: unsigned(alice.token, "None"),
    "RS256 header": lambda alice, key: ".".join(
        [part({"alg": "RS256", "typ": "JWT"}), *alice.token.split(".")[1:]]
    ),
    "HS512": lambda alice, key: jwt.encode(claims(alice.token), key, "HS512"),
    "crit": lambda alice, key: resign(alice.token, key, {"crit": ["x"], "x": 1}),
    "jwk": lambda alice, key: resign(
        alice.token, "k" * 32, {"jwk": {"kty": "oct", "k": part("k" * 32)}}
    ),
    "jku": lambda alice, key: resign(alice.token, "k" * 32, {"jku": "http://127.0.0.1/keys"}),
    "other key": lambda alice, key: resign(alice.token, "k" * 32),
    "tampered": lambda alice, key: tampered(alice.token),
    "cut": lambda alice, key: alice.token[:-2],
    "expired": lambda alice, key: resign(alice.token, key, exp=int(time.time()) - HOUR),
    "not yet": lambda alice, key: resign(alice.token, key, nbf=int(time.time()) + HOUR),
    "no exp": lambda alice, key: resign(alice.token, key, exp=None),
    "no sub": lambda alice, key: resign(alice.token, key, sub=None),
    "odd sub": lambda alice, key: resign(alice.token, key, sub="alice"),
    "huge sub": lambda alice, key: resign(alice.token, key, sub="9" * 30),
    "no session": lambda alice, key: resign(alice.token, key, sid=None),
    "other generation": lambda alice, key: resign(alice.token, key, gen=99),
    "huge exp": lambda alice, key: resign(alice.token, key, exp=10**400),
    "text exp": lambda alice, key: resign(alice.token, key, exp="soon"),
    "other issuer": lambda alice, key: resign(alice.token, key, iss="somebody"),
    "no issuer": lambda alice, key: resign(alice.token, key, iss=None),
    "an audience": lambda alice, key: resign(alice.token, key, aud="somebody"),
    "no such user": lambda alice, key: resign(alice.token, key, sub="2000000000"),
    "refresh as access": lambda alice, key: alice.refresh_token,
    "too long": lambda alice, key: resign(alice.token, key, pad="x" * 9_000),
    "no token at all": lambda alice, key: "x",
    "dots": lambda alice, key: "..",
}


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    """One Alice for the table; nothing in it changes her."""
    return register(server.url, "Alice")


@pytest.fixture(scope="module")
def unauthorized(server: Server) -> bytes:
    """The one body of every 401."""
    return content_of(Rest(server.url).get("/tasks"))


@pytest.mark.fault("jwt")
@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_bad_token(
    server: Server,
    alice: Person,
    unauthorized: bytes,
    listen: Callable[..., Socket],
    make: Callable[[Person, str], str],
) -> None:
    token = make(alice, secret(server))
    for path in ("/tasks", "/events"):
        answer = Rest(server.url, token).get(path)
        assert (answer.status_code, content_of(answer)) == (401, unauthorized)
    refused = error_of(answer)
    check_sockets(server, listen(), token, refused)
    assert alice.rest.get("/tasks").status_code == 200


def check_sockets(server: Server, anonymous: Socket, token: str, refused: dict[str, Any]) -> None:
    """The same words wherever a socket can bring a token."""
    for event in ("list_tasks", "authenticate"):
        assert nameless(anonymous.call(event, {"token": token})) == refused
    client = Socket()
    with pytest.raises(Refused):
        client.connect(server.url, token)
    [(name, told)] = client.events
    assert (name, told["message"]) == ("connect_error", refused["message"])
    assert nameless(told["data"]) == refused
    by_header = Bytes(server, headers={"Authorization": f"Bearer {token}"})
    told_by_http = by_header.body
    assert f"X-Request-ID: {told_by_http.pop('request_id')}" in by_header.head
    assert (by_header.status, told_by_http) == (401, refused)
    by_header.end()
    first = Bytes(server, early=frame(TEXT, json.dumps({"type": "auth", "token": token}).encode()))
    told_first, ending = first.until_closed()
    assert nameless(told_first.json) == {"type": "error", "status": 401, **refused}
    assert ending.code == UNAUTHORIZED
    first.end()


def test_a_token_of_our_own_making_is_good(server: Server, alice: Person) -> None:
    """Or the table above would prove nothing."""
    token = resign(alice.token, secret(server))
    assert token.split(".")[2] and Rest(server.url, token).get("/tasks").status_code == 200


@pytest.mark.fault("jwt")
def test_a_megabyte_of_token(
    server: Server, alice: Person, unauthorized: bytes, listen: Callable[..., Socket]
) -> None:
    """However good it is.  In a header the bound on those comes first."""
    long = resign(alice.token, secret(server), pad="x" * 780_000)
    assert Rest(server.url, long).get("/tasks").status_code in (400, 431)
    refused = listen().call("list_tasks", {"token": long})
    as_refresh = Rest(server.url).post("/refresh", {"refresh_token": long})
    assert (as_refresh.status_code, content_of(as_refresh)) == (401, unauthorized)
    assert error_of(as_refresh) == nameless(refused)
    raw = Bytes(server, early=frame(TEXT, json.dumps({"type": "auth", "token": long}).encode()))
    assert raw.until_closed()[-1].code == TOO_BIG
    raw.end()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "TOKEN"])
def test_schemes(nobody: Rest, alice: Person, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {alice.token}"}
    assert nobody.get("/tasks", headers=headers).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "é"])
def test_odd_headers(nobody: Rest, unauthorized: bytes, header: str) -> None:
    answer = nobody.get("/tasks", headers={"Authorization": header.encode("latin-1")})
    assert (answer.status_code, content_of(answer)) == (401, unauthorized)


@pytest.mark.fault("names")
def test_wrong_credentials_are_all_alike(nobody: Rest, alice: Person) -> None:
    names = (alice.username, "nobody-at-all", "nobody@example.com", "%", "' OR 1=1 --")
    answers = [nobody.post("/login", {"username": name, "password": "wrong one"}) for name in names]
    assert {(answer.status_code, content_of(answer)) for answer in answers} == {
        (401, content_of(answers[0]))
    }


def test_name_in_any_case(server: Server, alice: Person) -> None:
    assert sign_in(server.url, alice.username.upper(), PASSWORD).id == alice.id
    taken = {"username": alice.username.upper(), "password": PASSWORD}
    assert Rest(server.url).post("/register", taken).status_code == 409
    lookalike = {"username": unique("Eve"), "email": f"{unique('x')}@example.com"} | {
        "password": PASSWORD
    }
    assert Rest(server.url).post("/register", lookalike).status_code == 201
    taken = {"username": lookalike["email"], "password": PASSWORD}
    assert Rest(server.url).post("/register", taken).status_code == 409


def test_nobody_makes_himself_admin(nobody: Rest) -> None:
    account = {"username": unique("Eve"), "password": PASSWORD}
    answer = nobody.post("/register", account | {"role": "admin"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert nobody.post("/login", account).status_code == 401  # nor is there such an account


@pytest.mark.parametrize("password", ["short", "x" * 129, 12345678, None, ["x" * 8]])
def test_password_that_cannot_be(nobody: Rest, password: Any) -> None:
    answer = nobody.post("/register", {"username": unique("Eve"), "password": password})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["password"]


def test_no_token_and_no_password_in_the_log(server: Server, alice: Person) -> None:
    assert alice.token.split(".")[2] not in server.log
    assert PASSWORD not in server.log
