"""The same through the gateway, on the installation's own settings; but for three tests.

`test_broadcast_roles` is about the default of BROADCAST_ROLES, which this installation has
changed for the others.  `test_health` and `test_broadcast` count at once, where the count over
all processes is as old as the last word of each (`presence.BEAT_SECONDS`): here they wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from deploy.cluster import Process
from task_app.presence import BEAT_SECONDS
from tests.cluster.conftest import Installed
from tests.contracts.test_gin import *  # noqa: F403
from tests.contracts.test_gin import BROADCAST
from tests.support import accounts
from tests.support.clients import Rest, Socket

del gin, test_broadcast_roles, test_health, test_broadcast  # noqa: F821


def until(condition: Callable[[], bool]) -> None:
    late, pause = time.monotonic() + 2 * BEAT_SECONDS + 2, threading.Event()
    while not condition():
        assert time.monotonic() < late
        pause.wait(0.1)


def test_counts_over_all_processes(
    cluster: Installed,
    notifications: list[Process],
    token: str,
    listen: Callable[..., Socket],
) -> None:
    """`connectedClients`, `recipients`; and the broadcast, whichever process a client is on."""
    boss = accounts.sign_in(cluster.url, "admin", cluster.admin_password)
    rest = Rest(cluster.url, token)
    before = rest.get("/health").json()["connectedClients"]
    sockets = [listen(boss, one.url) for one in notifications]
    until(lambda: rest.get("/health").json()["connectedClients"] == before + len(sockets))
    until(lambda: rest.post("/api/broadcast", BROADCAST).json()["recipients"] == len(sockets))
    for socket in sockets:
        came = socket.wait_for("broadcast")
        assert {"type": came["type"], "data": came["data"]} == BROADCAST
