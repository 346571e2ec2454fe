"""Power loss: with `SQLITE_SYNCHRONOUS=FULL` a write is on the disk before it is acknowledged.

strace shows it: on the thread that answers, nothing stands in the write-ahead log unsynced when
an acknowledgement goes out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import require, sqlite_only
from tests.faults import form
from tests.faults.checker import finish_one
from tests.faults.figures import figure
from tests.faults.load import Load
from tests.support import accounts
from tests.support.clients import Socket
from tests.support.server import AppPy

pytestmark = [sqlite_only, pytest.mark.fault("power")]
CALLS = "trace=pwrite64,fsync,fdatasync,sendto,sendmsg,write,writev"
WRITTEN = re.compile(r"pwrite64\(\d+<[^>]*-wal>")
SYNC = re.compile(r"f(?:data)?sync\(\d+<[^>]*-wal>")
SYNCED = re.compile(r"f(?:data)?sync(?:\(| resumed>).*\) += 0$")
# Of REST; of Socket.IO, after at most four bytes of a frame's head.
ACKNOWLEDGED = re.compile(r'"(?:HTTP/1\.1 201 |.{1,16}43\d+\[\{)')
REQUESTS = 200 if form.SOAK else 20


class Traced(AppPy):
    """Under strace, which stands aside: the process that was started is the server."""

    @property
    def under(self) -> Sequence[str]:
        return "strace", "-D", "-f", "-y", "-s", "32", "-e", CALLS, "-o", str(self.trace)

    @property
    def trace(self) -> Path:
        return self.instance / "trace"


def acknowledgements(trace: str) -> list[bool]:
    """Of each, in order, whether all that its thread had written was synced when it went out."""
    unsynced: dict[str, bool] = defaultdict(bool)
    begun: dict[str, str] = {}  # a call that another thread's has interrupted in the trace
    found = []
    for line in trace.splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[thread] = call
        elif call.startswith("<... "):
            call = begun.pop(thread, "") + call
        if WRITTEN.match(call):
            unsynced[thread] = True
        elif SYNC.match(call) and SYNCED.search(call):
            unsynced[thread] = False
        elif call.startswith(("send", "write")) and ACKNOWLEDGED.search(call):
            found.append(not unsynced[thread])
    return found


TRACE = """\
7 pwrite64(9</i/tasks.db-wal>, "x"..., 24, 0) = 24
7 fdatasync(9</i/tasks.db-wal> <unfinished ...>
8 fdatasync(5</i/tasks.db-wal>) = 0
7 <... fdatasync resumed>) = 0
7 sendto(12<socket:[1]>, "HTTP/1.1 201 Created\\r\\n"..., 500, 0, NULL, 0) = 500
7 pwrite64(9</i/tasks.db-wal>, "x"..., 24, 0) = 24
8 fdatasync(5</i/tasks.db-wal>) = 0
7 fdatasync(9</i/tasks.db>) = 0
7 sendto(13<socket:[2]>, "\\201~\\1\\2431[{\\"id\\":1"..., 300, 0, NULL, 0) = 300
7 sendto(13<socket:[2]>, "HTTP/1.1 200 OK\\r\\n"..., 500, 0, NULL, 0) = 500
"""


def test_how_a_trace_is_read() -> None:
    """Another thread's fsync, or one of another file, says nothing."""
    assert acknowledgements(TRACE) == [True, False]


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"] if form.SOAK else ["FULL"])
def test_synced_before_it_is_acknowledged(tmp_path: Path, synchronous: str) -> None:
    """With NORMAL it is not, and the trace shows that as well."""
    require("strace")
    server = Traced(tmp_path, SQLITE_SYNCHRONOUS=synchronous)
    try:
        server.start()
        alice = accounts.register(server.url, "Alice")
        socket = Socket().connect(server.url, alice.token)
        with Load(alice) as load:
            load.go_on(REQUESTS)
            for number in range(5):
                assert socket.call("create_task", {"title": f"By socket {number}"})["id"]
        socket.close()
        finish_one("power", load.history, alice, tmp_path)
        assert server.stop() == 0
    finally:
        server.kill()
    synced = acknowledgements(server.trace.read_text(errors="replace"))
    assert len(synced) >= load.statuses[201] + 5, "not every acknowledgement is in the trace"
    if synchronous == "FULL":
        figure("power", "unsynced", synced.count(False), len(synced))
    else:
        assert synced.count(False) > len(synced) / 2
