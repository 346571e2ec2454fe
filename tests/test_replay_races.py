"""What happens to a client while it is brought up to date.

The client polls (`Polling`), so the replay stands still between two polls, for as long as a slow
reader is given; whatever the test is about happens then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from task_app.access import SYSTEM
from task_app.commands import execute
from tests.faults.recorder import read_log
from tests.support import accounts, databases, statements
from tests.support.accounts import Person
from tests.support.polling import Polling
from tests.support.server import Server

# So many events that the replay is not over when the client has taken its first: of short ones a
# queue takes 256 at most; of long ones 18, which is in the middle of what is read at a time.
SHORT, LONG = (350, ""), (60, "\x01" * 9_000)  # of six characters each, once encoded
HELD = pytest.mark.parametrize(("count", "description"), [SHORT, LONG], ids=["short", "long"])


def bulk(person: Person, count: int, description: str = "") -> None:
    """Make tasks, in commits of 15 long or 350 short ones."""
    create = {"op": "create", "data": {"title": "One of many", "description": description}}
    for _ in range(count // 15 if description else 1):
        body = {"operations": [create] * (15 if description else count)}
        assert person.rest.post("/tasks/bulk", body).status_code == 200


def position(person: Person) -> dict[str, Any]:
    headers = person.rest.get("/tasks?limit=1").headers
    return {"since": int(headers["X-Event-Seq"]), "epoch": headers["X-Event-Epoch"]}


def own(server: Server, person: Person, since: int) -> list[int]:
    """The seq of each event about this person's own tasks."""
    return [
        one.seq
        for one in read_log(server.instance, after=since)
        if one.type == "task_created" and one.data["user_id"] == person.id
    ]


def set_role(admin: Person, person: Person, role: str) -> None:
    assert admin.rest.put(f"/users/{person.id}", {"role": role}).status_code == 200


@HELD
def test_demoted_during_a_replay(
    server: Server, admin: Person, people: tuple[Person, ...], count: int, description: str
) -> None:
    """From `resync` on it has what a member may see: all of that, and nothing else."""
    alice, bob, _ = people
    set_role(admin, bob, "admin")
    where = position(bob)
    bulk(alice, count, description)
    client = Polling(server)
    greeting = client.begin(bob, **where)
    assert len(client.tasks()) < count
    set_role(admin, bob, "member")
    told = position(bob)["since"]  # from here on nothing may be missed
    alice.rest.new_task("Hidden")
    missed = bob.rest.new_task("While the replay still stands")
    client.take("ready")
    alice.rest.new_task("Hidden too")
    live = bob.rest.new_task("Live")
    client.take("task_created", len(client.tasks()) + 1)
    assert greeting.finish() is None
    after = [
        body for name, body in client.events[names(client).index("resync") :] if "task" in body
    ]
    assert [one["task"] for one in after] == [missed["id"], live["id"]]
    resync = dict(client.events)["resync"]
    assert (resync["reason"], resync["seq"]) == ("sight_changed", told)


def names(client: Polling) -> list[str]:
    return [name for name, _ in client.events]


def test_promoted_during_a_replay(
    server: Server, admin: Person, people: tuple[Person, ...]
) -> None:
    """After `resync` everything, others' as well, though the list was read at once."""
    alice, bob, _ = people
    where = position(bob)
    bulk(bob, SHORT[0])
    client = Polling(server)
    greeting = client.begin(bob, **where)
    set_role(admin, bob, "admin")
    listed = position(bob)["since"]
    expected = [alice.rest.new_task("Now in sight")["id"], bob.rest.new_task()["id"]]
    client.take("ready")
    greeting.finish()
    expected.append(alice.rest.new_task("Live")["id"])
    while client.events[-1][1].get("task") != expected[-1]:
        client.take("task_created", names(client).count("task_created") + 1)
    start = names(client).index("resync")
    after = [body for name, body in client.events[start:] if name == "task_created"]
    mine = {alice.id, bob.id}
    assert [one["task"] for one in after if one["user_id"] in mine] == expected
    assert all(one["seq"] > listed for one in after)


