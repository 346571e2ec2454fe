"""`kill -9` at random moments under load: nothing acknowledged is lost, nobody misses an event,
and what is asked again with its key is done once."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import form
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import Lives
from tests.faults.recorder import OK, Logged, keep
from tests.support import accounts
from tests.support.readers import TRANSPORTS
from tests.support.server import Server
from tests.support.snapshots import snapshot

KILLS = 10  # of one server, before all is checked
WRITERS = 3
LATEST = 0.25  # seconds from the second task since the last start to the next kill, at most


def made_twice(log: list[Logged]) -> int:
    """Tasks beyond the first of a title: each was asked for under one key."""
    titles = Counter(one.data["title"] for one in log if one.type == "task_created")
    return sum(count - 1 for count in titles.values())


def kill_again_and_again(server: Server, load: Lives, dice: random.Random) -> None:
    pause = threading.Event()
    for _ in range(KILLS):
        load.go_on(2)
        pause.wait(dice.uniform(0, LATEST))
        server.restart()
    load.go_on(10)


@pytest.mark.fault("killed")
@pytest.mark.timeout(180)
def test_killed(start: Callable[..., Server], tmp_path: Path) -> None:
    dice = form.chance("killed")
    for number in form.rounds(f"{KILLS} times kill -9", short=1, long=20, share=0.25):
        server = start(tmp_path / str(number))
        alice = accounts.register(server.url, "Alice")
        transports = dice.sample(TRANSPORTS, 2)
        followers = [Follower(transport, server.url, alice) for transport in transports]
        with Lives(alice, WRITERS) as load:
            kill_again_and_again(server, load, dice)
        log = [follower.finish(server.instance) for follower in followers][-1]
        keep("killed", load.history, log, [one.session for one in followers])
        final, _, _ = snapshot("sse", server.url, alice)
        acknowledged = sum(one.outcome == OK for one in load.history.operations)
        print(f"{acknowledged} acknowledged writes, {load.again} asked again, {len(log)} events")
        assert load.again, "no kill came amid a request"
        figure("killed", "lost", len(load.history.lost(final)), KILLS)
        figure("killed", "torn", len(load.history.torn(log)), KILLS)
        figure("killed", "events", sum(one.wrong(log) for one in followers), KILLS)
        figure("killed", "twice", made_twice(log), KILLS)
        load.history.check(final, log)
        assert server.stop() == 0
        assert "Traceback" not in server.log
