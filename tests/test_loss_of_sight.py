"""Who may no longer see something is told so, or put out, on every transport and in time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from tests.faults.checker import conclude, finish_one
from tests.faults.figures import figure
from tests.faults.recorder import Recorder, Session, read_log
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.readers import TRANSPORTS, Reader, connect
from tests.support.server import Server
from tests.support.snapshots import snapshot

EVERY = pytest.mark.parametrize("transport", TRANSPORTS)
EXPIRY_SECONDS = 1.0  # what the server may take to notice that a token has expired
PATIENCE = 10.0  # seconds, for what should come sooner


def check_end(reader: Reader, transport: str, reason: str) -> None:
    """The connection is closed; a raw WebSocket's code and a stream's last event say why."""
    why = reader.until_ended(PATIENCE)
    if transport == "sse":
        assert reader.notice("end") == {"reason": reason}
    elif transport == "socketio":
        farewell = [body for name, body in reader.notices if name == "message"][-1]
        assert farewell == {"data": "Disconnected from the server"}
    else:
        assert why == 4401


@EVERY
def test_unassigned(server: Server, people: tuple[Person, ...], transport: str) -> None:
    alice, bob, _ = people
    reader = connect(transport, server.url, bob)
    task = alice.rest.new_task(assigned_to=bob.id)
    alice.rest.patch(f"/tasks/{task['id']}", {"assigned_to": None, "title": "Secret"})
    alice.rest.patch(f"/tasks/{task['id']}", {"title": "More of it"})
    marker = bob.rest.new_task()
    reader.until(marker["id"])
    about = [
        one
        for one in reader.events
        if one.task_id == task["id"] and one.kind != "notification_created"
    ]
    gone = "task_deleted" if transport == "channels" else "task_removed"
    assert [one.kind for one in about] == ["task_created", gone]
    assert "description" not in json.dumps(about[-1].body)  # its id is all that is told
    assert "Secret" not in json.dumps([one.body for one in reader.events])
    assert bob.rest.get(f"/tasks/{task['id']}").status_code == 404
    reader.close()


@EVERY
def test_handed_over(server: Server, people: tuple[Person, ...], transport: str) -> None:
    """Its owner of before no longer sees it; the new one learns all of it."""
    alice, bob, _ = people
    hers, his = (connect(transport, server.url, person) for person in (alice, bob))
    task = alice.rest.new_task()
    assert alice.rest.patch(f"/tasks/{task['id']}", {"user_id": bob.id}).status_code == 200
    gone = "task_deleted" if transport == "channels" else "task_removed"
    hers.wait(lambda: [one.kind for one in hers.events] == ["task_created", gone])
    assert his.until(task["id"]).kind == "task_updated"
    for reader in (hers, his):
        reader.close()


@EVERY
def test_deleted(server: Server, people: tuple[Person, ...], transport: str) -> None:
    alice, bob, _ = people
    readers = [connect(transport, server.url, person) for person in (alice, bob)]
    task = alice.rest.new_task(assigned_to=bob.id)
    assert alice.rest.delete(f"/tasks/{task['id']}").status_code == 200
    for reader in readers:
        reader.wait(
            lambda reader=reader: reader.events and reader.events[-1].kind == "task_deleted"
        )
        assert reader.events[-1].task_id == task["id"]
        reader.close()


@EVERY
@pytest.mark.fault("sight")
def test_role_changed(
    server: Server, admin: Person, people: tuple[Person, ...], transport: str
) -> None:
    """Promoted, a client sees all; demoted, its own again; each time it is told to resync."""
    alice, bob, _ = people
    reader, history = connect(transport, server.url, bob), Recorder()
    session = Session(bob.id, "member", reader.notice("ready")["seq"], reader.events)
    since = session.base
    admin.rest.put(f"/users/{bob.id}", {"role": "admin"})
    assert reader.notice("resync")["reason"] == "sight_changed"
    seen = history.send(alice, "POST", "/tasks", {"title": "Seen"}).task_id
    reader.until(seen)
    began = time.monotonic()
    admin.rest.put(f"/users/{bob.id}", {"role": "member"})
    resync = reader.notice("resync", PATIENCE, count=2)
    figure("sight", "up", time.monotonic() - began)
    hidden, own = (
        history.send(who, "POST", "/tasks", {"title": "Since then"}).task_id for who in (alice, bob)
    )
    reader.until(own)
    assert hidden not in [one.task_id for one in reader.events]
    assert resync["seq"] < reader.until(own).seq
    assert reader.ended is None
    session.rebase(resync["seq"], "member")
    log, final = read_log(server.instance, after=since), {}
    for person in (alice, bob):
        final |= snapshot("sse", server.url, person)[0]
    conclude("sight", history, log, final, [session], since=since)
    reader.close()


def log_out(admin: Person, bob: Person) -> Any:
    return bob.rest.post("/logout")


def disable(admin: Person, bob: Person) -> Any:
    return admin.rest.put(f"/users/{bob.id}", {"is_active": False})


def delete_account(admin: Person, bob: Person) -> Any:
    return admin.rest.delete(f"/users/{bob.id}")


def change_password(admin: Person, bob: Person) -> Any:
    given = {"current_password": PASSWORD, "new_password": "another horse battery"}
    return bob.rest.request("PUT", "/users/password", json=given)


def reset_password(admin: Person, bob: Person) -> Any:
    return admin.rest.put(f"/users/{bob.id}", {"password": "another horse battery"})


ENDINGS = {
    log_out: "logged_out",
    disable: "account_changed",
    delete_account: "account_changed",
    change_password: "account_changed",
    reset_password: "account_changed",
}


@EVERY
@pytest.mark.fault("sight")
@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
def test_put_out(
    server: Server,
    admin: Person,
    people: tuple[Person, ...],
    transport: str,
    end: Callable[[Person, Person], Any],
) -> None:
    """Closed in time, and nothing that happens after comes; the others notice nothing."""
    alice, bob, _ = people
    reader, other = connect(transport, server.url, bob), connect(transport, server.url, alice)
    shared = alice.rest.new_task(assigned_to=bob.id)
    reader.until(shared["id"])
    began = time.monotonic()
    answer = end(admin, bob)
    assert answer.status_code < 300, answer.text
    check_end(reader, transport, ENDINGS[end])
    figure("sight", "up", time.monotonic() - began)
    before = len(reader.events)
    later = alice.rest.new_task()
    other.until(later["id"])
    assert other.ended is None and len(reader.events) == before
    other.close()


@EVERY
def test_log_out_ends_one_session(server: Server, alice: Person, transport: str) -> None:
    """Another login of the same person goes on."""
    elsewhere = accounts.sign_in(server.url, alice.username, PASSWORD)
    here, there = (connect(transport, server.url, person) for person in (alice, elsewhere))
    alice.rest.post("/logout")
    check_end(here, transport, "logged_out")
    task = elsewhere.rest.new_task()
    there.until(task["id"])
    there.close()


def short_token(server: Server, person: Person) -> tuple[str, int]:
    """One that is good for a second or two, and until when (Unix time).  A token's time is whole:
    of a fraction of a second nothing might be left by the time somebody connects."""
    until = int(time.time()) + 2
    claims = jwt.decode(person.token, options={"verify_signature": False})
    key = (server.instance / "jwt_secret_key").read_text()
    return jwt.encode(claims | {"exp": until}, key, "HS256"), until


@EVERY
@pytest.mark.fault("expiry")
def test_token_expires(server: Server, alice: Person, transport: str) -> None:
    token, ends_at = short_token(server, alice)
    person = Person(alice.id, unique("x"), token, "", alice.rest)
    reader, history = connect(transport, server.url, person), Recorder()
    ready = reader.notice("ready")
    history.send(alice, "POST", "/tasks", {"title": "In time"})
    check_end(reader, transport, "token_expired")
    late = time.time() - ends_at
    assert late > -0.1
    figure("expiry", "closed", late)
    assert len(reader.events) == 1
    history.send(alice, "POST", "/tasks", {"title": "Meanwhile"})
    where = {"since": reader.events[0].seq, "epoch": ready["epoch"]}
    readers = [reader, connect(transport, server.url, alice, **where)]
    since = ready["seq"]
    finish_one("expiry", history, alice, server.instance, since=since, readers=readers)
    readers[-1].close()


@pytest.mark.fault("expiry")
@pytest.mark.parametrize("transport", [name for name in TRANSPORTS if name != "sse"])
def test_token_is_renewed(server: Server, alice: Person, transport: str) -> None:
    """By `authenticate` on the live connection, which then misses and repeats nothing."""
    token, ends_at = short_token(server, alice)
    person = Person(alice.id, "", token, "", alice.rest)
    reader, history = connect(transport, server.url, person), Recorder()
    since = reader.notice("ready")["seq"]
    history.send(alice, "POST", "/tasks", {"title": "By the old one"})
    if transport == "socketio":
        assert reader.call("authenticate", {"token": alice.token})["user_id"] == alice.id
    else:
        reader.send({"type": "authenticate", "token": alice.token})
        reader.notice("ready", count=2)
    with reader.changed:  # beyond the old token's time and what the server may take to notice
        left = ends_at + EXPIRY_SECONDS - time.time()
        ended = reader.changed.wait_for(lambda: reader.ended, left)
    figure("expiry", "renewed", bool(ended))
    history.send(alice, "POST", "/tasks", {"title": "By the new one"})
    finish_one("expiry", history, alice, server.instance, since=since, readers=[reader])
    assert len(reader.events) == 2
    reader.close()


@pytest.mark.parametrize("transport", [name for name in TRANSPORTS if name != "sse"])
def test_a_bad_renewal_changes_nothing(server: Server, alice: Person, transport: str) -> None:
    reader = connect(transport, server.url, alice)
    if transport == "socketio":
        assert reader.call("authenticate", {"token": "x"})["code"] == "unauthorized"
    else:
        reader.send({"type": "authenticate", "token": "x"})
        assert reader.notice("error")["code"] == "unauthorized"
    task = alice.rest.new_task()
    reader.until(task["id"])
    reader.close()
