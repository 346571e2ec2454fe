"""Events between processes: everywhere, in order, once; and when a process goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import requests

from deploy.cluster import Process
from tests.cluster.conftest import Installed
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.clients import Rest, Socket
from tests.support.load import Load
from tests.support.readers import TRANSPORTS, Reader, connect
from tests.support.recorder import Logged, Session, check_delivery, read_log
from tests.support.snapshots import snapshot

EXIT_SECONDS, BACK_SECONDS = 10, 5  # FAULTS


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


def resume(
    url: str, name: str, reader: Reader, session: Session, person: Person, epoch: str
) -> Any:
    """What a client does when its connection ends: come back with the last event it saw."""
    reader.until_ended()
    session.seen += reader.events
    return connect(name, url, person, since=session.position, epoch=epoch)


def test_its_process_dies(cluster: Installed, notifications: list[Process]) -> None:
    """The clients of a killed process go on at the gateway, which finds another."""
    alice = accounts.register(cluster.url, "Alice")
    _, seq, epoch = snapshot("sse", cluster.url, alice)
    victim = notifications[0]
    readers = {
        name: connect(name, victim.url, alice, since=seq, epoch=epoch) for name in TRANSPORTS
    }
    sessions = {name: Session(alice.id, "member", seq) for name in TRANSPORTS}
    with Load(alice, 2, cluster.url) as load:
        load.go_on(10)
        victim.kill()
        began = time.monotonic()
        for name, reader in readers.items():
            readers[name] = resume(cluster.url, name, reader, sessions[name], alice, epoch)
        back = time.monotonic() - began
        load.go_on(10)
    victim.start()
    for name, reader in readers.items():
        check(cluster, sessions[name], reader)
        reader.close()
    print(f"five clients back after {back * 1000:.0f} ms")
    assert back <= BACK_SECONDS
    assert set(load.statuses) == {201}


class Lives(Load):
    """Each writer takes one task after the other from its beginning to its end."""

    def _send(self, client: Rest, body: dict[str, str]) -> None:
        statuses: list[int | None] = []
        try:
            made = client.post("/tasks", body)
            statuses.append(made.status_code)
            path = f"/tasks/{made.json()['id']}"
            for method, change in (
                ("GET", None),
                ("PATCH", {"status": "in_progress"}),
                ("PUT", {"done": True}),
                ("DELETE", None),
            ):
                statuses.append(client.request(method, path, json=change).status_code)
        except (requests.RequestException, KeyError):
            statuses.append(None)
            client.session.close()
        with self.changed:
            self.statuses.update(statuses)
            self.changed.notify_all()


def check_lives(cluster: Installed, base: int, alice: Person, load: Lives) -> None:
    """No request failed, and each change was made once."""
    lives = load.statuses[201]
    assert load.statuses == {201: lives, 200: 4 * lives}, cluster.gateway.log
    kinds = Counter(
        one.type
        for one in log_of(cluster, base)
        if one.type.startswith("task_") and one.may_see(alice.id, "member")
    )
    made = {"task_created": lives, "task_status_changed": 2 * lives, "task_deleted": lives}
    assert kinds == made


def test_no_request_fails_when_its_process_is_killed(
    cluster: Installed, tasks: list[Process]
) -> None:
    """`kill -9` of one process after the other: the gateway sends what they were at to another."""
    alice = accounts.register(cluster.url, "Alice")
    _, seq, _ = snapshot("sse", cluster.url, alice)
    with Lives(alice, 4, cluster.url) as load:
        for process in tasks:
            load.go_on(5)
            process.kill()
            load.go_on(5)
            process.start()
        load.go_on(5)
    print(f"{sum(load.statuses.values())} requests, {len(tasks)} processes killed, none failed")
    check_lives(cluster, seq, alice, load)


def test_rolling_restart(cluster: Installed) -> None:
    """One process after the other, under load: no request fails, nobody misses anything."""
    alice = accounts.register(cluster.url, "Alice")
    _, seq, epoch = snapshot("sse", cluster.url, alice)
    session = Session(alice.id, "member", seq)
    reader = connect("sse", cluster.url, alice, since=seq, epoch=epoch)
    slowest = 0.0
    with Lives(alice, 2, cluster.url) as load:
        # (Nobody stands in for the one process of users.)
        for process in cluster.of("tasks") + cluster.of("notifications"):
            load.go_on(10)
            began = time.monotonic()
            assert process.stop() == 0
            slowest = max(slowest, time.monotonic() - began)
            load.go_on(10)
            process.start()
            if reader.ended:
                reader = resume(cluster.url, "sse", reader, session, alice, epoch)
        load.go_on(10)
    if reader.ended:
        reader = resume(cluster.url, "sse", reader, session, alice, epoch)
    check(cluster, session, reader)
    reader.close()
    print(f"{sum(load.statuses.values())} requests, none failed; slowest stop {slowest:.2f} s")
    check_lives(cluster, seq, alice, load)
    assert slowest <= EXIT_SECONDS
