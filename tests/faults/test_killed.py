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
from tests.faults.checker import finish
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import Lives, Speakers
from tests.faults.recorder import OK, Logged
from tests.support import accounts
from tests.support.readers import TRANSPORTS
from tests.support.server import Server

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
    for number in form.rounds(f"{KILLS} times kill -9", short=1, long=20, share=0.12):
        server = start(tmp_path / str(number))
        alice, bob = accounts.people(server.url, "Alice", "Bob")
        transports = dice.sample(TRANSPORTS, 3)
        followers = [
            Follower(transport, server.url, person)
            for transport, person in zip(transports, (alice, alice, bob), strict=True)
        ]
        with Lives(alice, WRITERS) as load, Speakers(bob, 1, history=load.history) as spoken:
            kill_again_and_again(server, load, dice)
            spoken.go_on(2)
        log = finish("killed", load.history, followers, server.instance, tries=KILLS)
        acknowledged = sum(one.outcome == OK for one in load.history.operations)
        again = load.again + spoken.again
        print(f"{acknowledged} acknowledged writes, {again} asked again, {len(log)} events")
        assert load.again, "no kill came amid a request"
        figure("killed", "twice", made_twice(log), KILLS)
        assert server.stop() == 0
        assert "Traceback" not in server.log
