"""What the tests of several families share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.accounts import Person
from tests.support.server import Server
from tests.support.websockets_client import Client


@pytest.fixture
def client(server: Server) -> Iterator[Callable[..., Client]]:
    """Opens raw WebSockets: `client(path)`, `client(path, person)`."""
    opened: list[Client] = []

    def connect(path: str, person: Person | None = None) -> Client:
        opened.append(Client(server, path, person))
        return opened[-1]

    yield connect
    for one in opened:
        one.ws.close()


@pytest.fixture
def settled() -> Callable[..., None]:
    """Wait until every process knows how many clients the others have, and that there are so
    many: one alone knows at once (`tests/cluster` has more)."""
    return lambda clients=None: None
