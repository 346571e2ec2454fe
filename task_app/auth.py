"""Token to actor, for every transport; passwords; ending sessions.

A token that was verified once is remembered until it expires, so a request with a known token
costs no signature and no query.  What could make it invalid sooner (logout, a new password, a
disabled or changed account) is an event in the log: the relay of every process passes it here
(`forget`), and the next use of the token asks the database again.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections import OrderedDict
from typing import Any

import jwt as pyjwt
from flask import current_app
from flask_jwt_extended import create_access_token, create_refresh_token
from sqlalchemy import Row
from werkzeug.security import check_password_hash, generate_password_hash

from task_app import database, foreign, own_tokens, queries
from task_app.access import Actor
from task_app.errors import AppError, unauthorized
from task_app.extensions import offload
from task_app.schemas.fields import MAX_ID

TOKEN_LENGTH = 8192  # characters; real ones are under 1 000
REMEMBERED = 20_000
ACCESS, REFRESH = "access", "refresh"
# What a token can raise on its way in, by being malformed, forged, or of the wrong types.
_BAD_TOKEN = (
    pyjwt.PyJWTError,
    LookupError,
    AttributeError,
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
)


class KnownTokens:
    """Verified access tokens and their actors, the oldest forgotten first.

    `stamp` moves whenever something is forgotten: a token verified before that must not be
    remembered after it (with native threads the two can cross).
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.stamp = 0
        self.actors: OrderedDict[str, Actor] = OrderedDict()
        self.by_user: dict[int | None, set[str]] = {}
        self.lock = threading.Lock()

    def get(self, token: str) -> Actor | None:
        actor = self.actors.get(token)
        if actor is not None and (actor.expires_at or 0) <= time.time():
            with self.lock:
                self._drop(token)
            return None
        return actor

    def put(self, token: str, actor: Actor, stamp: int) -> None:
        with self.lock:
            if stamp != self.stamp:
                return
            self.actors[token] = actor
            self.by_user.setdefault(actor.id, set()).add(token)
            if len(self.actors) > self.capacity:
                self._drop(next(iter(self.actors)))

    def knows(self, actor: Actor) -> bool:
        """Whether a token of this actor's session is remembered."""
        with self.lock:
            tokens = self.by_user.get(actor.id, ())
            return any(self.actors[token] == actor for token in tokens)

    def forget_user(self, user_id: int) -> None:
        with self.lock:
            self.stamp += 1
            for token in self.by_user.get(user_id, set()).copy():
                self._drop(token)

    def clear(self) -> None:
        with self.lock:
            self.stamp += 1
            self.actors.clear()
            self.by_user.clear()

    def _drop(self, token: str) -> None:
        actor = self.actors.pop(token, None)
        if actor is None:
            return
        tokens = self.by_user.get(actor.id, set())
        tokens.discard(token)
        if not tokens:
            self.by_user.pop(actor.id, None)


known_tokens = KnownTokens(REMEMBERED)


def actor_of(token: Any) -> Actor:
    """The actor of an access token.  Raises `AppError` 401, in one form for every reason."""
    if not isinstance(token, str):
        raise unauthorized()
    actor = known_tokens.get(token)
    if actor is None:
        stamp = known_tokens.stamp
        actor = verify(token, ACCESS)
        known_tokens.put(token, actor, stamp)
    return actor


def verify(token: str, kind: str) -> Actor:
    """The actor of a token of this kind, by its signature and the database.

    Raises 401, or `Stranger` for a good token of another issuer whose holder has no account yet.
    """
    if not 0 < len(token) <= TOKEN_LENGTH:
        raise unauthorized()
    try:
        ours = _is_for_us(token)
        holder = _own_claims(token, kind) if ours else foreign.claims(token, kind)
    except _BAD_TOKEN as error:
        raise unauthorized() from error
    with database.reading(once=ours) as tx:
        if ours:
            user = queries.holder(tx, holder["user_id"], holder["session"])
        else:
            known = queries.user_by_external_id(tx, holder["external_id"])
            if known is None:
                raise Stranger(holder)
            user = queries.holder(tx, known.id, holder["session"])
        if user is None or (ours and user.token_generation != holder["generation"]):
            raise unauthorized()
    return Actor(
        user.id,
        user.username,
        user.role,
        holder["session"],
        holder["expires_at"],
        user.token_generation,
    )


class Stranger(Exception):
    """A good token of another issuer; `holder` is who it speaks of."""

    def __init__(self, holder: dict[str, Any]) -> None:
        super().__init__(holder["external_id"])
        self.holder = holder


