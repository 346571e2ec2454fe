"""What is measured on one server, for one round; `bench/rows.py` says what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.client import BODY, ClientError, Figures, Sockets, http
from bench.servers import (
    FASTAPI,
    FASTAPI_ORM,
    FLOOR,
    NODE,
    OURS,
    PLAIN,
    Peer,
    Running,
    start,
)

WARM_CLIENTS = 200
IDLE_SECONDS = 3  # before memory is looked at
# The event the floor sends is ours, as recorded; only the mark changes.
FLOOR_BODY = (
    '42["task_created",{"id":1001,"title":"bench-%d","description":"'
    + BODY.partition('"description": "')[2].partition('"')[0]
    + '","done":false,"status":"todo","priority":"high","due_date":null,"user_id":2,"created_by":2,'
    '"assigned_to":null,"created_at":"2026-11-21T09:44:20.924717Z",'
    '"updated_at":"2026-11-21T09:44:20.924717Z","version":1,"task":1001,"type":"task_created",'
    '"seq":1001,"epoch":"313c6ca0d5e5e571","actor_id":2,"changes":["title","description","status",'
    '"priority","due_date","user_id","assigned_to"],"at":"2026-11-21T09:44:20.924717Z"}]'
)


@dataclass(frozen=True)
class Entry:
    """A server, and how clients come to it; `key` is its column."""

    key: str
    peer: Peer
    kind: str = "sio"


@dataclass(frozen=True)
class Bench:
    """Where the data is, and how much to measure."""

    data: Path
    place: Path
    quick: bool

    @property
    def tokens(self) -> str:
        return str(self.data / "tokens")

    def amount(self, full: float, quick: float) -> float:
        return quick if self.quick else full

    @contextmanager
    def running(self, entry: Entry) -> Iterator[Running]:
        server = start(entry.peer, self.data, self.place)
        try:
            yield server
        except ClientError as error:
            raise ClientError(f"{error}\n{server.log}".strip()) from error
        finally:
            server.kill()

    @contextmanager
    def clients(self, server: Running, entry: Entry, count: int) -> Iterator[Sockets]:
        ready = {"sio": entry.peer.ready, "ws": '"ready"', "bare": "-"}[entry.kind]
        tokens = "-" if entry.kind == "bare" else self.tokens
        connected = Sockets(server.port, entry.kind, count, tokens, ready)
        try:
            yield connected
        finally:
            connected.close()


def body_for(entry: Entry) -> str:
    return FLOOR_BODY if entry.kind == "bare" else BODY


def connect(
    bench: Bench, server: Running, entry: Entry, count: int, found: Figures
) -> AbstractContextManager[Sockets]:
    """Connects the clients, and notes the time and the memory that took.

    A few come and go before: a reconnect storm meets a server that has run for a while, with its
    code loaded and, on Node, compiled."""

    @contextmanager
    def opened() -> Iterator[Sockets]:
        with bench.clients(server, entry, WARM_CLIENTS):
            pass
        time.sleep(1)
        before = server.memory()
        with bench.clients(server, entry, count) as sockets:
            found["connect_s"] = sockets.connected["seconds"]
            time.sleep(IDLE_SECONDS)
            found["memory_kb"] = (server.memory() - before) / 1024 / count
            yield sockets

    return opened()


def fanout(bench: Bench, entry: Entry, count: int = 1_000) -> Figures:
    """Connecting, memory, paced events, and a burst."""
    found: Figures = {}
    body = body_for(entry)
    events = int(bench.amount(30, 15))
    with bench.running(entry) as server, connect(bench, server, entry, count, found) as sockets:
        sockets.do("paced", 10, 100, "/tasks", body)
        found |= sockets.do("paced", events, 200, "/tasks", body)
        sockets.do("burst", 10, 16, "/tasks", body)
        time.sleep(0.5)
        burst = sockets.do("burst", 50, 16, "/tasks", body)
        found["burst_per_s"] = burst["messages_per_s"]
        found["burst_p50_ms"] = burst["event_p50_ms"]
        found["burst_client_cpu"] = burst["client_cpu"]
    return found


def fanout_wide(bench: Bench, entry: Entry) -> Figures:
    """The same to 10 000 clients."""
    found: Figures = {}
    body = body_for(entry)
    with bench.running(entry) as server, connect(bench, server, entry, 10_000, found) as sockets:
        sockets.do("paced", 4, 1000, "/tasks", body)
        found |= sockets.do("paced", int(bench.amount(12, 6)), 1000, "/tasks", body)
    return found


def storm(bench: Bench, entry: Entry) -> Figures:
    """5 000 clients connect."""
    found: Figures = {}
    with bench.running(entry) as server, connect(bench, server, entry, 5_000, found):
        pass
    return found


def requests(bench: Bench, entry: Entry) -> Figures:
    """REST at 16 connections; one Socket.IO client listens to what is created."""
    found: Figures = {}
    warm, seconds = bench.amount(1.5, 0.7), bench.amount(3, 1.2)
    calls = {
        "get": ("GET", "/tasks/%d", "-"),
        "list": ("GET", "/tasks?limit=50", "-"),
        "post": ("POST", "/tasks", BODY),
    }
    with bench.running(entry) as server, bench.clients(server, entry, 1) as listener:
        for name, (method, path, body) in calls.items():
            made = http(server.port, method, path, warm, bench.tokens, body)["http"]
            measured = http(server.port, method, path, seconds, bench.tokens, body)
            for figure in ("requests_per_s", "request_p50_ms", "request_p99_ms", "bytes"):
                found[f"{name}_{figure}"] = measured[figure]
            found[f"{name}_client_cpu"] = measured["client_cpu"]
            if method == "POST":
                time.sleep(0.5)
                made += measured["http"]
                heard = listener.do("count")["count"]
                if heard != made:
                    raise ClientError(f"{made} tasks were created, {heard} events came")
    return found


def acks(bench: Bench, entry: Entry) -> Figures:
    """Socket commands: each client sends its token with each, and waits for the answer; then the
    same from clients that are signed in, to whom all of each other's events go too.

    In the first two our server sends the event to the sender beside the ack; the others send the
    ack alone.  (Two small writes cost the stack as it comes 40 ms more, as it leaves Nagle's
    algorithm on: the comparison would be with that.)"""
    found: Figures = {}
    warm, seconds = bench.amount(1, 0.5), bench.amount(3, 1.2)
    with bench.running(entry) as server:
        for name, count, signed_in in (("one", 1, False), ("many", 16, False), ("room", 16, True)):
            tokens = bench.tokens if signed_in else f"carry:{bench.tokens}"
            ready = entry.peer.ready if signed_in else "-"
            sockets = Sockets(server.port, "sio", count, tokens, ready)
            try:
                sockets.do("ack", warm, int(not signed_in), BODY)
                measured = sockets.do("ack", seconds, int(not signed_in), BODY)
            finally:
                sockets.close()
            for figure in ("ack_p50_ms", "ack_p99_ms", "acks_per_s", "client_cpu"):
                found[f"{name}_{figure}"] = measured[figure]
    return found


def change_to_event(bench: Bench, entry: Entry) -> Figures:
    """A change, to 1 and to 200 listeners."""
    found: Figures = {}
    events = int(bench.amount(200, 40))
    with bench.running(entry) as server:
        for count in (1, 200):
            with bench.clients(server, entry, count) as sockets:
                sockets.do("paced", 40, 20, "/tasks", BODY)
                measured = sockets.do("paced", events, 25, "/tasks", BODY)
                found[f"p50_{count}_ms"] = measured["event_p50_ms"]
                found[f"p99_{count}_ms"] = measured["event_p99_ms"]
            time.sleep(0.3)
    return found


def starting(bench: Bench, entry: Entry) -> Figures:
    """From the start of the process to the first answer, with the data there and, for ours,
    for the first time."""
    with bench.running(entry) as server:
        found = {"start_s": server.seconds}
    if entry.peer is OURS:
        fresh = Running(OURS, bench.place / "fresh")
        found["first_start_s"] = fresh.seconds
        fresh.kill()
    return found


@dataclass(frozen=True)
class Scenario:
    measure: Callable[[Bench, Entry], Figures]
    entries: tuple[Entry, ...]


_ours, _node = Entry("ours", OURS), Entry("node", NODE)
_plain = Entry("plain", PLAIN)
_orm, _fastapi = Entry("fastapi_orm", FASTAPI_ORM), Entry("fastapi", FASTAPI)
_floor = Entry("floor", FLOOR, "bare")
_ours_raw, _node_raw = Entry("ours_raw", OURS, "ws"), Entry("node_raw", NODE, "ws")
_all = (_ours, _node, _plain, _orm, _fastapi)

SCENARIOS = {
    "fanout": Scenario(fanout, (_ours, _node, _floor, _ours_raw, _node_raw, _plain, _fastapi)),
    "fanout_wide": Scenario(fanout_wide, (_ours, _node, _floor)),
    "storm": Scenario(storm, (_ours, _node, _fastapi)),
    "requests": Scenario(requests, _all),
    "acks": Scenario(acks, _all),
    "change": Scenario(change_to_event, _all),
    "start": Scenario(starting, _all),
}
