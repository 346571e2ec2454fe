"""Events between processes: everywhere, in order, once; and when a process goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from deploy.cluster import Process
from tests.cluster.conftest import Installed
from tests.faults import form
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import Lives, Load
from tests.faults.recorder import (
    OK,
    Logged,
    Operation,
    Session,
    check_delivery,
    keep,
    read_log,
)
from tests.support import accounts
from tests.support.clients import Rest, Socket
from tests.support.readers import TRANSPORTS, Reader, connect
from tests.support.snapshots import snapshot


def log_of(cluster: Installed, since: int) -> list[Logged]:
    log = read_log(cluster.instance, cluster.settings["DATABASE_URL"])
    return [one for one in log if one.seq > since]


def check(cluster: Installed, session: Session, reader: Reader) -> None:
    """Each event since the session began reached it, once, in order."""
    log = log_of(cluster, session.base)
    mine = [one.seq for one in log if one.may_see(session.user_id, session.role)]
    reader.until_seq(mine[-1])
    session.seen += reader.events
    check_delivery(log, session, log[-1].seq)


def test_every_process_tells_everything(
    cluster: Installed, notifications: list[Process], tasks: list[Process]
) -> None:
    """Writers on both tasks processes, one reader of each transport on each of the others."""
    alice = accounts.register(cluster.url, "Alice")
    _, seq, epoch = snapshot("sse", cluster.url, alice)
    readers = [
        connect(transport, process.url, alice, since=seq, epoch=epoch)
        for process in notifications
        for transport in TRANSPORTS
    ]
    with Load(alice, 2, tasks[0].url) as one, Load(alice, 2, tasks[1].url) as two:
        one.go_on(25)
        two.go_on(25)
    for reader in readers:
        check(cluster, Session(alice.id, "member", seq), reader)
        reader.close()
    assert set(one.statuses) | set(two.statuses) == {201}


def test_counts_over_all_processes(
    cluster: Installed,
    notifications: list[Process],
    listen: Callable[..., Socket],
    settled: Callable[..., None],
) -> None:
    """`connectedClients`, `recipients`; and the broadcast, whichever process a client is on."""
    boss = accounts.sign_in(cluster.url, "admin", cluster.admin_password)
    settled()
    before = boss.rest.get("/health").json()["connectedClients"]
    sockets = [listen(boss, one.url) for one in notifications]
    settled()
    assert boss.rest.get("/health").json()["connectedClients"] == before + len(sockets)
    message = {"type": "note", "data": {"n": 1}}
    assert boss.rest.post("/api/broadcast", message).json()["recipients"] >= len(sockets)
    for socket in sockets:
        came = socket.wait_for("broadcast")
        assert {"type": came["type"], "data": came["data"]} == message


class Once(Lives):
    """Sends nothing twice: what fails has failed."""

    def insist(self, client: Rest, method: str, path: str, body: Any = None) -> Operation | None:
        done = self.send(client, method, path, body)
        return done if done.outcome == OK else None

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status not in (200, 201))


def check_lives(followers: list[Follower], cluster: Installed, row: str, load: Once) -> None:
    """No request failed, each change was made once, and everybody heard of it once."""
    log = [
        follower.finish(cluster.instance, cluster.settings["DATABASE_URL"])
        for follower in followers
    ][-1]
    keep(row, load.history, log, [one.session for one in followers])
    figure(row, "failed", load.failed, sum(load.statuses.values()))
    figure(row, "events", sum(one.wrong(log) for one in followers), len(followers))
    sent = Counter(one.method for one in load.history.operations)
    base = min(one.session.base for one in followers)
    kinds = Counter(
        one.type
        for one in log
        if one.seq > base and one.type.startswith("task_") and one.may_see(load.person.id, "member")
    )
    assert kinds == {
        "task_created": sent["POST"],
        "task_status_changed": sent["PATCH"],
        "task_deleted": sent["DELETE"],
    }


@pytest.mark.fault("process")
def test_its_process_dies(cluster: Installed, notifications: list[Process]) -> None:
    """The clients of a killed process go on at the gateway, which finds another."""
    alice = accounts.register(cluster.url, "Alice")
    followers = [Follower(transport, cluster.url, alice) for transport in TRANSPORTS]
    with Once(alice, 2, cluster.url) as load:
        for tries in form.rounds("a process of many", short=2, long=30, share=0.05):
            load.go_on(10)
            victim = notifications[tries % len(notifications)]
            victim.kill()
            load.go_on(10)
            victim.start()
        load.go_on(10)
    check_lives(followers, cluster, "process", load)
    away = [seconds for one in followers for seconds in one.away]
    assert away, "nobody was connected to a process that was killed"
    figure("process", "back", max(away), len(away))


@pytest.mark.fault("process")
def test_no_request_fails_when_its_process_is_killed(
    cluster: Installed, tasks: list[Process]
) -> None:
    """`kill -9` of one process after the other: the gateway sends what they were at to another."""
    alice = accounts.register(cluster.url, "Alice")
    followers = [Follower("sse", cluster.url, alice)]
    with Once(alice, 4, cluster.url) as load:
        for tries in form.rounds("the process of a request", short=2, long=30, share=0.05):
            process = tasks[tries % len(tasks)]
            load.go_on(5)
            process.kill()
            load.go_on(5)
            process.start()
        load.go_on(5)
    check_lives(followers, cluster, "process", load)


@pytest.mark.fault("rolling")
def test_rolling_restart(cluster: Installed) -> None:
    """One process after the other, under load: no request fails, nobody misses anything."""
    alice = accounts.register(cluster.url, "Alice")
    # (Nobody stands in for the one process of users.)
    processes = cluster.of("tasks") + cluster.of("notifications")
    followers = [Follower(transport, cluster.url, alice) for transport in TRANSPORTS]
    exits: list[float] = []
    codes: list[int] = []
    with Once(alice, 2, cluster.url) as load:
        for _ in form.rounds("through all processes", short=1, long=10, share=0.1):
            for process in processes:
                load.go_on(10)
                began = time.monotonic()
                codes.append(process.stop())
                exits.append(time.monotonic() - began)
                load.go_on(10)
                process.start()
        load.go_on(10)
    check_lives(followers, cluster, "rolling", load)
    away = [seconds for one in followers for seconds in one.away]
    figure("rolling", "back", max(away), len(away))
    figure("rolling", "exit", max(exits), len(exits))
    figure("rolling", "code", sum(code != 0 for code in codes), len(codes))
