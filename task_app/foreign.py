"""Tokens issued elsewhere: a front end's, under a shared secret or the issuer's public keys.

HS256 is taken under the shared secret alone, RS256 and EdDSA under a key set (RFC 7517) alone,
so that a public key can never be passed off as a secret.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt as pyjwt
from flask import current_app
from jwt import PyJWKClient, PyJWKSet

from task_app.schemas.user import Adoption

log = logging.getLogger(__name__)
MAX_NAME = 150
MAX_EXTERNAL_ID = 512
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
        return _client(where).get_signing_key(key_id).key
    try:
        changed = Path(where).stat().st_mtime_ns
        return _key_set(where, changed)[key_id].key
    except OSError as error:
        log.error("the key set %s cannot be read: %s", where, error)
        raise ValueError("no key for this token") from error


@lru_cache(maxsize=4)
def _client(url: str) -> PyJWKClient:
    return PyJWKClient(url, cache_keys=True, lifespan=300, timeout=5)


@lru_cache(maxsize=4)
def _key_set(path: str, _changed: int) -> PyJWKSet:
    return PyJWKSet.from_dict(json.loads(Path(path).read_text()))


def _text(found: dict[str, Any], name: str) -> str | None:
    value = found.get(name)
    return _UNFIT.sub(" ", value).strip() or None if isinstance(value, str) else None
