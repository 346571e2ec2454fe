"""Clients of a real server: REST by `requests`, Socket.IO by python-socketio's own client."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import engineio
import requests
import socketio

from tests.support.leaks import tickets

TIMEOUT = 10
# A client that was not pinged in time (a busy machine, a server that was killed) says so on the
# terminal, as an error; a test that cares sees its `disconnect`.
logging.getLogger("engineio.client").setLevel(logging.CRITICAL)


class Rest:
    """One REST client.  `token` goes into each request when there is one."""

    transport = "rest"

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.token = token
        self.session = requests.Session()
        self.session.trust_env = False

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = dict(options.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        answer = self.session.request(
            method, self.url + path, headers=headers, timeout=TIMEOUT, **options
        )
        if path.endswith("/ws/ticket") and answer.status_code == 201:
            tickets.append(answer.json()["ticket"])  # no log may ever have it
        return answer

    def hang_up(self) -> None:
        """End the kept connections; the next request makes another."""
        self.session.close()

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.request("POST", path, json=json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.request("PUT", path, json=json, **options)

    def patch(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.request("PATCH", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.request("DELETE", path, **options)

    def new_task(self, title: str = "Water the plants", **fields: Any) -> dict[str, Any]:
        answer = self.post("/tasks", {"title": title, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()


def error_of(answer: requests.Response) -> dict[str, Any]:
    """The body of an error, as every transport has it: without what tells one answer from
    another, which must be there over HTTP."""
    body: dict[str, Any] = answer.json()
    assert body.pop("request_id") == answer.headers["X-Request-ID"]
    return body


def nameless(told: dict[str, Any]) -> dict[str, Any]:
    """What a socket was told of an error, without the id of its request, which must be there."""
    assert told["request_id"]
    return {name: value for name, value in told.items() if name != "request_id"}


def content_of(answer: requests.Response) -> bytes:
    """An answer's bytes but for the id of its request, which no other has."""
    return answer.content.replace(answer.headers["X-Request-ID"].encode(), b"")


class _Packet(socketio.packet.Packet):
    """Plain JSON, though an application made in this process gives the base class its own."""

    json = json


class _Engine(engineio.Client):
    """Hands messages over in the order they came; as it comes, each gets a thread of its own."""

    def _trigger_event(self, event: str, *args: Any, **kwargs: Any) -> Any:
        return super()._trigger_event(event, *args, **(kwargs | {"run_async": False}))


class _Client(socketio.Client):
    def _engineio_client_class(self) -> type:
        return _Engine


class Socket:
    """One Socket.IO client that keeps every event it gets, in order, as (name, payload)."""

    def __init__(self) -> None:
        # Text is decoded all the same; to look at each byte before that, in Python, took most of
        # the time of whoever was sent much.
        fast = {"skip_utf8_validation": True}
        self.sio = _Client(
            handle_sigint=False,
            reconnection=False,
            serializer=_Packet,
            websocket_extra_options=fast,
        )
        self.events: list[tuple[str, Any]] = []
        self.changed = threading.Condition()
        self.sio.on("*", self._keep)
        self.sio.on("connect_error", lambda data=None: self._keep("connect_error", data))
        self.sio.on("disconnect", lambda reason=None: self._keep("disconnect", reason))

    def _keep(self, name: str, payload: Any = None) -> None:
        with self.changed:
            self.events.append((name, payload))
            self.changed.notify_all()

    def connect(self, url: str, token: Any = None, **options: Any) -> Socket:
        """Connect, and with a token wait until the feed has begun."""
        if token is not None:
            options.setdefault("auth", {"token": token})
        options.setdefault("transports", ["websocket"])
        self.sio.connect(url, wait_timeout=TIMEOUT, **options)
        self.wait_for("ready" if token is not None else "message")
        return self

    def emit(self, name: str, payload: Any = None) -> None:
        self.sio.emit(name, payload)

    def call(self, name: str, payload: Any = None) -> Any:
        """Send and return the acknowledgement."""
        return self.sio.call(name, payload, timeout=TIMEOUT)

    def wait_for(
        self, wanted: str | Callable[[str, Any], bool], timeout: float = TIMEOUT, count: int = 1
    ) -> Any:
        """The payload of the `count`-th event of this name, or that satisfies the predicate."""

        def matching() -> list[Any]:
            if callable(wanted):
                return [payload for name, payload in self.events if wanted(name, payload)]
            return [payload for name, payload in self.events if name == wanted]

        with self.changed:
            came = self.changed.wait_for(lambda: len(matching()) >= count, timeout)
            assert came, f"no {wanted} in {timeout} s; there came {self.events}"
            return matching()[count - 1]

    def of_tasks(self) -> list[tuple[str, Any]]:
        """All events about tasks that were sent before now.

        An answer follows, on its connection, whatever was delivered before it.
        """
        self.call("list_tasks", {"limit": 1})
        with self.changed:
            return [(name, data) for name, data in self.events if name.startswith("task_")]

    def names(self, task_id: int) -> list[str]:
        """Names of the events about one task that were sent before now."""
        return [name for name, data in self.of_tasks() if data["task"] == task_id]

    def close(self) -> None:
        self.sio.disconnect()
