"""A request that is sent again with its key is answered again, and not done again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, insert, select

from task_app import database, jsonio
from task_app.access import Actor
from task_app.errors import AppError, invalid
from task_app.extensions import table
from task_app.models import IdempotencyKey
from task_app.models.idempotency import KEY_LENGTH
from task_app.transactions import Prepared, Transaction

Kept = Row[Any]  # with `body` and `first_seq`
_KEYS = table(IdempotencyKey)
_THIS = (_KEYS.c.actor_id == bindparam("actor"), _KEYS.c.key == bindparam("value"))
_KEPT = select(_KEYS).where(*_THIS)
# Behind a gateway each write has a key, and hardly one is ever sent again: these two are prepared.
_IS_KEPT = Prepared(select(_KEYS.c.fingerprint).where(*_THIS))
_KEEP = Prepared(
    insert(_KEYS), ("actor_id", "key", "fingerprint", "body", "first_seq", "created_at")
)


@dataclass(frozen=True)
class Key:
    """`fingerprint` is what the request was."""

    actor_id: int
    value: str
    fingerprint: str


def key_of(actor: Actor, value: Any, request: list[Any]) -> Key | None:
    """The key a client gave for `request`; None without one.  Raises 400."""
    if value is None or actor.id is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= KEY_LENGTH or "\x00" in value:
        raise invalid({"request_id": [f"Must be a text of 1 to {KEY_LENGTH} characters."]})
    return Key(actor.id, value, hashlib.sha256(jsonio.dumps_bytes(request)).hexdigest())


def kept_answer(tx: Transaction, key: Key) -> Kept | None:
    """What the first request with this key was answered.

    Raises 422 when that was another request.
    """
    this = {"actor": key.actor_id, "value": key.value}
    if not tx.run(_IS_KEPT, this):
        return None
    kept = tx.execute(_KEPT, this).one_or_none()
    if kept is not None and kept.fingerprint != key.fingerprint:
        raise AppError(
            "idempotency_key_reused", 422, "This idempotency key was used for another request"
        )
    return kept


def kept_meanwhile(key: Key | None) -> Kept | None:
    """What has been kept since `kept_answer` was asked.

    A request that is sent again while the first is still being done, by another process, finds no
    answer yet, and then what the first has made of it: a task that is gone, say.
    """
    if key is None:
        return None
    with database.reading() as tx:
        return kept_answer(tx, key)


def keep(tx: Transaction, key: Key, body: Any, first_seq: int | None) -> None:
    """Keep the answer, and the number of the first event of what was done."""
    row = {
        "actor_id": key.actor_id,
        "key": key.value,
        "fingerprint": key.fingerprint,
        "body": jsonio.dumps(body),
        "first_seq": first_seq,
        "created_at": tx.now,
    }
    tx.run(_KEEP, row)
