"""One browser for all of these tests; boards of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support import browser
from tests.support.accounts import Person
from tests.support.browser import Board
from tests.support.server import Server

Open = Callable[..., Board]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as running:
        yield running


@pytest.fixture
def board(chromium: Browser, server: Server) -> Iterator[Open]:
    """Opens boards: `board(person)`, `board()` for nobody, `board(person, "?q=x")`."""
    opened: list[Board] = []

    def show(person: Person | None = None, query: str = "", url: str = "", **more: Any) -> Board:
        opened.append(Board(chromium, url or server.url, **more))
        if person is None:
            opened[-1].page.goto(opened[-1].url + "/" + query)
        return opened[-1].sign_in(person, query) if person else opened[-1]

    yield show
    for one in opened:
        one.close()