def _is_for_us(token: str) -> bool:
    """Whether the token is to be verified as one of ours: where no other issuer is trusted, or by
    whom it names as its issuer."""
    config = current_app.config
    if not (config["FOREIGN_SECRET"] or config["JWKS"]):
        return True
    payload = token.split(".")[1]
    named = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("iss")
    return bool(named == config["JWT_ENCODE_ISSUER"])


def _own_claims(token: str, kind: str) -> dict[str, Any]:
    config = current_app.config
    claims = own_tokens.decode(token, config["JWT_SECRET_KEY"], config["JWT_DECODE_ISSUER"])
    if claims["type"] != kind or not isinstance(claims["sid"], str):
        raise ValueError("a token of another kind")
    user_id = int(claims["sub"])
    if "aud" in claims or not 1 <= user_id <= MAX_ID:
        raise ValueError("not a token this server made")
    return {
        "user_id": user_id,
        "generation": claims["gen"],
        "session": claims["sid"],
        "expires_at": float(claims["exp"]),
    }


def still_holds(actor: Actor) -> bool:
    """Whether the token this actor came by has not been ended meanwhile."""
    if known_tokens.knows(actor):
        return True  # it would have been forgotten
    with database.reading() as tx:
        user = queries.user_by_id(tx, actor.id or 0)
        if user is None or not user.is_active or user.role != actor.role:
            return False
        if user.token_generation != actor.generation:
            return False
        return actor.session is None or not queries.is_revoked(tx, actor.session)


def is_gone(actor: Actor) -> bool:
    """Whether the account was deleted by another process, of which this one has not heard yet.

    Asked only when a write has failed; the token is not taken for good any more then.
    """
    if actor.id is None:
        return False
    with database.reading() as tx:
        gone = queries.user_by_id(tx, actor.id) is None
    if gone:
        known_tokens.forget_user(actor.id)
    return gone


def forget(event_type: str, data: dict[str, Any]) -> None:
    """Drop what a control event made stale."""
    if event_type in ("user_changed", "session_revoked"):
        known_tokens.forget_user(data["user_id"])


def forget_everybody() -> None:
    """Look up anew whoever comes: who is out of date nobody knows."""
    known_tokens.clear()


def issue(user: Row[Any], session: str | None = None) -> dict[str, Any]:
    """The tokens of a new session, or a new access token of an old one, as login answers them."""
    identity = str(user.id)
    claims = {"sid": session or secrets.token_hex(16), "gen": user.token_generation}
    access_token = create_access_token(identity, additional_claims=claims)
    tokens = {"access_token": access_token}
    if session is None:
        tokens["refresh_token"] = create_refresh_token(identity, additional_claims=claims)
    return {
        **tokens,
        "token": access_token,  # the name two of the client families read
        "token_type": "Bearer",
        "expires_in": int(current_app.config["JWT_ACCESS_TOKEN_EXPIRES"].total_seconds()),
        "user": queries.user_dict(user),
    }


def hash_password(password: str) -> str:
    method = f"scrypt:{1 << current_app.config['HASH_COST']}:8:1"
    return offload(generate_password_hash, password, method)


def check_login(name: str, password: str) -> tuple[int, int]:
    """The id of the account with this name and password, and its `token_generation`: if that is
    another by the time the session starts, the check is worth nothing any more.

    Raises 401 in the same words and after the same work whether the name is unknown, the
    password wrong or the account disabled.
    """
    with database.reading() as tx:
        users = queries.users_by_name(tx, name)
    user = users[0] if len(users) == 1 else None
    hashed = user.password_hash if user is not None and user.password_hash else _decoy()
    correct = offload(check_password_hash, hashed, password)
    if user is None or not user.password_hash or not correct or not user.is_active:
        raise bad_credentials()
    return user.id, user.token_generation


def bad_credentials() -> AppError:
    return AppError("bad_credentials", 401, "Wrong username or password")


_decoys: list[str] = []


def _decoy() -> str:
    """A hash to check an unknown name's password against, made like any other."""
    if not _decoys:
        _decoys.append(hash_password(secrets.token_hex()))
    return _decoys[0]


def token_in_header(header: str) -> str:
    """The token of an `Authorization` header, `Bearer` or `Token` in any case.  Raises 401."""
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() not in ("bearer", "token") or not token.strip():
        raise unauthorized()
    return token.strip()
