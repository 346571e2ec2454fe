"""Server-Sent Events as `curl -N` reads them: the header, each event at once, `Last-Event-ID`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import require
from tests.support.accounts import Person
from tests.support.readers import parse
from tests.support.server import Server

Events = Iterator[dict[str, str]]


@contextmanager
def curl(url: str, *headers: str) -> Iterator[Events]:
    """The events of a stream, while curl runs."""
    options = [part for header in headers for part in ("-H", header)]
    process = subprocess.Popen(
        [require("curl"), "-sSN", "--max-time", "20", "--noproxy", "*", *options, url],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield parse(iter(process.stdout.readline, b""))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("path", ["/events", "/api/events", "/api/v1/events"])
def test_live_cut_off_and_resumed(server: Server, alice: Person, path: str) -> None:
    bearer = f"Authorization: Bearer {alice.token}"
    with curl(server.url + path, bearer) as events:
        assert next(events)["event"] == "ready"
        seen = []
        for _ in range(3):  # each comes before the next is made
            alice.rest.new_task()
            seen.append(next(events)["id"])
    missed = [alice.rest.new_task()["id"] for _ in range(3)]
    with curl(server.url + path, bearer, f"Last-Event-ID: {seen[-1]}") as events:
        again = [next(events) for _ in missed]
        assert next(events)["event"] == "ready"
        alice.rest.new_task()
        again.append(next(events))
    numbers = [int(one.rpartition("-")[2]) for one in [*seen, *(one["id"] for one in again)]]
    assert numbers == list(range(numbers[0], numbers[0] + 7))
    assert {one["event"] for one in again} == {"task_created"}


def test_without_a_token(server: Server) -> None:
    with curl(f"{server.url}/events") as events:
        assert list(events) == []  # the answer is an error, and ends
