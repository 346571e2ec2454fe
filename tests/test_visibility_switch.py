"""Nobody resumes across a switch of TASK_VISIBILITY: the audience of the events before was
chosen under another rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import accounts
from tests.support.clients import Socket
from tests.support.server import Server


@pytest.mark.parametrize(("before", "after"), [("team", "private"), ("private", "team")])
def test_switch(tmp_path: Path, before: str, after: str) -> None:
    server = Server(tmp_path, TASK_VISIBILITY=before).start()
    try:
        alice, stranger = accounts.people(server.url, "Alice", "Bob")
        task = alice.rest.new_task("Secret of the owner")
        old = alice.rest.get("/health").json()["epoch"]
    finally:
        server.stop()
    server = Server(tmp_path, TASK_VISIBILITY=after).start()
    try:
        for where in ({"since": 0}, {"since": 0, "epoch": old}):
            socket = Socket()
            socket.connect(server.url, stranger.token, auth={"token": stranger.token, **where})
            reason = "another_log" if "epoch" in where else "too_old"
            assert socket.wait_for("resync")["reason"] == reason
            assert task["title"] not in str(socket.events)
            socket.close()
    finally:
        server.stop()
