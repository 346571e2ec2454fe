"""Schemathesis: every operation of the document, held against a real server, in the long form
(`SOAK=1`); `test_document.py` is the short one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

if os.environ.get("SOAK") != "1":
    pytest.skip("the long form of test_document.py (SOAK=1)", allow_module_level=True)

import schemathesis  # after the skip: half of what the short form may cost

from tests.support.document import World, check, is_endless, is_first, links, load, settings
from tests.support.server import Server

ROUNDS = 3
# What a run of links must have done.
LINKED = [
    f"{method} {path}"
    for path in ("/tasks/{task_id}", "/users/{user_id}")
    for method in ("GET", "PUT", "DELETE")
]


@pytest.fixture(scope="session")
def thorough() -> Any:
    return load("coverage", "fuzzing")


@pytest.fixture(scope="session")
def brief() -> Any:
    return load("fuzzing")


@pytest.fixture(autouse=True)
def node_id(request: pytest.FixtureRequest) -> None:
    """Schemathesis 4.30 reads and sets an attribute that pytest 9.2 no longer has."""
    request.node._nodeid = request.node.nodeid


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = Server(tmp_path_factory.mktemp("schemathesis")).start()
    try:
        yield World(server)
        assert server.stop() == 0, server.log
        assert "Traceback" not in server.log, server.log
    finally:
        server.kill()


# From fixtures: what is made at import costs ten seconds.
@schemathesis.pytest.from_fixture("thorough").include(is_first).parametrize()
@settings(examples=20)
def test_command(case: Any, world: World) -> None:
    """Each command once."""
    check(case, world)


@(schemathesis.pytest.from_fixture("brief").exclude(is_first).exclude(is_endless).parametrize())
@settings(examples=1)
def test_other_url(case: Any, world: World) -> None:
    """The same commands under their other URLs, methods and prefixes: the answers may differ."""
    check(case, world)


def test_links(world: World) -> None:
    """What was made can be read, changed and deleted, and is gone then: along the links."""
    assert set(LINKED) <= links(world, rounds=ROUNDS, examples=12)
