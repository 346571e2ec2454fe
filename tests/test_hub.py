"""A greenlet goes on when what it waits for happens, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.server import ASYNC_MODE, ROOT

# A socket that may be read and written at once, as psycopg's is when PostgreSQL is gone; then
# something else to wait for.  Prints how much of it was waited.
PROGRAM = """
from task_app import server
server.patch("eventlet")
import select, socket, time
ours, theirs = socket.socketpair()
theirs.send(b"here")
ready = select.select([ours], [ours], [], 5)
began = time.monotonic()
time.sleep(0.2)
print(time.monotonic() - began)
"""


@pytest.mark.skipif(ASYNC_MODE != "eventlet", reason="a property of eventlet's mode")
def test_nobody_is_woken_by_what_it_waited_for_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) >= 0.2
