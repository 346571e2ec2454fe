"""Tokens issued elsewhere: a front end's, under a shared secret or the issuer's public keys.

HS256 is taken under the shared secret alone, RS256 and EdDSA under a key set (RFC 7517) alone,
so that a public key can never be passed off as a secret.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt as pyjwt
from flask import current_app
from jwt import PyJWKClient, PyJWKSet, PyJWKSetError

from task_app.schemas.user import Adoption

log = logging.getLogger(__name__)
MAX_NAME = 150
MAX_EXTERNAL_ID = 512
FETCH_TIMEOUT = 5
FRESH_SECONDS = 300  # a withdrawn key is good for so long
# Between two fetches, whoever asks and whether they work: a client may write any key id into a
# token, and must not make this server ask the issuer for each.  A new key is good after so long.
PAUSE_SECONDS = 10.0
# While the issuer cannot be reached, the keys it last published are good for so long.
KEPT_SECONDS = 3600
# What a username must not contain; in a name from elsewhere a space stands for it.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_EMAIL = Adoption(only=("email",))


def claims(token: str, kind: str) -> dict[str, Any]:
    """Who the token speaks of: `external_id`, `username`, `email`, `session`, `expires_at`.

    Raises `jwt.PyJWTError`, `ValueError`, `TypeError` or `KeyError` for one that is not good.
    """
    config = current_app.config
    header = pyjwt.get_unverified_header(token)
    key, algorithms = _key(header)
    found = pyjwt.decode(
        token,
        key,
        algorithms=algorithms,
        issuer=config["TRUSTED_ISSUER"],
        audience=config["TRUSTED_AUDIENCE"],
        options={
            "require": ["exp"],
            "verify_aud": config["TRUSTED_AUDIENCE"] is not None,
            "verify_sub": False,  # numbers are taken too; checked below
        },
    )
    subject = found.get("sub") or found.get("id")
    if kind != "access" or found.get("type", "access") != "access":
        raise ValueError("a token of another kind")
    if not isinstance(subject, str | int) or isinstance(subject, bool):
        raise ValueError("the token names nobody")
    external_id = f"{_text(found, 'iss') or ''}|{subject}"
    # Refused, not cut: two that begin alike would share an account.
    if len(external_id) > MAX_EXTERNAL_ID or _UNFIT.search(external_id):
        raise ValueError("the token's subject cannot be kept")
    email, name = _text(found, "email"), _text(found, "name")
    if _EMAIL.validate({"email": email}):
        email = None
    return {
        "external_id": external_id,
        "username": (name or email or f"user {subject}")[:MAX_NAME],
        "email": email,
        # Without an id of its own the token stands for its session.
        "session": hashlib.sha256(token.encode()).hexdigest(),
        "expires_at": float(found["exp"]),
    }


def _key(header: dict[str, Any]) -> tuple[Any, list[str]]:
    config = current_app.config
    if header.get("alg") == "HS256" and config["FOREIGN_SECRET"]:
        return config["FOREIGN_SECRET"], ["HS256"]
    if header.get("alg") in ("RS256", "EdDSA") and config["JWKS"]:
        return _public_key(config["JWKS"], header["kid"]), [header["alg"]]
    raise ValueError("no key for this token")


def _public_key(where: str, key_id: str) -> Any:
    if where.startswith(("http://", "https://")):
        return _published(where).key(key_id)
    try:
        changed = Path(where).stat().st_mtime_ns
        return _key_set(where, changed)[key_id].key
    except OSError as error:
        log.error("the key set %s cannot be read: %s", where, error)
        raise ValueError("no key for this token") from error


class PublishedKeys:
    """The key set at a URL, fetched by one at a time and no oftener than `PAUSE_SECONDS`."""

    def __init__(self, url: str) -> None:
        self.client = PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_TIMEOUT)
        self.keys: dict[str | None, Any] = {}
        self.tried = self.fetched = float("-inf")
        self.fetching = threading.Lock()

    def key(self, key_id: str) -> Any:
        """Raises ValueError when the issuer publishes none of this name."""
        known = key_id in self.keys
        stale = time.monotonic() - self.fetched > FRESH_SECONDS
        # Whose key is known does not wait for another's fetch.
        if (stale or not known) and self.fetching.acquire(blocking=not known):
            try:
                if time.monotonic() - self.tried >= PAUSE_SECONDS:
                    self._fetch()
            finally:
                self.fetching.release()
        key = self.keys.get(key_id)
        if key is None:
            raise ValueError("no key for this token")
        return key

    def _fetch(self) -> None:
        try:
            self.keys = {key.key_id: key.key for key in self.client.get_signing_keys()}
            self.fetched = time.monotonic()
        except Exception as error:  # whatever the issuer answers, it must be nobody's 500
            log.warning("the key set %s cannot be fetched: %s", self.client.uri, error)
            # A set without a key is an answer: all have been withdrawn.
            withdrawn = isinstance(error, PyJWKSetError)
            if withdrawn or time.monotonic() - self.fetched > KEPT_SECONDS:
                self.keys = {}
        self.tried = time.monotonic()


@lru_cache(maxsize=4)
def _published(url: str) -> PublishedKeys:
    return PublishedKeys(url)


@lru_cache(maxsize=4)
def _key_set(path: str, _changed: int) -> PyJWKSet:
    return PyJWKSet.from_dict(json.loads(Path(path).read_text()))


def _text(found: dict[str, Any], name: str) -> str | None:
    value = found.get(name)
    return _UNFIT.sub(" ", value).strip() or None if isinstance(value, str) else None
