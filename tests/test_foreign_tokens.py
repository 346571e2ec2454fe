"""Tokens issued elsewhere: under a shared secret, or by the keys of a JWKS file or URL."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support import accounts
from tests.support.accounts import PASSWORD
from tests.support.clients import Rest, content_of
from tests.support.issuer import Issuer, published, sign
from tests.support.server import Server

SECRET = "Wd2nT8hYq5pLx0vBz7kRf3mJc9sGa1eU"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Server]:
    """A server that takes HS256 under the shared secret, RS256 and EdDSA by a file of keys."""
    folder = tmp_path_factory.mktemp("trusting")
    keys = folder / "jwks.json"
    keys.write_text(issuer.key_set())
    running = Server(folder, BETTER_AUTH_SECRET=SECRET, JWKS=str(keys)).start()
    yield running
    code = running.stop()
    assert (code, "Traceback" in running.log) == (0, False), running.log


def profile(server: Server, token: str) -> dict[str, Any]:
    answer = Rest(server.url, token).get("/users/profile")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_algorithm(trusting: Server, issuer: Issuer) -> None:
    """One person under three keys is one account, made on first sight."""
    who = {"sub": "7", "email": "grace@example.com", "name": "Grace"}
    tokens = [issuer.token("RS256", **who), issuer.token("EdDSA", **who)]
    tokens.append(sign(SECRET, "HS256", **who))
    first = profile(trusting, tokens[0])
    assert (first["username"], first["email"]) == ("Grace", "grace@example.com")
    assert (first["role"], first["is_active"]) == ("member", True)
    for token in tokens[1:]:
        assert profile(trusting, token) == first


@pytest.mark.parametrize(
    ("claims", "username", "email"),
    [
        ({"sub": "c1", "name": "Ann", "email": "ann@example.com"}, "Ann", "ann@example.com"),
        ({"id": "c2", "name": "Bea"}, "Bea", None),
        ({"sub": 3003, "email": "cleo@example.com"}, "cleo@example.com", "cleo@example.com"),
        ({"sub": "c4"}, "user c4", None),
        ({"sub": "c6", "name": " ", "email": 7}, "user c6", None),
        ({"sub": "c7", "name": "Eve\r\nX: y", "email": "no address"}, "Eve  X: y", None),
        ({"sub": "c8", "name": "N" * 200, "role": "admin"}, "N" * 150, None),
        ({"sub": "x" * 300, "email": "e" * 300 + "@example.com"}, None, None),
        ({"sub": "c10", "name": "Zoë\x00"}, None, None),
    ],
)
def test_claims_become_an_account(
    trusting: Server, claims: dict[str, Any], username: str | None, email: str | None
) -> None:
    user = profile(trusting, sign(SECRET, "HS256", **claims))
    assert username in (None, user["username"])
    assert (user["email"], user["role"]) == (email, "member")


def test_a_name_that_is_taken(trusting: Server) -> None:
    names = [profile(trusting, sign(SECRET, "HS256", sub=f"n{i}", name="Kim")) for i in range(3)]
    assert [user["username"] for user in names] == ["Kim", "Kim 1", "Kim 2"]


def test_an_account_with_the_same_address_is_another_person(trusting: Server) -> None:
    """An address in a token is no proof that the two are one."""
    account = {"username": "owner", "email": "owner@example.com", "password": PASSWORD}
    made = Rest(trusting.url).post("/register", account).json()["user"]
    found = profile(trusting, sign(SECRET, "HS256", sub="thief", email="owner@example.com"))
    assert (found["id"] != made["id"], found["email"]) == (True, None)


def unsigned(algorithm: str) -> str:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": algorithm}, {"sub": "1", "exp": 9999999999})
    )
    return f"{head}.{body}."


@cache
def stranger() -> Issuer:
    """Whom nobody trusts."""
    return Issuer()


def brings_its_key(kid: str | None) -> str:
    """Signed by a stranger whose public key is in the token's own header."""
    key = json.loads(stranger().key_set())["keys"][1]
    return sign(stranger().ed, "EdDSA", kid, {"jwk": key}, sub="1")


