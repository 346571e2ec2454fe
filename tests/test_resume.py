"""Cut off at any moment, and back: exactly what was missed, in order, each once, then live."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.faults.recorder import Recorder, Session, check_delivery, check_fold, read_log
from tests.support.accounts import Person
from tests.support.readers import TRANSPORTS, Reader, connect, dial
from tests.support.server import Server
from tests.support.snapshots import Background, snapshot

ROUNDS = 30


def write(history: Recorder, alice: Person, bob: Person, number: int) -> None:
    """Alice's tasks come into Bob's sight and leave it again."""
    for i in range(ROUNDS):
        title = f"{alice.username}-{bob.username}-{number}-{i}"
        task = history.send(alice, "POST", "/tasks", {"title": title}).task_id
        for body in ({"assigned_to": bob.id}, {"status": "in_progress"}, {"done": True}):
            history.send(alice, "PATCH", f"/tasks/{task}", body)
        if i % 3 == 0:
            history.send(alice, "PATCH", f"/tasks/{task}", {"assigned_to": None})
        if i % 3 == 1:
            history.send(alice, "DELETE", f"/tasks/{task}")


def cut_and_resume(reader: Reader, transport: str, url: str, session: Session, bob: Person) -> Any:
    """Lose the connection; come back from the last event that came."""
    reader.close()
    session.seen += reader.events
    return connect(transport, url, bob, since=session.position, epoch=ready_epoch(reader))


def ready_epoch(reader: Reader) -> str:
    return str(reader.notice("ready")["epoch"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cut_off_amid_writes(server: Server, people: tuple[Person, ...], transport: str) -> None:
    """List, subscribe from there, be cut off again and again while others write."""
    alice, bob, charlie = people
    alice.rest.new_task("From before", assigned_to=bob.id)
    before, seq, epoch = snapshot(transport, server.url, bob)
    session, history = Session(bob.id, "member", seq), Recorder()
    writers = [
        Background(write, history, alice, bob, 1),
        Background(write, history, charlie, bob, 2),
        Background(write, history, charlie, alice, 3),  # none of Bob's business
    ]
    reader = connect(transport, server.url, bob, since=seq, epoch=epoch)
    for enough in (5, 1, 20):
        reader.wait(lambda enough=enough, now=reader: len(now.events) >= enough)
        reader = cut_and_resume(reader, transport, server.url, session, bob)
    for writer in writers:
        writer.finish()
    last = alice.rest.new_task("The last", assigned_to=bob.id)
    reader.until(last["id"])
    session.seen += reader.events
    check_delivery(read_log(server.instance, after=seq), session, session.position)
    check_fold(before, session.seen, snapshot(transport, server.url, bob)[0])
    assert {one.outcome for one in history.operations} == {"ok"}
    reader.close()


def bulk(person: Person, count: int, **fields: Any) -> list[int]:
    """Make so many tasks in one commit; their ids."""
    create = {"op": "create", "data": {"title": "One of many", **fields}}
    answer = person.rest.post("/tasks/bulk", {"operations": [create] * count})
    assert answer.status_code == 200, answer.text
    return [result["id"] for result in answer.json()["results"]]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_thousand_missed(server: Server, people: tuple[Person, ...], transport: str) -> None:
    """More than may wait for one client, among as many that it may not see."""
    alice, bob, charlie = people
    reader = connect(transport, server.url, bob)
    start = reader.notice("ready")
    reader.close()
    missed = []
    for _ in range(2):
        bulk(charlie, 250)
        missed += bulk(alice, 500, assigned_to=bob.id)
    reader = connect(transport, server.url, bob, since=start["seq"], epoch=start["epoch"])
    live = alice.rest.new_task(assigned_to=bob.id)
    reader.until_seq(reader.until(live["id"]).seq + 1)  # its notice comes after it
    created = [one for one in reader.events if one.kind == "task_created"]
    assert [one.task_id for one in created] == [*missed, live["id"]]
    ready = reader.notice("ready")
    assert ready["replayed"] == len(reader.events) - 2 == 2000
    assert (ready["epoch"], ready["user_id"]) == (start["epoch"], bob.id)
    assert reader.events[-3].seq <= ready["seq"] < created[-1].seq
    session = Session(bob.id, "member", start["seq"], reader.events)
    check_delivery(read_log(server.instance, after=session.base), session, created[-1].seq)
    reader.close()


CHANGES, AT_ONCE = 1000, 100  # in all, and in one commit
CUTS = 6
CHANGED: tuple[dict[str, Any], ...] = (
    {"status": "in_progress"},
    {"due_date": "2030-01-01", "priority": "high"},
    {"done": True},
    {"assigned_to": None},
)


def change(task: int, number: int) -> dict[str, Any]:
    """One of five: it moves, is put off, is done, leaves the assignee's sight, is gone."""
    if number % 5 == 4:
        return {"op": "delete", "id": task}
    return {"op": "update", "id": task, "data": CHANGED[number % 5]}