def test_token_renewed_while_the_first_replay_runs(server: Server, alice: Person) -> None:
    where = position(alice)
    bulk(alice, SHORT[0])
    client = Polling(server)
    greeting = client.begin(alice, **where)
    renewal = client.emit("authenticate", {"token": alice.token})
    while names(client).count("ready") < 2:
        bulk(alice, 2)  # between two polls of what waits
        client.take("task_created", names(client).count("task_created") + 1)
    greeting.finish()
    renewal.finish()
    bulk(alice, 5)
    wanted = own(server, alice, where["since"])
    client.take("task_created", len(wanted))
    assert client.tasks() == wanted


def test_token_renewed_while_catching_up(server: Server, alice: Person) -> None:
    """It had no room for a burst.  What `ready` says meanwhile is not past what it was given:
    who is cut off then comes back from there."""
    where = position(alice)
    client = Polling(server)
    client.connect(alice)
    for _ in range(2):  # the first fills the queue, so that the second finds it fallen behind
        bulk(alice, SHORT[0])
    renewal = client.emit("authenticate", {"token": alice.token})
    client.take("ready")
    told = names(client).index("ready")
    ready = client.events[told][1]
    given = [body["seq"] for name, body in client.events[:told] if name == "task_created"]
    renewal.finish()
    bulk(alice, 5)
    wanted = own(server, alice, where["since"])
    client.take("task_created", len(wanted))
    assert client.tasks() == wanted
    assert [seq for seq in wanted if seq <= ready["seq"]] == given


def test_another_person_signs_in_during_a_replay(
    server: Server, people: tuple[Person, ...]
) -> None:
    """Nothing of the first one's comes after the second one's `ready`; and hers is whole."""
    alice, bob, _ = people
    where = position(alice)
    bulk(alice, SHORT[0])
    client = Polling(server)
    greeting = client.begin(alice, **where)
    takeover = client.emit("authenticate", {"token": bob.token, **where})
    bulk(bob, 5)
    while bob.id not in [body["user_id"] for name, body in client.events if name == "ready"]:
        client.take("ready", names(client).count("ready") + 1)
    greeting.finish()
    takeover.finish()
    alice.rest.new_task()
    bulk(bob, 5)
    wanted = own(server, bob, where["since"])
    his = [body["seq"] for _, body in client.events if body.get("user_id") == bob.id]
    while len(his) < len(wanted) + 1:  # and `ready`
        client.take("task_created", names(client).count("task_created") + 1)
        his = [body["seq"] for _, body in client.events if body.get("user_id") == bob.id]
    events = [body for name, body in client.events if name == "task_created"]
    owners = [body["user_id"] for body in events]
    assert owners == sorted(owners, key=[alice.id, bob.id].index)
    assert [body["seq"] for body in events if body["user_id"] == bob.id] == wanted


def test_pruned_during_a_replay(start: Callable[..., Server], tmp_path: Path) -> None:
    """What came is the beginning of all there was; then `resync`, then the live feed."""
    server = start(tmp_path)
    alice = accounts.register(server.url, "Alice")
    where = position(alice)
    bulk(alice, SHORT[0])
    wanted = own(server, alice, where["since"])
    client = Polling(server)
    greeting = client.begin(alice, **where)
    databases.run(tmp_path, "UPDATE events SET created_at = '2001-01-01T00:00:00.000000Z'")
    with statements.prepared(tmp_path).app_context():
        assert execute(SYSTEM, "server.prune", {}).body["floor"] == wanted[-1]
    client.take("resync")
    came = client.tasks()
    assert came == wanted[: len(came)] and came != wanted
    resync = dict(client.events)["resync"]
    assert (resync["reason"], resync["seq"]) == ("too_old", wanted[-1])
    client.take("ready")
    greeting.finish()
    live = alice.rest.new_task()
    client.take("task_created", len(came) + 1)
    assert client.events[-1][1]["task"] == live["id"]
    assert server.stop() == 0
