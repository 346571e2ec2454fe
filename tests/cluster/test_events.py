"""Events between processes: everywhere, in order, once; and when a process goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from deploy.cluster import Process
from tests.cluster.conftest import Installed
from tests.faults import form
from tests.faults.checker import finish
from tests.faults.figures import figure
from tests.faults.follower import Follower
from tests.faults.load import Lives, Load, Speakers
from tests.faults.reads import Reads
from tests.faults.recorder import OK, Client, Logged, Operation, Session, check_delivery, read_log
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Socket
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

    def insist(self, client: Client, method: str, path: str, body: Any = None) -> Operation | None:
        done = self.send(client, method, path, body)
        return done if done.outcome == OK else None


def writers(cluster: Installed, alice: Person, bob: Person, threads: int) -> tuple[Once, Once]:
    """Both at the gateway, with one history; `threads` are hers."""
    hers = Once(alice, threads, cluster.url)
    return hers, Once(bob, 1, cluster.url, hers.history)


def go_on(loads: Iterable[Load], count: int) -> None:
    """Until each of them was served so often."""
    for load in loads:
        load.go_on(count, 200 if isinstance(load, Reads) else 201)


def check_lives(
    followers: list[Follower], cluster: Installed, row: str, loads: Sequence[Load], tries: int
) -> None:
    """No request failed, each change was made once, and everybody heard of their own once."""
    history, database = loads[0].history, cluster.settings["DATABASE_URL"]
    since = min(one.session.base for one in followers)
    log = finish(row, history, followers, cluster.instance, database, tries=tries, since=since)
    statuses = sum((Counter(one.statuses) for one in loads), Counter())
    failed = sum(count for status, count in statuses.items() if status not in (200, 201))
    print([(one.method, one.path, one.status) for load in loads for one in load.refused[:3]])
    figure(row, "failed", failed, sum(statuses.values()))
    sent = Counter(one.method for one in history.operations if one.outcome == OK)
    people = {one.person.id for one in followers}
    kinds = Counter(
        one.type
        for one in log
        if one.type.startswith("task_") and any(one.may_see(who, "member") for who in people)
    )
    assert kinds == {
        "task_created": sent["POST"],
        "task_status_changed": sent["PATCH"],
        "task_deleted": sent["DELETE"],
    }


@pytest.mark.fault("process")
def test_its_process_dies(cluster: Installed, notifications: list[Process]) -> None:
    """The clients of a killed process go on at the gateway, which finds another."""
    alice, bob = accounts.people(cluster.url, "Alice", "Bob")
    followers = [Follower(transport, cluster.url, alice) for transport in TRANSPORTS]
    followers.append(Follower("sse", cluster.url, bob))
    hers, his = loads = writers(cluster, alice, bob, 2)
    with hers, his:
        for tries in form.rounds("a process of many", short=2, long=20, share=0.08):
            go_on(loads, 5)
            victim = notifications[tries % len(notifications)]
            victim.kill()
            go_on(loads, 5)
            victim.start()
        go_on(loads, 5)
    check_lives(followers, cluster, "process", loads, tries)
    away = [seconds for one in followers for seconds in one.away]
    assert away, "nobody was connected to a process that was killed"
    figure("process", "back", max(away), len(away))


@pytest.mark.fault("process")
def test_no_request_fails_when_its_process_is_killed(
    cluster: Installed, tasks: list[Process]
) -> None:
    """`kill -9` of one process after the other: the gateway sends what they were at to another."""
    alice, bob = accounts.people(cluster.url, "Alice", "Bob")
    followers = [Follower("sse", cluster.url, alice), Follower("gin", cluster.url, bob)]
    hers, his = loads = writers(cluster, alice, bob, 4)
    with hers, his:
        for tries in form.rounds("the process of a request", short=2, long=20, share=0.08):
            process = tasks[tries % len(tasks)]
            go_on(loads, 3)
            process.kill()
            go_on(loads, 3)
            process.start()
        go_on(loads, 3)
    check_lives(followers, cluster, "process", loads, tries)


@pytest.mark.fault("rolling")
@pytest.mark.timeout(300)
def test_rolling_restart(cluster: Installed) -> None:
    """One process after the other, under load: no request fails, nobody misses anything.

    Of every service: meanwhile somebody signs in and asks for the profile, again and again, and
    writes by a socket, asking again for what was not acknowledged when that was cut.
    """
    alice, bob = accounts.people(cluster.url, "Alice", "Bob")
    followers = [Follower(transport, cluster.url, alice) for transport in TRANSPORTS]
    followers.append(Follower("sse", cluster.url, bob))
    hers = Once(alice, 2, cluster.url)
    spoken = Speakers(bob, 1, cluster.url, hers.history)
    reads = Reads(bob, 1, cluster.url, signing_in=True)
    loads = (hers, spoken, reads)
    exits: list[float] = []
    codes: list[int] = []
    with hers, spoken, reads:
        for _ in form.rounds("through all processes", short=1, long=5, share=0.13):
            for process in cluster.processes:
                go_on(loads, 5)
                began = time.monotonic()
                codes.append(process.stop())
                exits.append(time.monotonic() - began)
                go_on(loads, 5)
                process.start()
        go_on(loads, 5)
    check_lives(followers, cluster, "rolling", (hers, reads), len(exits))
    away = [seconds for one in followers for seconds in one.away]
    figure("rolling", "back", max(away), len(away))
    figure("rolling", "exit", max(exits), len(exits))
    figure("rolling", "code", sum(code != 0 for code in codes), len(codes))