def a_thousand_changes(alice: Person, bob: Person) -> None:
    for _ in range(0, CHANGES, AT_ONCE):
        made = bulk(alice, AT_ONCE // 2, assigned_to=bob.id)
        changes = [change(task, number) for number, task in enumerate(made)]
        answer = alice.rest.post("/tasks/bulk", {"operations": changes})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cut_off_at_any_moment(server: Server, people: tuple[Person, ...], transport: str) -> None:
    """A thousand changes are made, beside as many that are none of its business; it is cut off
    wherever chance has it, in the live feed or in the middle of a replay, and once for so long
    that it misses the rest.  Then it holds what a fresh list shows, and has seen each change that
    it may see once and no other."""
    alice, bob, charlie = people
    chance = random.Random(f"{transport} {bob.username}")
    before, seq, epoch = snapshot(transport, server.url, bob)
    session, url = Session(bob.id, "member", seq), server.url
    writers = [Background(a_thousand_changes, *pair) for pair in ((alice, bob), (charlie, charlie))]
    for cut in range(CUTS):
        reader = dial(transport, url, bob, since=session.position, epoch=epoch)
        enough = chance.randint(1, CHANGES // CUTS)
        reader.wait(lambda enough=enough, now=reader: len(now.events) >= enough)
        reader.close()
        session.seen += reader.events
        if cut == CUTS - 2:
            for writer in writers:
                writer.finish()
    reader = connect(transport, url, bob, since=session.position, epoch=epoch)
    last = alice.rest.new_task("The last", assigned_to=bob.id)
    reader.until(last["id"])
    session.seen += reader.events
    log = read_log(server.instance, after=seq)
    assert len([one for one in log if one.type.startswith("task_")]) > 2 * CHANGES
    check_delivery(log, session, session.position)
    check_fold(before, session.seen, snapshot(transport, url, bob)[0])
    reader.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_burst_reaches_live_readers(
    server: Server, people: tuple[Person, ...], transport: str
) -> None:
    """500 tasks in one commit are more than an outbox holds: every reader has them whole."""
    alice, bob, charlie = people
    readers = [connect(transport, server.url, person) for person in (alice, bob)]
    stranger = connect(transport, server.url, charlie)
    start = readers[0].notice("ready")["seq"]
    made = bulk(alice, 500, assigned_to=bob.id)
    for reader in readers:
        reader.until(made[-1])
        created = [one.task_id for one in reader.events if one.kind == "task_created"]
        assert created == made
        assert reader.ended is None and "resync" not in dict(reader.notices)
    own = charlie.rest.new_task()
    stranger.until(own["id"])
    assert [one.task_id for one in stranger.events] == [own["id"]]
    check_delivery(
        read_log(server.instance, after=start),
        Session(bob.id, "member", start, readers[1].events),
        readers[1].events[-1].seq,
    )
    for reader in (*readers, stranger):
        reader.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_without_a_position_only_what_is_new(server: Server, alice: Person, transport: str) -> None:
    alice.rest.new_task("Old")
    reader = connect(transport, server.url, alice)
    ready = reader.notice("ready")
    assert ready["replayed"] == 0 and ready["seq"] > 0
    new = alice.rest.new_task("New")
    reader.until(new["id"])
    assert [one.task_id for one in reader.events] == [new["id"]]
    reader.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_missed(server: Server, alice: Person, transport: str) -> None:
    _, seq, epoch = snapshot(transport, server.url, alice)
    reader = connect(transport, server.url, alice, since=seq, epoch=epoch)
    assert reader.notice("ready")["replayed"] == 0
    assert [name for name, _ in reader.notices if name != "message"] == ["ready"]
    reader.close()
