"""A person's Socket.IO client that writes, over all its connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import requests
from socketio.exceptions import SocketIOError

from tests.faults.follower import HANDSHAKE_SECONDS
from tests.support.accounts import Person
from tests.support.clients import TIMEOUT
from tests.support.readers import SocketReader

EVENTS = {"POST": "create_task", "PATCH": "update_task", "DELETE": "delete_task"}
STATUSES = {"internal_error": 500, "database_unavailable": 503, "storage_full": 507}


@dataclass(frozen=True)
class Said:
    """An acknowledgement, in the form of an answer over REST."""

    status_code: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        return self.body


class Speaker:
    """Is asked what a `Rest` is asked, and says it by `create_task`, `update_task`, `delete_task`;
    an `Idempotency-Key` goes as the `request_id`.

    Connects when it has something to say and has no connection; what was not acknowledged before
    the end of the connection raises `requests.ConnectionError`, as over REST.
    """

    transport = "socketio"

    def __init__(self, url: str, person: Person) -> None:
        self.url, self.person = url, person
        self.reader: SocketReader | None = None

    def request(
        self, method: str, path: str, json: Any = None, headers: Any = None, **_: Any
    ) -> Said:
        payload = dict(json or {})
        last = path.rpartition("/")[2]
        if last.isdigit():
            payload["id"] = int(last)
        if key := (headers or {}).get("Idempotency-Key"):
            payload["request_id"] = key
        body = self._call(EVENTS[method], payload)
        if "code" in body:
            return Said(STATUSES.get(body["code"], 400), body)
        return Said(201 if method == "POST" else 200, body)

    def _call(self, event: str, payload: dict[str, Any]) -> Any:
        said: list[Any] = []
        reader = self._connected()

        def take(answer: Any = None) -> None:
            with reader.changed:
                said.append(answer)
                reader.changed.notify_all()

        try:
            reader.client.sio.emit(event, payload, callback=take)
        except SocketIOError as error:
            raise requests.ConnectionError(event) from error
        with reader.changed:
            reader.changed.wait_for(lambda: said or reader.ended, TIMEOUT)
        if not said or said[0] is None:  # None: it had ended for the server
            raise requests.ConnectionError(f"no answer to {event}: {reader.ended}")
        return said[0]

    def _connected(self) -> SocketReader:
        """A connection that is signed in."""
        if self.reader is None or self.reader.ended:
            self.hang_up()
            try:
                reader = SocketReader(self.url, self.person.token, {}, HANDSHAKE_SECONDS)
            except (SocketIOError, OSError) as error:
                raise requests.ConnectionError(self.url) from error
            self.reader = reader
            with reader.changed:
                reader.changed.wait_for(
                    lambda: reader.ended or "ready" in dict(reader.notices), TIMEOUT
                )
        return self.reader

    def hang_up(self) -> None:
        if self.reader is not None:
            self.reader.client.close()
            self.reader = None
