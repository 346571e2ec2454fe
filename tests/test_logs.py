"""What is logged: each line with its request, and never a secret."""

from __future__ import annotations

import contextvars
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import socketio

from task_app import logs
from tests.support.accounts import PASSWORD, Person, sign_in, unique
from tests.support.clients import Rest, Socket, error_of
from tests.support.frames import TEXT, frame, signed_in
from tests.support.leaks import leaks
from tests.support.server import Server, printed
from tests.support.websockets_client import FIBER, Client

MINE = "deploy-7:check_1"
WRITTEN = "no session of ours\nERROR by somebody else"  # in place of a session's id
OPAQUE = re.compile("[0-9a-f]{20}")


@pytest.mark.parametrize("given", [MINE, "a", "x" * 64, "0af7651916cd43dd8448eb211c80319c"])
def test_a_clients_own_id(nobody: Rest, given: str) -> None:
    answer = nobody.get("/tasks", headers={"X-Request-ID": given})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (401, given)
    assert answer.json()["request_id"] == given
    assert nobody.get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", 'a"b', "a,b", "é", "<a>"])
def test_what_is_no_id(nobody: Rest, given: str) -> None:
    headers = {"X-Request-ID": given.encode()}
    made = nobody.get("/tasks", headers=headers).headers["X-Request-ID"]
    assert made != given and OPAQUE.fullmatch(made)


def test_no_two_requests_have_one_id() -> None:
    def one() -> str:
        logs.begin_request()
        return logs.request_id()

    ids = {contextvars.copy_context().run(one) for _ in range(1_000)}
    assert len(ids) == 1_000 and all(OPAQUE.fullmatch(one) for one in ids)


def test_an_id_tells_nothing(nobody: Rest) -> None:
    """Neither how many requests came between two, nor which process answered."""
    made = [nobody.get("/tasks").headers["X-Request-ID"] for _ in range(8)]
    assert all(OPAQUE.fullmatch(one) for one in made)
    assert len({one[:8] for one in made}) == len({one[-8:] for one in made}) == len(made)


def test_an_event_has_that_of_its_request(alice, listen) -> None:  # type: ignore[no-untyped-def]
    """Live, in the answer on a socket, and read from the log again."""
    socket = listen(alice)
    stood = alice.rest.get("/tasks").headers
    answer = alice.rest.post("/tasks", {"title": "Its own"}, headers={"X-Request-ID": MINE})
    assert answer.headers["X-Request-ID"] == MINE
    assert socket.wait_for("task_created")["request_id"] == MINE
    made = alice.rest.post("/tasks", {"title": "Made up"}).headers["X-Request-ID"]
    assert socket.wait_for("task_created", count=2)["request_id"] == made
    third = socket.call("create_task", {"title": "Over it", "request_id": "click-1"})
    assert third["request_id"] == "click-1"
    fourth = socket.call("create_task", {"title": "Over it", "request_id": "no log's\nline"})
    assert OPAQUE.fullmatch(fourth["request_id"])
    where = {"since": int(stood["X-Event-Seq"]), "epoch": stood["X-Event-Epoch"]}
    later = listen(alice, auth={"token": alice.token, **where})
    again = [told["request_id"] for name, told in later.events if name == "task_created"]
    assert again == [MINE, made, "click-1", fourth["request_id"]]


def test_an_error_on_a_socket_has_one(server: Server, alice, listen) -> None:  # type: ignore[no-untyped-def]
    """A new one each time where the client gave none, as over REST."""
    socket, raw = listen(alice), signed_in(server, alice.token)
    told = [socket.call(event, {"title": ""}) for event in ("create_task", "no_event") * 2]
    for message in (b'{"type": "no_event"}', b"no JSON") * 2:
        raw.send(frame(TEXT, message))
        came = raw.read()
        assert came
        told.append(came.json)
    raw.end()
    made = [one["request_id"] for one in told]
    assert all(OPAQUE.fullmatch(one) for one in made) and len({*made}) == len(made)
    assert socket.call("no_event", {"request_id": "click-2"})["request_id"] == "click-2"


