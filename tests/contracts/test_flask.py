"""The flask family (document 004): every body as the document has it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accounts import PASSWORD, Person, register, unique
from tests.support.clients import Rest
from tests.support.process import queued
from tests.support.server import AppPy, Server, running

READY_SECONDS = 3
TASK = {"title": "New Task", "description": "Task Description", "done": False}
UPDATE = {"title": "Updated Task", "description": "Updated Description", "done": True}
OVER_SOCKET = {
    "title": "New Task via Socket",
    "description": "Task Description",
    "done": False,
}
# The document's program; its token and port are put in, nothing else is changed.
PROGRAM = """\
import socketio

sio = socketio.Client()

@sio.event
def connect():
    print("Connected to the server")

@sio.event
def message(data):
    print("Message from server:", data)

@sio.event
def task_created(data):
    print("Task created:", data)

@sio.event
def error(data):
    print("Error:", data)

sio.connect('http://localhost:5000')

# Example: Creating a task
sio.emit('create_task', {
    'token': 'jwt_token_here',
    'title': 'New Task via Socket',
    'description': 'Task Description',
    'done': False
})
"""
# What it prints, in pieces: its handlers run side by side and may mix their lines.
PRINTED = (
    "Connected to the server",
    "Message from server:",
    "{'data': 'Connected to the server'}",
    "Task created:",
    "'title': 'New Task via Socket'",
)


def test_register(nobody: Rest) -> None:
    account = {"username": unique("example_user"), "password": "example_password"}
    answer = nobody.post("/register", account)
    assert answer.status_code == 201
    body = answer.json()
    assert body["message"] == "User created successfully"
    assert body["user"]["username"] == account["username"]
    assert not [key for key in body["user"] if "password" in key]
    assert nobody.post("/register", account).status_code == 409


def test_login(nobody: Rest) -> None:
    name = unique("example_user")
    address = f"{name}@example.com"
    nobody.post("/register", {"username": name, "email": address, "password": PASSWORD})
    for key, value in (("username", name), ("email", address), ("login", address)):
        answer = nobody.post("/login", {key: value, "password": PASSWORD})
        assert answer.status_code == 200
    body = answer.json()
    assert body["token"] == body["access_token"] != body["refresh_token"]
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    assert body["user"]["username"] == name


def test_tasks(alice: Person) -> None:
    made = alice.rest.post("/tasks", TASK)
    assert made.status_code == 201
    task = made.json()
    assert TASK.items() <= task.items()
    assert type(task["id"]) is int
    assert task["user_id"] == alice.id
    listed = alice.rest.get("/tasks")
    assert listed.status_code == 200
    assert listed.json() == [task]
    assert alice.rest.get(f"/tasks/{task['id']}").json() == task


def test_change_and_delete(alice: Person) -> None:
    path = f"/tasks/{alice.rest.post('/tasks', TASK).json()['id']}"
    changed = alice.rest.put(path, UPDATE)
    assert changed.status_code == 200
    assert UPDATE.items() <= changed.json().items()
    assert alice.rest.patch(path, {"done": False}).json()["done"] is False
    deleted = alice.rest.delete(path)
    assert deleted.status_code == 200
    assert deleted.json() == {"message": "Task deleted successfully"}
    assert alice.rest.get(path).status_code == 404


def test_connected_message_without_token(listen) -> None:
    socket = listen()
    assert socket.events[0] == ("message", {"data": "Connected to the server"})


def test_create_task_with_token_in_payload(alice: Person, admin: Person, listen) -> None:
    sender, hers, admins = listen(), listen(alice), listen(admin)
    ack = sender.call("create_task", {"token": alice.token, **OVER_SOCKET})
    for socket in (sender, hers, admins):
        task = socket.wait_for("task_created")
        assert {"task": ack["id"], "title": "New Task via Socket"}.items() <= task.items()
        assert OVER_SOCKET.items() <= task.items()
        assert type(task["task"]) is int
        assert {"seq", "epoch", "type"} <= task.keys()
    assert ack == task
    assert sender.names(ack["id"]) == ["task_created"]  # once, though it is ack and event
    assert hers.names(ack["id"]) == ["task_created"]
    assert alice.rest.get(f"/tasks/{ack['id']}").json()["title"] == "New Task via Socket"


def test_trouble_is_an_error_to_the_sender_alone(alice: Person, listen) -> None:
    sender, hers = listen(), listen(alice)
    ack = sender.call("create_task", {"token": alice.token, "description": "no title"})
    assert ack.keys() == {"message", "error", "code", "errors", "request_id"}
    assert sender.wait_for("error") == ack
    sender.emit("create_task", {"token": "jwt_token_here", **OVER_SOCKET})
    assert sender.wait_for("error", count=2)["code"] == "unauthorized"
    assert hers.of_tasks() == []
    assert "error" not in [name for name, _ in hers.events]


def test_other_commands_over_the_socket(alice: Person, listen) -> None:
    socket = listen()
    ready = socket.call("authenticate", {"token": alice.token})
    assert ready["user_id"] == alice.id
    task = socket.call("create_task", OVER_SOCKET)
    changed = socket.call("update_task", {"id": task["id"], **UPDATE})
    assert UPDATE.items() <= changed.items()
    [listed] = socket.call("list_tasks", {})["tasks"]
    assert UPDATE.items() <= listed.items()
    assert socket.call("delete_task", {"id": task["id"]})["task"] == task["id"]
    names = ["task_created", "task_status_changed", "task_deleted"]
    assert socket.names(task["id"]) == names


def test_disconnected_message(start, listen) -> None:
    ending = start()
    socket = listen(url=ending.url)
    ending.signal()
    assert socket.wait_for("message", count=2) == {"data": "Disconnected from the server"}
    socket.wait_for("disconnect")
    assert ending.wait() == 0


class Timed(AppPy):
    """Knows how long it was from its start until it was ready, but for the time in which the
    machine's other work had the cores."""

    took = 0.0

    def start(self) -> Server:
        began = time.monotonic()
        super().start()
        assert Rest(self.url).get("/ready").status_code == 200
        assert self.process
        self.took = time.monotonic() - began - queued(Path(f"/proc/{self.process.pid}"))
        return self


