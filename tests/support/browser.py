"""A real browser, and the board in it as somebody sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.conftest import require_chromium
from tests.support.accounts import Person

PATIENCE = 15_000  # milliseconds
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Resolves once what is kept for a page without the network has such a task.
KEPT = """async ([title, status, works]) => {
  const kept = async () => {
    if (!(await indexedDB.databases()).length) return []; // to open it would make it
    const opening = indexedDB.open("board");
    await new Promise((done) => { opening.onsuccess = done; });
    const base = opening.result;
    const asking = base.transaction("last").objectStore("last").getAll();
    await new Promise((done) => { asking.onsuccess = done; });
    base.close();
    return asking.result.flatMap(({ tasks }) => tasks);
  };
  if (works) await navigator.serviceWorker.ready;
  const found = (task) => task.title === title && task.status === status;
  while (!(await kept()).some(found)) await new Promise((done) => { setTimeout(done, 50); });
}"""
COLUMNS = ("todo", "in_progress", "completed")
expect.set_options(timeout=PATIENCE)


@contextmanager
def chromium() -> Iterator[Browser]:
    program = require_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


class Board:
    """The page in a browser of somebody's own.  `faults` is what went wrong in it: errors, and
    what its policy refused."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        # Motion is seen in the screenshots' script; here it only takes time.
        options = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"} | options
        # What a worker answers, or is asked, no `route` of a test sees.
        options = {"service_workers": "block"} | options
        self.has_worker = options["service_workers"] == "allow"
        self.url = url
        self.context: BrowserContext = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        # A refused connection and a status of 4xx are errors to the browser, not to the board.
        network = ("Failed to load resource", "WebSocket connection")
        if message.type == "error" and not message.text.startswith(network):
            self.faults.append(message.text)

    def sign_in(self, person: Person, query: str = "") -> Board:
        """With the session that the person has: hashing a password takes its time."""
        self.has_session_of(person)
        self.context.add_init_script(
            "localStorage.getItem('session') ?? localStorage.setItem('session', 'yes')"
        )
        self.page.goto(f"{self.url}/{query}")
        self.is_live()
        return self

    def has_session_of(self, person: Person) -> None:
        cookie = {"name": "task_session", "value": person.refresh_token, "httpOnly": True}
        self.context.add_cookies([{**cookie, "url": f"{self.url}/session", "sameSite": "Strict"}])  # type: ignore[list-item]

    def is_live(self) -> None:
        self.state("Live")

    def state(self, words: str) -> None:
        expect(self.page.locator("#state-text")).to_have_text(words)

    def is_kept(self, title: str, status: str = "todo") -> None:
        """Wait until the page could be opened without the network, and would show this task."""
        self.page.evaluate(KEPT, [title, status, self.has_worker])

    def column(self, status: str) -> Locator:
        return self.page.locator(f".column[data-status={status}]")

    def card(self, title: str) -> Locator:
        shown = self.page.locator(".card", has=self.page.get_by_text(title, exact=True))
        return shown.first

    def titles(self, status: str) -> list[str]:
        return self.column(status).locator(".title").all_text_contents()

    def shows(self, status: str, *titles: str) -> None:
        """Wait until the column holds these, in this order."""
        expect(self.column(status).locator(".title")).to_have_text(list(titles))

    def edit(self, title: str) -> Locator:
        self.card(title).locator(".open").click()
        return self.page.locator(".editor")

    def save(self) -> None:
        self.page.locator(".editor .primary").click()
        expect(self.page.locator(".editor")).to_have_count(0)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def add(self, title: str, status: str = "todo") -> None:
        self.column(status).locator("[name=title]").fill(title)
        self.press("Enter")

    def close(self) -> None:
        self.context.close()
        assert not self.faults, self.faults
