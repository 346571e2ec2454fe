"""Anything people can do, in any order, while their clients come and go on every transport; then
FAULTS' checker over the whole run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.faults import form
from tests.faults.recorder import Recorder, Session, check_delivery, keep, read_log
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.readers import TRANSPORTS, Reader, connect
from tests.support.server import Server

WHO, WHICH = st.integers(0, 2), st.integers(0, 7)
TRANSPORT = st.sampled_from(TRANSPORTS)
SHORT, LONG = (8, 20), (100, 30)  # runs, and steps of each
titles = (f"Title {number}" for number in itertools.count())


class Client:
    """A person's client over all its connections, now on one transport, now on another."""

    def __init__(self, url: str, person: Person, role: str, transport: str) -> None:
        self.url, self.person = url, person
        self.reader: Reader | None = connect(transport, url, person)
        ready = self.reader.notice("ready")
        self.epoch, self.taken, self.resyncs = ready["epoch"], 0, 0
        self.session = Session(person.id, role, ready["seq"])

    def harvest(self) -> None:
        if self.reader is not None:
            came = self.reader.events[self.taken :]
            self.taken += len(came)
            self.session.seen += came

    def cut(self) -> None:
        if self.reader is not None:
            self.reader.close()
            self.harvest()
            self.reader = None

    def resume(self, transport: str, role: str) -> None:
        if self.reader is None:
            where = {"since": self.session.position, "epoch": self.epoch}
            self.reader = connect(transport, self.url, self.person, **where)
            self.taken = self.resyncs = 0
            assert ("resync" in dict(self.reader.notices)) == (
                self.session.role != role or self.stale
            )
            self.stale = False
            if "resync" in dict(self.reader.notices):
                self.resync(self.reader.notice("resync")["seq"], role, [])

    stale = False  # the role changed while it was away, perhaps there and back

    def role_changed(self, role: str, log: list[Any]) -> None:
        if self.reader is None:
            self.stale = True
            return
        told = self.reader.notice("resync", count=self.resyncs + 1)
        self.harvest()
        self.resync(told["seq"], role, log)

    def resync(self, seq: int, role: str, log: list[Any]) -> None:
        """Up to here it must have had all; from here on it has another list."""
        if log:
            check_delivery(log, self.session, seq)
        self.resyncs += 1
        self.session.rebase(seq, role)


class World(RuleBasedStateMachine):
    server: Server
    root: Person
    crew: list[Person]

    def __init__(self) -> None:
        super().__init__()
        self.history = Recorder()
        self.tasks: list[int] = []
        self.began = max((one.seq for one in read_log(self.server.instance)), default=0)
        self.roles = ["member"] * len(self.crew)
        for person in self.crew:  # as the run before left them
            self.root.rest.put(f"/users/{person.id}", {"role": "member"})
        self.clients = [
            Client(self.server.url, person, "member", transport)
            for person, transport in zip(self.crew, ("socketio", "sse", "gin"), strict=True)
        ]

    def send(self, who: int, method: str, path: str, body: Any = None) -> Any:
        done = self.history.send(self.crew[who], method, path, body)
        assert done.outcome != "unknown", done
        return done

    @rule(who=WHO, to=st.one_of(st.none(), WHO))
    def create(self, who: int, to: int | None) -> None:
        body: dict[str, Any] = {"title": next(titles)}
        if to is not None:
            body["assigned_to"] = self.crew[to].id
        self.tasks.append(self.send(who, "POST", "/tasks", body).task_id)

    @rule(
        who=WHO,
        which=WHICH,
        body=st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from(["todo", "in_progress", "completed"]),
                "priority": st.sampled_from(["low", "high"]),
                "description": st.sampled_from([None, "Deep"]),
            },
        ),
    )
    @precondition(lambda self: self.tasks)
    def change(self, who: int, which: int, body: dict[str, Any]) -> None:
        self.send(who, "PATCH", self.path(which), body)

    @rule(who=WHO, which=WHICH, to=st.one_of(st.none(), WHO))
    @precondition(lambda self: self.tasks)
    def assign(self, who: int, which: int, to: int | None) -> None:
        assignee = None if to is None else self.crew[to].id
        self.send(who, "PATCH", self.path(which), {"assigned_to": assignee})

    @rule(who=WHO, which=WHICH, to=WHO)
    @precondition(lambda self: self.tasks)
    def hand_over(self, who: int, which: int, to: int) -> None:
        self.send(who, "PATCH", self.path(which), {"user_id": self.crew[to].id})

    @rule(who=WHO, which=WHICH)
    @precondition(lambda self: self.tasks)
    def delete(self, who: int, which: int) -> None:
        self.send(who, "DELETE", self.path(which))

    def path(self, which: int) -> str:
        return f"/tasks/{self.tasks[-1 - which % len(self.tasks)]}"

    @rule(who=WHO, role=st.sampled_from(["admin", "member"]))
    def change_role(self, who: int, role: str) -> None:
        if self.roles[who] != role:
            self.roles[who] = role
            answer = self.root.rest.put(f"/users/{self.crew[who].id}", {"role": role})
            assert answer.status_code == 200, answer.text
            self.clients[who].role_changed(role, read_log(self.server.instance))

    @rule(who=WHO)
    def cut(self, who: int) -> None:
        self.clients[who].cut()

    @rule(who=WHO, transport=TRANSPORT)
    def resume(self, who: int, transport: str) -> None:
        self.clients[who].resume(transport, self.roles[who])

    def teardown(self) -> None:
        for who, client in enumerate(self.clients):
            client.resume(TRANSPORTS[who], self.roles[who])
        assert self.root.rest.post("/broadcast", {"type": "over"}).status_code == 200
        log = read_log(self.server.instance)
        for client in self.clients:
            assert client.reader is not None
            client.reader.until_seq(log[-1].seq)
            client.cut()
        sessions = [client.session for client in self.clients]
        keep("stateful", self.history, [one for one in log if one.seq > self.began], sessions)
        for session in sessions:
            check_delivery(log, session, log[-1].seq)
        final = {task["id"]: task for task in self.root.rest.get("/tasks?limit=1000").json()}
        self.history.check(final, log)
        for person, role in zip(self.crew, self.roles, strict=True):
            seen = {task["id"] for task in person.rest.get("/tasks?limit=1000").json()}
            mine = {
                task["id"]
                for task in final.values()
                if person.id in (task["user_id"], task["assigned_to"])
            }
            assert seen == (set(final) if role == "admin" else mine)


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[World]]:
    running = Server(tmp_path_factory.mktemp("stateful")).start()
    try:
        World.server, World.root = running, accounts.admin(running)
        World.crew = accounts.people(running.url, "Alice", "Bob", "Charlie")
        yield World
        assert running.stop() == 0
        assert "Traceback" not in running.log, running.log
    finally:
        running.kill()


def test_whatever_happens(world: type[World]) -> None:
    """Whatever SEED draws: the same for the same seed, as far as the answers are."""
    runs, steps = LONG if form.SOAK else SHORT
    drawn = seed(form.chance("stateful").getrandbits(64))(world)
    run_state_machine_as_test(
        drawn, settings=settings(max_examples=runs, stateful_step_count=steps, deadline=None)
    )
