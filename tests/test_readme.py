"""Following the README: its two commands, the way by hand, the quick starts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require, sqlite_only
from tests.support import accounts, node
from tests.support.blocks import Page, installed_make
from tests.support.server import ROOT, Server, environment, running
from tests.support.websockets_client import FIBER as FIBER_SOCKET
from tests.support.websockets_client import open_websocket

# Most of it is programs that start.
pytestmark = [pytest.mark.guide, pytest.mark.timeout(180)]

PAGE = Page("README.md")
TWO = PAGE.take("make run")
BY_HAND = PAGE.take("pip install -r")
THREADS = PAGE.take("ASYNC_MODE=threading")
FIRST = PAGE.find("export BASE=").code  # `test_docs.py` runs all of it
SERVICES = PAGE.take("/users/profile")
FIBER = PAGE.take("/api/v1/tasks")
GIN = PAGE.take("/api/broadcast")
CHANNELS = PAGE.take("/api/auth/login/")
BROWSER = PAGE.take("new WebSocket", language="javascript")
DIALOGUE = PAGE.take("→", language="text")
PATIENCE = 120


def serves(script: str, folder: Path, **env: str) -> str:
    """Run it until it serves, and end it as Ctrl-C does; what it said."""
    instance = folder / "instance"
    instance.mkdir()
    process = subprocess.Popen(
        ["bash", "-ec", script],
        cwd=folder,
        env={**environment(instance, {}), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    timer = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line
            if "Serving on http://localhost:" in line:
                os.killpg(process.pid, signal.SIGINT)
        process.wait()
    finally:
        timer.cancel()
    assert "Serving on http://localhost:" in said and "Traceback" not in said, said
    return said


def tree(folder: Path) -> Path:
    """What a clone has, as far as the blocks go."""
    names = ("app.py", "config.py", "task_app", "requirements.txt", "Makefile", "tests")
    for name in (*names, "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def outside_make() -> dict[str, str]:
    """A make that is started by a make says which folder it is in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def test_the_two_commands(tmp_path: Path) -> None:
    run, test = (line.partition("#")[0] for line in TWO.splitlines())
    (tree(tmp_path) / ".venv").symlink_to(Path(sys.prefix))
    path = installed_make(tmp_path)
    serves(run, tmp_path, PATH=path)
    done = subprocess.run(
        ["bash", "-ec", f"{test} ARGS=--version"],
        cwd=tmp_path,
        env={**outside_make(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout.split(" ")[0]) == (0, "pytest"), done.stderr


def test_by_hand(tmp_path: Path) -> None:
    """With a package index that has nothing: what is here already is all that is asked for."""
    [here] = {path for path in sys.path if path.endswith("site-packages")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"PYTHONPATH": here, "PIP_NO_INDEX": "1", "PATH": path}
    said = serves(BY_HAND, tree(tmp_path), **settings)
    assert "Requirement already satisfied: flask==" in said


def test_without_eventlet(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    serves(THREADS, tree(tmp_path), PATH=path, ASYNC_MODE="none")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server, and what the first block leaves in a shell: the beginning of a script."""
    instance = tmp_path_factory.mktemp("readme")
    with running(Server(instance, BROADCAST_ROLES="admin,member")) as server:
        lines = FIRST.replace("http://localhost:5000", server.url).splitlines()
        yield server, "\n".join(line for line in lines if " & " not in line) + "\n"


def answers(script: str) -> list[Any]:
    """The JSON that it prints, line by line."""
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    # Only `ask` ends its line.
    text = re.sub(r"(?<=[}\]])(?=[{\[])", "\n", done.stdout)
    return [json.loads(line) for line in text.splitlines() if line]


@sqlite_only  # a fresh database, whose first task is number 1
def test_the_families(begun: tuple[Server, str]) -> None:
    _, first = begun
    told = answers(first + SERVICES + FIBER + GIN + CHANNELS)
    assert [one for one in told if isinstance(one, dict) and "code" in one] == []
    _, seen, profile, moved, fiber, health, broadcast, login, tasks, notices = told
    assert (seen["id"], seen["title"]) == (1, "See it live")
    assert profile["username"] == "ada"
    assert (moved["title"], moved["status"]) == ("See it live", "in_progress")
    assert (fiber["priority"], fiber["status"]) == ("High", "ToDo")
    assert health["status"] == "ok" and broadcast["recipients"] == 0
    assert login["token"]
    assert [task["priority"] for task in tasks] == ["high"]
    assert isinstance(notices, list)


def test_in_a_browser(begun: tuple[Server, str]) -> None:
    """In Node, with a WebSocket like a browser's."""
    server, _ = begun
    alice = accounts.register(server.url, "Alice")
    folder = ROOT / "examples" / "node"
    node.install(require("npm"), folder)
    before = 'import WebSocket from "ws"; const token = process.env.TOKEN;\n'
    program = before + BROWSER.replace("localhost:5000", f"127.0.0.1:{server.port}")
    process = subprocess.Popen(
        [require("node"), "--input-type=module", "-e", program],
        cwd=folder,
        env={**os.environ, "TOKEN": alice.token},
        stdout=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        told = iter(process.stdout)
        assert any("type: 'ready'" in line for line in told)
        alice.rest.new_task("For the browser")
        assert any("type: 'task_created'" in line for line in told)
        assert any("title: 'For the browser'" in line for line in told)
    finally:
        timer.cancel()
        process.kill()
        process.wait()


def test_the_dialogue(begun: tuple[Server, str]) -> None:
    """Line by line: what is sent is sent, what is shown comes, with these keys."""
    server, _ = begun
    alice = accounts.register(server.url, "Alice")
    task = alice.rest.new_task()
    stood = alice.rest.get("/tasks").headers
    where = {"since": int(stood["X-Event-Seq"]), "epoch": stood["X-Event-Epoch"]}
    alice.rest.patch(f"/tasks/{task['id']}", {"title": "Missed"})
    address = f"ws://127.0.0.1:{server.port}{FIBER_SOCKET}"
    with open_websocket(address, proxy=None) as ws:
        for line in DIALOGUE.splitlines():
            shown = json.loads(line[2:].replace(", …}", "}"))
            if line.startswith("→"):
                real = {"token": alice.token, **where} if shown["type"] == "auth" else {}
                assert real.keys() <= shown.keys()
                ws.send(json.dumps(shown | real))
                continue
            while (told := json.loads(ws.recv(timeout=10)))["type"] != shown["type"]:
                assert told["type"] == "task_created"  # what somebody makes is an event as well
            assert told.keys() == shown.keys()
            for key in told.keys() - {"seq", "epoch", "user_id", "data"}:
                assert told[key] == shown[key]
            assert type(told.get("data")) is type(shown.get("data"))
