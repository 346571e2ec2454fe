"""What `/metrics` tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from task_app.realtime.feeds import Subscriber, feeds
from task_app.realtime.outbox import Outbox
from tests.support import accounts, databases, statements
from tests.support.clients import Rest
from tests.support.server import Server


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of the labels' names) -> value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(server: Server) -> dict[tuple[str, ...], float]:
    return samples(Rest(server.url).get("/metrics").text)


def stop_polling(url: str, token: str) -> None:
    """A Socket.IO client that signs in by long polling and never asks for what came after."""
    where = {"EIO": "4", "transport": "polling"}
    rest = Rest(url)
    where["sid"] = json.loads(rest.get("/socket.io/", params=where).text[1:])["sid"]
    sign_in = "40" + json.dumps({"token": token})
    rest.request("POST", "/socket.io/", params=where, data=sign_in)
    while "ready" not in rest.get("/socket.io/", params=where).text:
        pass


def test_sockets_commands_events(start: Callable[..., Server], listen: Callable) -> None:
    server = start()
    alice = accounts.register(server.url, "Alice")
    before = read(server)
    assert before["task_sockets",] == 0
    assert ("task_commands_total", "task.create", "201") not in before
    socket = listen(alice, url=server.url)
    alice.rest.new_task()
    socket.call("create_task", {"title": "Over the socket"})
    assert alice.rest.post("/tasks", {}).status_code == 400
    assert alice.rest.get("/tasks/999").status_code == 404
    found = read(server)
    assert found["task_sockets",] == 1
    requests = "task_http_request_seconds_count"
    assert found[requests, "POST", "/tasks", "201"] == 1
    assert found[requests, "GET", "/tasks/<int:task_id>", "404"] == 1
    assert found["task_commands_total", "task.create", "201"] == 2
    assert found["task_commands_total", "task.create", "400"] == 1
    assert found["task_commands_total", "task.get", "404"] == 1
    assert found["task_events_total", "task_created"] == 2
    assert found["task_fanout_seconds_count",] == 2
    assert found["task_relay_lag_events",] == found["task_pending_messages",] == 0
    stop_polling(server.url, alice.token)
    for number in range(1, 4):
        alice.rest.new_task()
        assert len(socket.of_tasks()) == number + 2
        assert read(server)["task_pending_messages",] == number


def test_invented_methods_are_one(start: Callable[..., Server]) -> None:
    server = start()
    rest = Rest(server.url)
    for method in ("PROPFIND", "MKCOL", "PURGE", *(f"INVENTED{number}" for number in range(20))):
        assert rest.request(method, "/tasks").status_code in (400, 405)
    rest.get("/tasks")
    found = read(server)
    methods = {key[1] for key in found if key[0] == "task_http_request_seconds_count"}
    assert methods == {"GET", "other"}


class Waiting(Subscriber):
    """A connection to which one message has not been written yet."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: Outbox[str] = Outbox()
        self.outbox.put("a message")


def test_lag_and_pending(tmp_path: Path) -> None:
    """Another process has logged three events; two connections have not read all."""
    app = statements.prepared(tmp_path)
    connections = [Waiting(), Waiting(), Subscriber()]
    try:
        for subscriber in connections:
            feeds.connect(subscriber)
        databases.run(tmp_path, "UPDATE log_head SET seq = seq + 3")
        found = samples(app.test_client().get("/metrics").text)
        assert found["task_relay_lag_events",] == 3
        assert found["task_pending_messages",] == 2
    finally:
        for subscriber in connections:
            feeds.disconnect(subscriber)
