"""The same through the gateway.

But for the number in `test_broadcast`: `recipients` takes the other processes' clients from the
last word of each, up to `presence.BEAT_SECONDS` old (`test_gin.py` here waits for it).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.test_sockets import *  # noqa: F403
from tests.contracts.test_sockets import BROADCASTS
from tests.support.accounts import Person
from tests.support.websockets_client import CHANNELS, FIBER, GIN

del test_broadcast  # noqa: F821


@pytest.mark.parametrize("message", BROADCASTS, ids=lambda message: message["type"])
def test_broadcast_reaches_all(
    client: Any, admin: Person, alice: Person, message: dict[str, Any]
) -> None:
    gin, fiber, channels = (client(path, alice) for path in (GIN, FIBER, CHANNELS))
    assert admin.rest.post("/api/broadcast", message).status_code == 200
    assert gin.read() == {"type": message["type"], "payload": message["data"]}
    for other in (fiber, channels):
        assert other.read() == message
