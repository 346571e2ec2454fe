"""Between a token's check at the door and the place in the feed: what can happen there.

In this process, because from outside the moment is too short to be met; everything is real but
the client, of whom nothing is needed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from flask import Flask

from task_app.access import SYSTEM, Actor
from task_app.commands import authenticate, execute
from task_app.dialects import NATIVE
from task_app.errors import AppError
from task_app.models.user import ADMIN
from task_app.realtime import replay
from task_app.realtime.feeds import feeds
from task_app.realtime.relay import relay
from task_app.realtime.replay import Position
from task_app.realtime.sse import Stream
from tests.support import statements
from tests.support.accounts import PASSWORD, unique
from tests.support.snapshots import Background

BOSS = Actor(1, "admin", ADMIN, "a session")
SHORT = 0.2  # seconds; long enough for what must not happen to happen


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = statements.prepared(tmp_path_factory.mktemp("instance"))
    with app.app_context():
        yield app


@pytest.fixture
def alice(app: Flask) -> str:
    """Her name."""
    name = unique("Alice")
    execute(SYSTEM, "user.register", {"username": name, "password": PASSWORD})
    return name


def token_of(name: str) -> str:
    body = {"username": name, "password": PASSWORD}
    return str(execute(SYSTEM, "user.login", body).body["access_token"])


@pytest.fixture
def stream() -> Iterator[Stream]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        found = Stream(NATIVE, ours)
        feeds.connect(found)
        yield found
        feeds.disconnect(found)


def told(stream: Stream) -> str:
    return "".join(stream.outbox.take(0) or ())


def update(actor: Actor, **change: Any) -> None:
    execute(BOSS, "user.update", change, target=actor.id)


def disable_and_enable(actor: Actor) -> None:
    update(actor, is_active=False)
    update(actor, is_active=True)


MEANWHILE: dict[str, Callable[[Actor], Any]] = {
    "logged out": lambda actor: execute(actor, "user.logout", {}),
    "another password": lambda actor: update(actor, password="another battery staple"),
    "disabled": lambda actor: update(actor, is_active=False),
    "disabled and enabled": disable_and_enable,
    "another role": lambda actor: update(actor, role="admin"),
    "deleted": lambda actor: execute(BOSS, "user.delete", {}, target=actor.id),
}
EVERY = pytest.mark.parametrize("change", MEANWHILE.values(), ids=MEANWHILE)


def check_put_out(stream: Stream) -> None:
    assert stream.ended and not stream.rooms
    assert stream not in feeds.connected
    assert stream not in set().union(*feeds.of_user.values(), *feeds.rooms.values())
    assert '{"reason":"unauthorized"}' in told(stream)


@EVERY
def test_between_the_door_and_admission(
    alice: str, stream: Stream, change: Callable[[Actor], Any]
) -> None:
    """The control event found no connection to end: it is not there yet."""
    actor = authenticate(token_of(alice))
    change(actor)
    with pytest.raises(AppError) as refused:
        replay.start(stream, actor, Position())
    assert refused.value.status == 401
    check_put_out(stream)


@EVERY
def test_between_the_check_of_a_new_token_and_its_renewal(
    alice: str, stream: Stream, change: Callable[[Actor], Any]
) -> None:
    replay.start(stream, authenticate(token_of(alice)), Position())
    again = authenticate(token_of(alice))
    change(again)
    if stream.ended:  # the event ended the connection already: no token brings it back
        told(stream)
    with pytest.raises(AppError) as refused:
        replay.renew(stream, again, Position())
    assert refused.value.status == 401
    assert stream.ended and not stream.rooms
    assert stream not in set().union(*feeds.of_user.values(), *feeds.rooms.values())


@pytest.mark.parametrize("resuming", [False, True])
def test_nobody_joins_between_a_number_and_its_delivery(
    app: Flask, alice: str, stream: Stream, resuming: bool
) -> None:
    """Whoever delivers moves `last_seq` on first.  Who joined there would believe to have had the
    event, and not be in its rooms when it is given out."""
    actor = authenticate(token_of(alice))
    where = Position(relay.last_seq) if resuming else Position()

    def start() -> None:
        with app.app_context():
            replay.start(stream, actor, where)

    with relay.lock:
        joining = Background(start)
        joining.join(SHORT)
        assert not stream.rooms
        task = execute(actor, "task.create", {"title": "Meanwhile"}).body
    joining.finish()
    assert stream.rooms
    # One that resumes is given it; one that does not learns from `ready` that it came too late.
    assert (f'"task":{task["id"]},' in told(stream)) == resuming
    assert stream.after == relay.last_seq


def test_nothing_twice_that_the_log_had_before_the_relay(alice: str, stream: Stream) -> None:
    """Who resumes reads the log, and may find there what this process has still to deliver: here
    as when another one has committed it."""
    actor = authenticate(token_of(alice))
    where = Position(relay.last_seq)
    task = execute(actor, "task.create", {"title": "From elsewhere"}).body
    relay.last_seq -= 1
    replay.start(stream, actor, where)
    assert stream.after == relay.last_seq + 1
    relay.catch_up()
    assert stream.after == relay.last_seq
    assert told(stream).count(f'"task":{task["id"]},') == 1
