"""A message to everyone who is signed in."""

from __future__ import annotations

from typing import Any

from flask import current_app

from task_app import events, presence
from task_app.actions.call import Call
from task_app.errors import forbidden
from task_app.transactions import Transaction


def broadcast(tx: Transaction, call: Call) -> dict[str, Any]:
    """Send `{type, data}` to every connected client, `data` untouched.

    Raises 403 unless the actor's role is in `BROADCAST_ROLES`: a broadcast can carry any
    event's name, so whoever may send one can make clients believe anything.
    """
    if call.actor.role not in current_app.config["BROADCAST_ROLES"]:
        raise forbidden("Your role may not broadcast")
    message = {"type": call.data["type"], "data": call.data.get("data")}
    events.record(tx, call.actor, "broadcast", message)
    # Those of this process are counted once it has been sent to them.
    others = presence.elsewhere(tx).signed_in
    return {"success": True, "message": "Broadcast sent", "recipients": others}
