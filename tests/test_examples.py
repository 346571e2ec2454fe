"""The examples hold what a fresh list shows, whatever happened meanwhile: changes, a server that
is killed and started again, another log.  They are run as a reader would run them."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import require, require_chromium
from tests.support import accounts, blocks, databases, node
from tests.support.accounts import PASSWORD, Person
from tests.support.server import ROOT, Server, environment

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.guide

EXAMPLES = ROOT / "examples"
BEFORE = blocks.Page("examples/README.md").take("register", language="sh")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & <b>bold</b>"
PATIENCE = 25
Start = Callable[..., Server]


class Program:
    """An example that runs in a terminal."""

    def __init__(
        self, command: list[str], server: Server, person: Person, password: str = PASSWORD
    ) -> None:
        login = {"TASKS_USERNAME": person.username, "TASKS_PASSWORD": password}
        self.process = subprocess.Popen(
            command,
            env=environment(server.instance, {"TASKS_URL": server.url, **login}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.printed: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        self.readers = [
            threading.Thread(target=self._pass_on, args=(stream, keep), daemon=True)
            for stream, keep in (
                (self.process.stdout, self.printed.put),
                (self.process.stderr, self.said.append),
            )
        ]
        for reader in self.readers:
            reader.start()

    def _pass_on(self, stream: Any, keep: Callable[[str], None]) -> None:
        for line in stream:
            keep(line)

    def state(self) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write("print\n")
        self.process.stdin.flush()
        return json.loads(self.printed.get(timeout=PATIENCE))

    def stop(self) -> Any:
        """Ctrl-C; what it prints then."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE) == 0, self.said
        return json.loads(self.printed.get(timeout=PATIENCE))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


COMMANDS = {
    "python/follow.py": lambda: [sys.executable, str(EXAMPLES / "python" / "follow.py")],
    "node/follow.mjs": lambda: in_node("follow.mjs"),
    "node/follow-ws.mjs": lambda: in_node("follow-ws.mjs"),
}
LISTS = {"node/follow-ws.mjs": "/api/v1/tasks"}


def in_node(name: str) -> list[str]:
    program, npm = require("node"), require("npm")
    node.install(npm, EXAMPLES / "node")
    return [program, str(EXAMPLES / "node" / name)]


def fresh_list(person: Person, path: str = "/tasks") -> Any:
    return sorted(person.rest.get(path, params={"limit": 1000}).json(), key=lambda t: t["id"])


def change_much(alice: Person, bob: Person) -> None:
    """Whatever can happen to a task Alice sees."""
    kept, gone = alice.rest.new_task("Water the plants"), alice.rest.new_task(HOSTILE)
    lent, lost = (bob.rest.new_task(f"Borrow {i}", assigned_to=alice.id) for i in range(2))
    for task, change in (
        (kept, {"title": HOSTILE, "due_date": "2030-01-31"}),
        (lent, {"status": "in progress"}),
        (lost, {"assigned_to": None}),
        (kept, {"done": True, "description": "With the green can"}),
    ):
        owner = alice if task is kept else bob
        assert owner.rest.put(f"/tasks/{task['id']}", change).status_code == 200
    assert alice.rest.delete(f"/tasks/{gone['id']}").status_code == 200


def agree(state: Callable[[], Any], alice: Person, path: str = "/tasks") -> None:
    """Wait until the example holds what a fresh list shows."""
    wanted, pause = fresh_list(alice, path), threading.Event()
    until = time.monotonic() + PATIENCE
    while (found := state()) != wanted:
        assert time.monotonic() < until, (found, wanted)
        pause.wait(0.1)
    assert wanted


def another_log(server: Server) -> None:
    """As after a restored backup."""
    databases.run(server.instance, "UPDATE log_head SET epoch = 'another'")


def test_somebody_is_registered(start: Start) -> None:
    """As the page tells, and can sign in with what it puts into the environment."""
    server = start()
    script = BEFORE.replace("http://localhost:5000", server.url)
    done = subprocess.run(
        ["bash", "-euc", f'{script}\necho; echo "$TASKS_USERNAME|$TASKS_PASSWORD"'],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    name, _, password = done.stdout.splitlines()[-1].partition("|")
    assert accounts.sign_in(server.url, name, password).token


@pytest.mark.parametrize("example", COMMANDS)
def test_program(start: Start, example: str) -> None:
    command, path = COMMANDS[example](), LISTS.get(example, "/tasks")
    server = start()
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    alice.rest.new_task("There before")
    program = Program(command, server, alice)
    try:
        agree(program.state, alice, path)
        change_much(alice, bob)
        agree(program.state, alice, path)
        server.restart()
        change_much(alice, bob)
        agree(program.state, alice, path)
        assert not [line for line in program.said if "list again" in line]  # it was caught up
        server.restart(between=partial(another_log, server))
        change_much(alice, bob)
        agree(program.state, alice, path)
        assert "list again: another_log\n" in program.said
        assert program.stop() == fresh_list(alice, path)
    finally:
        program.close()


@pytest.mark.parametrize("example", COMMANDS)
def test_password_that_is_wrong(server: Server, alice: Person, example: str) -> None:
    program = Program(COMMANDS[example](), server, alice, "not the password")
    try:
        assert program.process.wait(PATIENCE) == 1
        for reader in program.readers:
            reader.join(PATIENCE)
        assert "cannot sign in" in "".join(program.said)
    finally:
        program.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    """The page, from an origin of its own."""
    handler = partial(Quiet, directory=str(EXAMPLES / "browser"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = require_chromium()
    from playwright.sync_api import sync_playwright  # every process of the suite would pay for it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser.new_page()
        browser.close()


def test_page(start: Start, site: str, page: Page) -> None:
    server = start(ALLOWED_ORIGINS=site)
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    alice.rest.new_task("There before")
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(site)
    page.fill("[name=url]", server.url)
    page.fill("[name=username]", alice.username)
    page.fill("[name=password]", PASSWORD)
    page.click("button")

    def state() -> Any:
        return json.loads(page.text_content("#state") or "[]")

    agree(state, alice)
    change_much(alice, bob)
    agree(state, alice)
    server.restart()
    change_much(alice, bob)
    agree(state, alice)
    server.restart(between=partial(another_log, server))
    change_much(alice, bob)
    agree(state, alice)
    shown = page.locator("#tasks li").all_text_contents()
    assert [line.rpartition(" (")[0] for line in shown] == [t["title"] for t in fresh_list(alice)]
    assert page.title() == "Tasks, live"  # titles were not read as HTML
    assert page.locator("#tasks img").count() == 0
    assert not faults