@pytest.fixture(scope="module")
def app_py(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timed]:
    """`python app.py`, as the document says."""
    server = Timed(tmp_path_factory.mktemp("instance"))
    with running(server):
        yield server


@pytest.mark.xdist_group("app_py")
def test_it_is_ready_soon(app_py: Timed, tmp_path: Path) -> None:
    """Also the first time, when it makes its database.  A second, where nothing else runs (`make
    bench` has the figure); cores that others share work more slowly, but not three times running.
    """
    tries = [app_py.took]
    while min(tries) >= READY_SECONDS and len(tries) < 3:
        again = Timed(tmp_path / str(len(tries)))
        with running(again):
            tries.append(again.took)
    assert min(tries) < READY_SECONDS, tries


@pytest.mark.xdist_group("app_py")
def test_the_documents_program(app_py: Server, listen) -> None:
    alice = register(app_py.url, "Alice")
    program = PROGRAM.replace("jwt_token_here", alice.token).replace("5000", str(app_py.port))
    hers = listen(alice, url=app_py.url)
    # `-i`: the threads of today's python-socketio client do not outlive the main program, so a
    # program that ends after its `emit` (as this one does) may be gone before it has sent it.
    process = subprocess.Popen(
        [sys.executable, "-i", "-u", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = ""
        while not all(piece in printed for piece in PRINTED):
            line = process.stdout.readline()
            assert line, f"the program ended after {printed!r}"
            printed += line
    finally:
        process.communicate("")
    assert "Error:" not in printed
    assert f"'task': {hers.wait_for('task_created')['id']}" in printed
