"""Schemathesis: every operation of the document, held against a real server, in the long form
(`SOAK=1`), each time with what SEED draws; `test_document.py` is the short one, always the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

if os.environ.get("SOAK") != "1":
    pytest.skip("the long form of test_document.py (SOAK=1)", allow_module_level=True)

import schemathesis  # after the skip: half of what the short form may cost

from tests.faults import form
from tests.support.document import World, check, is_endless, is_first, links, load, settings
from tests.support.server import Server

ROUNDS, MOST_ROUNDS = 3, 12
# What the rounds along the links must have done together: more are made until they have.
LINKED = [
    f"{method} {path}"
    for path in ("/tasks/{task_id}", "/users/{user_id}")
    for method in ("GET", "PUT", "DELETE")
]


@pytest.fixture(scope="session")
def seed() -> int:
    return form.chance("schemathesis").getrandbits(64)


@pytest.fixture(scope="session")
def thorough(seed: int) -> Any:
    return load("coverage", "fuzzing", seed=seed)


@pytest.fixture(scope="session")
def brief(seed: int) -> Any:
    return load("fuzzing", seed=seed)


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


def test_links(world: World, seed: int) -> None:
    """What was made can be read, changed and deleted, and is gone then: along the links."""
    done = links(world, rounds=ROUNDS, examples=12, seed=seed)
    for more in range(1, MOST_ROUNDS // ROUNDS):
        if set(LINKED) <= done:
            break
        done |= links(world, rounds=ROUNDS, examples=12, seed=seed + more * ROUNDS)
    assert set(LINKED) <= done
