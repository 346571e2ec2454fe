"""The OpenAPI document held against a server, in a short form: every other command with what it
allows, without and with a bad token, the rest with what it forbids; and the links of what was
made."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.support.server import Server, running


@pytest.fixture(scope="module")
def document() -> ModuleType:
    """Imported when it is used: every process of the suite would pay for it."""
    return importlib.import_module("tests.support.document")


@pytest.fixture(scope="module")
def world(document: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running(Server(tmp_path_factory.mktemp("document"))) as server:
        yield document.World(server)


def test_each_command(document: ModuleType, world: Any) -> None:
    schema = document.load("fuzzing").include(document.is_first)
    operations = [found.ok() for found in schema.get_all_operations()]
    for number, operation in enumerate(operations):
        document.examine(operation, world, forbidden=number % 2 == 1)
    seen = {operation.definition.raw["operationId"] for operation in operations}
    assert seen <= document.FIRST and len(seen) == len(operations) > 15


def test_links(document: ModuleType, world: Any) -> None:
    assert document.links(world, rounds=1, examples=3)
