"""One-use passes for sockets and streams."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Any

from sqlalchemy import delete, insert

from task_app import queries
from task_app.actions.call import Call
from task_app.errors import unauthorized
from task_app.extensions import table
from task_app.models import Ticket
from task_app.transactions import Transaction

SECONDS = 30
_TICKETS = table(Ticket)


def create_ticket(tx: Transaction, call: Call) -> dict[str, Any]:
    """A ticket that stands for the actor's token, once, within `expires_in` seconds."""
    ticket = secrets.token_urlsafe(24)
    now = int(time.time())
    tx.execute(
        insert(_TICKETS).values(
            digest=_digest(ticket),
            user_id=call.actor.id,
            session=call.actor.session,
            token_generation=call.actor.generation,
            token_expires_at=int(call.actor.expires_at or 0),
            expires_at=now + SECONDS,
        )
    )
    return {"ticket": ticket, "expires_in": SECONDS}


def redeem_ticket(tx: Transaction, call: Call) -> dict[str, Any]:
    """Whom the ticket stands for; it is worth nothing after that.  Raises 401."""
    used = tx.execute(
        delete(_TICKETS)
        .where(_TICKETS.c.digest == _digest(call.data["ticket"]))
        .returning(_TICKETS)
    ).one_or_none()
    now = time.time()
    if used is None or used.expires_at < now or 0 < used.token_expires_at <= now:
        raise unauthorized()
    user = queries.user_by_id(tx, used.user_id)
    if user is None or not user.is_active or user.token_generation != used.token_generation:
        raise unauthorized()
    if queries.is_revoked(tx, used.session):
        raise unauthorized()
    holder = {"id": user.id, "username": user.username, "role": user.role}
    return {
        **holder,
        "session": used.session,
        "expires_at": float(used.token_expires_at),
        "generation": used.token_generation,
    }


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