def tampered(token: str) -> str:
    """Of somebody else, under the signature of the first."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    other = json.dumps(claims | {"sub": "1"}).encode()
    return f"{head}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}.{signature}"


CRITICAL = {"crit": ["x"], "x": 1}  # what must be understood, and is not (RFC 7515, 4.1.11)
BAD: dict[str, Callable[[Issuer], str]] = {
    "none": lambda issuer: unsigned("none"),
    "HS256 by the public key": lambda issuer: hs256_by_the_public_key(issuer),
    "HS512": lambda issuer: sign(SECRET * 2, "HS512", sub="1"),
    "other secret": lambda issuer: sign("k" * 32, "HS256", sub="1"),
    "other RSA key": lambda issuer: stranger().token("RS256", sub="1"),
    "other Ed25519 key": lambda issuer: stranger().token("EdDSA", sub="1"),
    "crit": lambda issuer: issuer.token(headers=CRITICAL, sub="1"),
    "crit, EdDSA": lambda issuer: issuer.token("EdDSA", headers=CRITICAL, sub="1"),
    "crit, shared secret": lambda issuer: sign(SECRET, "HS256", headers=CRITICAL, sub="1"),
    "jwk": lambda issuer: brings_its_key("ed"),
    "jwk, unknown kid": lambda issuer: brings_its_key("nobody"),
    "jwk, no kid": lambda issuer: brings_its_key(None),
    "tampered RS256": lambda issuer: tampered(issuer.token("RS256", sub="7")),
    "tampered EdDSA": lambda issuer: tampered(issuer.token("EdDSA", sub="7")),
    "tampered HS256": lambda issuer: tampered(sign(SECRET, "HS256", sub="7")),
    "unknown kid": lambda issuer: issuer.token("RS256", kid="nobody", sub="1"),
    "no kid": lambda issuer: sign(issuer.rsa, "RS256", sub="1"),
    "EdDSA under the RSA kid": lambda issuer: issuer.token("EdDSA", kid="rsa", sub="1"),
    "RS512": lambda issuer: sign(issuer.rsa, "RS512", "rsa", sub="1"),
    "no exp": lambda issuer: issuer.token(sub="1", exp=None),
    "expired": lambda issuer: issuer.token(sub="1", exp=1_700_000_000),
    "not yet": lambda issuer: issuer.token(sub="1", nbf=9_999_999_999),
    "nobody": lambda issuer: issuer.token(name="Nobody"),
    "odd id": lambda issuer: issuer.token(id=["1"]),
    "a subject too long to keep": lambda issuer: issuer.token(sub="1" * 600),
    "NUL in the subject": lambda issuer: issuer.token(sub="a\x00b"),
    "a refresh token": lambda issuer: issuer.token(sub="1", type="refresh"),
}


def hs256_by_the_public_key(issuer: Issuer) -> str:
    """The old confusion: the published key used as if it were a shared secret."""

    def text(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    head = text(json.dumps({"alg": "HS256", "kid": "rsa"}).encode())
    signed = head + b"." + text(b'{"sub": "1", "exp": 9999999999}')
    signature = hmac.new(issuer.public_pem(), signed, hashlib.sha256).digest()
    return (signed + b"." + text(signature)).decode()


@pytest.mark.fault("jwt")
@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_refused(trusting: Server, issuer: Issuer, make: Callable[[Issuer], str]) -> None:
    check_unauthorized(trusting, make(issuer))


def check_unauthorized(server: Server, token: str) -> None:
    """In the words for no token at all."""
    answer, without = Rest(server.url, token).get("/tasks"), Rest(server.url).get("/tasks")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert content_of(answer) == content_of(without)


@pytest.mark.fault("jwt")
def test_no_token_says_where_its_key_is(trusting: Server) -> None:
    """Nobody goes there."""
    with published(stranger().key_set()) as (url, asked):
        for header, kid in itertools.product(("jku", "x5u"), ("ed", "nobody", None)):
            token = sign(stranger().ed, "EdDSA", kid, {header: url}, sub="1")
            check_unauthorized(trusting, token)
        assert asked == []


def test_a_server_without_a_shared_secret_takes_none(server: Server, issuer: Issuer) -> None:
    kept = (server.instance / "jwt_secret_key").read_text()
    for token in (sign(kept, "HS256", sub="1"), issuer.token(sub="1")):
        assert Rest(server.url, token).get("/tasks").status_code == 401


def test_logout_ends_that_token_alone(trusting: Server, issuer: Issuer) -> None:
    first, second = issuer.token(sub="9", n=1), issuer.token(sub="9", n=2)
    assert Rest(trusting.url, first).post("/logout").status_code == 200
    assert Rest(trusting.url, first).get("/tasks").status_code == 401
    assert Rest(trusting.url, second).get("/tasks").status_code == 200


def test_disabled(trusting: Server, issuer: Issuer) -> None:
    token = issuer.token(sub="10")
    user = profile(trusting, token)
    admin = accounts.admin(trusting)
    admin.rest.patch(f"/users/{user['id']}", {"is_active": False})
    assert Rest(trusting.url, token).get("/tasks").status_code == 401


@pytest.mark.fault("jwt")
def test_key_set_by_url_issuer_and_audience(start: Callable[..., Server], issuer: Issuer) -> None:
    with published(issuer.key_set()) as (url, asked):
        server = start(JWKS=url, TRUSTED_ISSUER="https://id.example", TRUSTED_AUDIENCE="tasks")
        good = {"sub": "1", "iss": "https://id.example", "aud": "tasks"}
        assert profile(server, issuer.token("RS256", **good))["username"] == "user 1"
        assert profile(server, issuer.token("EdDSA", **good))["username"] == "user 1"
        assert asked == ["/jwks.json"]  # kept, not fetched for each token
        for wrong in ({"iss": "https://evil.example"}, {"iss": None}, {"aud": "x"}, {"aud": None}):
            check_unauthorized(server, issuer.token("RS256", **(good | wrong)))
    check_unauthorized(server, issuer.token("RS256", kid="new", **good))  # the issuer is away
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_key_file_that_is_taken_away(
    start: Callable[..., Server], issuer: Issuer, tmp_path: Path
) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(issuer.key_set())
    server = start(JWKS=str(keys))
    assert profile(server, issuer.token(sub="1"))["username"] == "user 1"
    keys.unlink()
    assert Rest(server.url, issuer.token(sub="2")).get("/tasks").status_code == 401
    assert "Traceback" not in server.log