SOCKET_IO = "/socket.io/?EIO=4&transport=polling"


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/metrics", "/nowhere", SOCKET_IO, f"{SOCKET_IO}&sid=nope"]
)
def test_every_answer_has_one(nobody: Rest, path: str) -> None:
    answer = nobody.get(path, headers={"X-Request-ID": MINE})
    assert answer.headers["X-Request-ID"] == MINE


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws?token=x", SOCKET_IO])
def test_who_is_not_let_in_is_told_one(nobody: Rest, path: str) -> None:
    answer = nobody.get(path, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code in (400, 403, 426) and error_of(answer)["code"]


def record(level: int = logging.WARNING, **values: Any) -> logging.LogRecord:
    found = logging.LogRecord("task_app.x", level, "/a/b/relay.py", 1, "%s met %s", (1, 2), None)
    vars(found).update(values)
    return found


def formatted(form: str, one: logging.LogRecord, request: str | None = None) -> str:
    formatter = {"text": logs._Lines, "json": logs._Json}[form]()

    def work() -> str:
        if request is not None:
            logs.begin_request(request)
        return formatter.format(one)

    return contextvars.Context().run(work)  # whatever another test has left in this one


def test_lines_for_people() -> None:
    line = r"WARNING \d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} relay 1 met 2"
    assert re.fullmatch(line, formatted("text", record()))
    assert re.fullmatch(rf"{line} \[mine\]", formatted("text", record(), "mine"))
    other = record(request_id="other")
    assert re.fullmatch(rf"{line} \[other\]", formatted("text", other, "mine"))


def test_lines_for_programs() -> None:
    told = json.loads(formatted("json", record(created=0.25, msecs=250.0), "mine"))
    assert told == {
        "level": "WARNING",
        "time": "1970-01-01T00:00:00.250Z",
        "module": "relay",
        "message": "1 met 2",
        "request_id": "mine",
    }
    try:
        raise ValueError("two\nlines")
    except ValueError:
        line = formatted("json", record(exc_info=sys.exc_info()))
    assert "\n" not in line and "ValueError: two\nlines" in json.loads(line)["exception"]
    assert "request_id" not in json.loads(line)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a server logs at DEBUG, as JSON, while each family does its things; all that is
    nobody's business; and what another process on the same database logs."""
    folder = tmp_path_factory.mktemp("logs")
    both = [Server(folder, LOG_LEVEL="debug", LOG_FORMAT="json") for _ in range(2)]
    try:
        server, other = (one.start() for one in both)
        secret = use(server, other)
        assert (server.stop(), other.stop()) == (0, 0)
    finally:
        for one in both:
            one.kill()
    return server, parsed(server), secret, parsed(other)


def parsed(server: Server) -> list[Any]:
    return [json.loads(line) for line in server.output if line.startswith("{")]


def use(server: Server, other: Server) -> list[str]:
    name = unique("Alice")
    address = f"{name.lower()}@example.com"
    rest = Rest(server.url)
    rest.post("/register", {"username": name, "email": address, "password": PASSWORD})
    assert rest.post("/login", {"username": address, "password": "not this one"}).status_code == 401
    alice = sign_in(server.url, name, PASSWORD)
    socket = Socket().connect(server.url, alice.token)
    elsewhere = Socket().connect(other.url, alice.token)
    ticket = alice.rest.post("/ws/ticket").json()["ticket"]
    raw = Client(server, f"{FIBER}?ticket={ticket}")
    try:
        assert raw.read()["type"] == "ready"
        change(alice, socket)
        elsewhere.wait_for("task_created")
        raw.send({"type": "create_task", "data": {"title": "By a raw one"}})
        while raw.read()["type"] != "ack":
            pass
        socket.call("create_task", {"title": "By a socket", "token": alice.token})
        socket.call("create_task", {"title": ""})
        socket.call("authenticate", {"token": "no token at all"})
        new = alice.rest.post("/auth/refresh", {"refresh_token": alice.refresh_token}).json()
        passwords = {"old_password": PASSWORD, "new_password": f"{PASSWORD} again"}
        assert alice.rest.put("/users/password", passwords).status_code == 200
        unknown = rest.get(f"{SOCKET_IO}&sid={quote(WRITTEN)}")
        assert error_of(unknown)["code"] == "unknown_session"
    finally:
        socket.close()
        elsewhere.close()
        raw.ws.close()
    kept = [(server.instance / name).read_text() for name in ("secret_key", "jwt_secret_key")]
    passwords = [PASSWORD, "not this one", server.admin_password]
    return [
        *kept,
        *passwords,
        alice.token,
        alice.refresh_token,
        new["access_token"],
        ticket,
        address,
        *WRITTEN.split("\n"),
    ]


def change(alice: Person, socket: Socket) -> None:
    answer = alice.rest.post("/tasks", {"title": "Seen"}, headers={"X-Request-ID": MINE})
    assert answer.headers["X-Request-ID"] == MINE
    socket.wait_for("task_created")
    absent = alice.rest.get("/tasks/999999", headers={"X-Request-ID": f"{MINE}.2"})
    assert error_of(absent)["code"] == "task_not_found"


def test_a_change_is_followed_to_the_sockets(logged: Any) -> None:
    """By the id of the request that made it, down to how many were told."""
    _, lines, _, _ = logged
    mine = [line["message"] for line in lines if line.get("request_id") == MINE]
    assert [re.sub(r"\d+", "N", line) for line in mine] == [
        "event N (task_created) reached N connections",
        "POST /tasks: N in N.N ms",
    ]
    assert mine[0].endswith("reached 2 connections")
    others = [line for line in lines if line["message"].startswith("event ")]
    assert len({line["request_id"] for line in others}) == len(others) == 3


def test_another_process_has_the_same_id(logged: Any) -> None:
    *_, others = logged
    [told] = [line["message"] for line in others if line.get("request_id") == MINE]
    assert re.fullmatch(r"event \d+ \(task_created\) reached 1 connections", told)


def test_a_sockets_change_too(logged: Any) -> None:
    _, lines, _, _ = logged
    made = [
        line["request_id"] for line in lines if line["message"] == "task.create by a socket: 201"
    ]
    told = {line.get("request_id") for line in lines if "(task_created)" in line["message"]}
    assert len(made) == 2 and set(made) < told


def test_no_secret_is_logged(logged: Any) -> None:
    server, lines, secret, _ = logged
    assert any("POST /login: 401" in line["message"] for line in lines)  # it was at DEBUG
    shown = "".join(line for line in server.output if "First start" not in line)
    for one in secret:
        assert len(one.strip()) > 8 and one.strip() not in shown
    assert "eyJ" not in shown  # how every token begins


def test_a_token_in_a_log_would_be_found(server: Server, alice: Person) -> None:
    """By what looks through the logs of all servers once the suite has run."""
    told = f"INFO a line\nINFO GET /tasks?token={alice.token}\nINFO {PASSWORD}\n"
    assert len(leaks(told, [PASSWORD])) == 2
    assert len(leaks(told)) == 1
    assert leaks(f"INFO {alice.refresh_token}"), "a refresh token is one as well"
    kept = [secrets for output, secrets in printed if output is server.output]
    assert [len(one) for one in kept] == [2]
    assert leaks(kept[0][0], kept[0])


def test_a_ticket_in_a_log_would_be_found(alice: Person) -> None:
    """One that this process was given, wherever it stands; and any that is called one."""
    ticket = alice.rest.post("/ws/ticket").json()["ticket"]
    assert leaks(f"INFO a line\nINFO {ticket} is none\n") == [f"INFO {ticket} is none"]
    stranger = "".join(reversed(ticket))
    for named in (f"GET /events?ticket={stranger}", str({"ticket": stranger})):
        assert leaks(named) == [named]
    assert leaks(f"INFO POST /ws/ticket: 201 in 0.9 ms\nINFO a ticket\nINFO {stranger}") == []


def test_an_address_in_a_log_would_be_found() -> None:
    """But not where the first start tells the terminal of the account that it has made."""
    first = "  First start: the admin is ada@example.com, password Zk3"
    assert leaks(f"{first}\nINFO ada@example.com\nINFO a@b") == ["INFO ada@example.com"]


def test_nobody_prints_beside_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Socket.IO's two loggers do, in lines of no form."""
    theirs = [logging.getLogger(name) for name in ("engineio.server", "socketio.server")]
    for one in theirs:
        monkeypatch.setattr(one, "level", logging.NOTSET)  # as it is in a new process
    monkeypatch.setattr(logging.getLogger("flask-limiter"), "level", logging.NOTSET)
    socketio.Server(async_mode="threading")
    assert all(one.handlers for one in theirs)
    logs.configure("info", "json")
    assert not any(one.handlers for one in theirs)


def test_every_line_is_json(logged: Any) -> None:
    server, *_ = logged
    said = ("\n", "  First start", "  (kept in", "Serving on", "{")
    assert [line for line in server.output if not line.startswith(said)] == []


def test_the_id_is_fresh_where_nothing_gave_one(tmp_path: Path) -> None:
    assert contextvars.Context().run(logs.request_id) == ""
