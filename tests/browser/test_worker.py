"""The board without a server: what is kept for then, how it is brought up to date, and that nothing
of anybody's is left when they are gone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from task_app.resources.board import ASSETS
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.browser import Board
from tests.support.clients import Rest
from tests.support.network import BAD_GATEWAY, Network
from tests.support.server import ROOT, Server

SECRET = "A surprise for Bob"
# All that the page's origin keeps in this browser, as one text.
KEPT = """async () => {
  const found = { texts: [{ ...localStorage }, { ...sessionStorage }], caches: {}, bases: [] };
  for (const name of await caches.keys()) {
    const answers = await (await caches.open(name)).matchAll();
    for (const one of answers) found.caches[new URL(one.url).pathname] = await one.text();
  }
  for (const { name } of await indexedDB.databases()) {
    const opening = indexedDB.open(name);
    await new Promise((done) => { opening.onsuccess = done; });
    for (const store of opening.result.objectStoreNames) {
      const asking = opening.result.transaction(store).objectStore(store).getAll();
      await new Promise((done) => { asking.onsuccess = done; });
      found.bases.push(asking.result);
    }
    opening.result.close();
  }
  return found;
}"""


@pytest.fixture
def network(server: Server) -> Iterator[Network]:
    one = Network(server.port)
    yield one
    one.close()


@pytest.fixture
def hers(chromium: Browser, network: Network, alice: Person) -> Iterator[Board]:
    """Alice's board, over a network that can be cut, with a task and what it keeps."""
    alice.rest.new_task(SECRET, description="Cake")
    one = Board(chromium, network.url, service_workers="allow").sign_in(alice)
    one.is_kept(SECRET)
    yield one
    one.close()


def test_only_the_files_are_in_the_cache(hers: Board) -> None:
    found = hers.page.evaluate(KEPT)
    assert set(found["caches"]) == {"/", *(f"/board/{name}" for name in ASSETS)}
    assert SECRET not in str(found["caches"])
    assert SECRET in str(found["bases"])  # this is what is looked for below
    assert not re.search(r"eyJ[\w-]+\.", str(found))


def test_nothing_is_left_after_signing_out(hers: Board, alice: Person) -> None:
    page = hers.page
    page.click("#activity-button")
    expect(page.locator("#activity-list li")).to_have_count(1)
    hers.edit(SECRET).get_by_label("Description").fill("Not yet saved")
    page.click("#me")
    page.click("#sign-out")
    expect(page.locator("#sign-in")).to_be_visible()
    found = page.evaluate(KEPT)
    # Nor in what the page itself still holds.
    for word in (SECRET, "Cake", "Not yet saved", alice.username):
        assert word not in f"{found} {page.content()}", word
    assert found["bases"] == [[]]
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()
    assert page.locator(".card").count() == 0


def test_signing_out_without_the_network(hers: Board, network: Network, alice: Person) -> None:
    """It is over here at once; the server ends the session when it can be told."""
    page = hers.page
    network.cut()
    hers.state("Offline")
    hers.add("Never to be sent")
    page.click("#me")
    page.click("#sign-out")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 change is pending")
    dialog.get_by_role("button", name="Discard").click()
    expect(page.locator("#sign-in")).to_be_visible()
    found = page.evaluate(KEPT)
    assert SECRET not in str(found) and "Never" not in str(found)
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()
    assert alice.rest.get("/tasks").status_code == 200  # the server does not know yet
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as told:
        network.mend()
    assert told.value.status == 200
    assert [one["title"] for one in _tasks_again(hers, alice)] == [SECRET]


def _tasks_again(board: Board, person: Person) -> list[dict[str, Any]]:
    """The person's tasks, by a new session: that of the board is over."""
    assert person.rest.get("/tasks").status_code == 401
    again = accounts.sign_in(board.url, person.username, accounts.PASSWORD)
    found: list[dict[str, Any]] = again.rest.get("/tasks").json()
    return found


def test_a_gateway_that_answers_for_the_server(
    server: Server, hers: Board, network: Network
) -> None:
    network.cut(instead=BAD_GATEWAY)
    hers.page.reload()
    hers.shows("todo", SECRET)
    expect(hers.page.locator("#state-text")).to_contain_text("Offline · as of")
    bob = accounts.register(server.url, "Bob")
    network.mend()
    hers.is_live()
    # Who has come since is known then, too.
    expect(hers.page.locator("[name=who]")).to_contain_text(bob.username)


def test_a_network_that_brings_nothing(hers: Board, network: Network) -> None:
    """It is waited for for a moment; then the page comes from what is kept, all of it."""
    network.still()
    hers.page.reload()
    hers.shows("todo", SECRET)
    hers.add("Made meanwhile")
    network.mend()
    hers.is_live()
    hers.shows("todo", "Made meanwhile", SECRET)


class Copy(Server):
    """A server of a copy of the program, whose files can be changed."""

    def __init__(self, tree: Path) -> None:
        super().__init__(tree / "instance")
        shutil.copytree(
            ROOT / "task_app", tree / "task_app", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in ("app.py", "config.py"):
            shutil.copy(ROOT / name, tree)
        self.program = (str(tree / "app.py"),)
        self.style = tree / "task_app" / "web" / "board" / "base.css"


def test_new_files_reach_the_page(chromium: Browser, tmp_path: Path) -> None:
    server = Copy(tmp_path)
    server.start()
    try:
        alice = accounts.register(server.url, "Alice")
        alice.rest.new_task("Sow")
        one = Board(chromium, server.url, service_workers="allow").sign_in(alice)
        one.is_kept("Sow")
        old = version(one)
        server.restart(lambda: server.style.write_text(f"{server.style.read_text()}\n"))
        said = one.page.locator(".toast", has_text="There is a new version of the board")
        said.get_by_role("button", name="Reload").click()
        expect(one.page.locator("html")).not_to_have_attribute("data-version", old)
        one.is_live()
        new = version(one)
        assert one.page.evaluate("caches.keys()") == [f"board-{new}"]
        expect(one.page.locator(".toast")).to_have_count(0)
        server.kill()
        one.page.reload()
        one.shows("todo", "Sow")
        assert version(one) == new
        one.close()
    finally:
        server.kill()


def version(board: Board) -> str:
    return str(board.page.locator("html").get_attribute("data-version"))


def test_worker_names_what_is_there(nobody: Rest) -> None:
    answer = nobody.get("/service-worker.js")
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert "no-cache" in answer.headers["Cache-Control"]
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    page = nobody.get("/", headers={"Accept": "text/html"})
    told = re.search(r'data-version="(\w{16})"', page.text)
    assert told and f'VERSION = "{told[1]}"' in answer.text
    same = {"Accept": "text/html", "If-None-Match": page.headers["ETag"]}
    assert nobody.get("/", headers=same).status_code == 304
