"""The pictures of the README: seeds a server, has people work on its board, and photographs it.

    python -m tools.screenshots        (make screenshots)

Needs Chromium.  Writes docs/screenshots/*.png.
"""

from __future__ import annotations

import re
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from tests.support import browser
from tests.support.accounts import PASSWORD, Person, sign_in
from tests.support.browser import Board
from tests.support.clients import Rest
from tests.support.server import ROOT, Server

FOLDER = ROOT / "docs" / "screenshots"
MIRA, JONAS, PRIYA, SAM, LENA = (
    "Mira Okafor",
    "Jonas Weber",
    "Priya Nair",
    "Sam Ortega",
    "Lena Fischer",
)
# Title, status, priority, days until it is due, who does it, description.
Row = tuple[str, str, str, "int | None", "str | None", "str | None"]
TASKS: tuple[Row, ...] = (
    ("Sign the lease for the reading room", "completed", "high", -20, MIRA, None),
    (
        "Register the association",
        "completed",
        "medium",
        -14,
        LENA,
        "Filed with the district court.",
    ),
    ("Move the shelves from the depot", "completed", "medium", -6, SAM, None),
    (
        "Choose a catalogue system",
        "completed",
        "low",
        -3,
        JONAS,
        "Compared four; notes in the folder.",
    ),
    ("Fix the heating in the back room", "completed", "high", -1, SAM, None),
    ("Paint the north wall", "in_progress", "low", 6, SAM, None),
    (
        "Catalogue the donated children's books",
        "in_progress",
        "medium",
        9,
        PRIYA,
        "About 340 left.",
    ),
    ("Agree opening hours with the café next door", "in_progress", "medium", 2, MIRA, None),
    ("Try the lending desk with five volunteers", "in_progress", "high", 1, JONAS, "Friday, 4 pm."),
    ("Print 500 library cards", "todo", "medium", 4, LENA, None),
    ("Set up the returns box", "todo", "low", None, None, None),
    ("Write the announcement for the neighbourhood paper", "todo", "high", 0, MIRA, "300 words."),
    (
        "Ask the city about the loading zone",
        "todo",
        "high",
        -2,
        PRIYA,
        "Second letter if no answer.",
    ),
    ("Draft the volunteer rota for December", "todo", "medium", 8, LENA, None),
    ("Order forty folding chairs", "todo", "medium", 3, SAM, None),
    ("Photograph the reading room", "todo", "low", 12, None, None),
    ("Check the fire exits with the landlord", "todo", "high", 5, JONAS, None),
    ("Find a piano tuner", "todo", "low", None, None, "For the opening concert."),
)

# What happened last, as the activity panel tells it.
WORK: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (LENA, "Print 500 library cards", {"description": "Ask for the matt paper."}),
    (PRIYA, "Ask the city about the loading zone", {"priority": "high"}),
    (MIRA, "Order forty folding chairs", {"due_date": str(date.today() + timedelta(3))}),
    (SAM, "Order forty folding chairs", {"description": "Grey ones.", "priority": "low"}),
    (MIRA, "Set up the returns box", {"assigned_to": None, "description": "Beside the door."}),
    (JONAS, "Check the fire exits with the landlord", {"status": "in_progress"}),
    (JONAS, "Check the fire exits with the landlord", {"status": "todo"}),
    (LENA, "Draft the volunteer rota for December", {"description": "Ada can do Mondays."}),
)


def seed(server: Server) -> dict[str, Person]:
    """People and their tasks, all Mira's own."""
    people = {}
    admin = sign_in(server.url, "admin", server.admin_password)
    for name in (MIRA, JONAS, PRIYA, SAM, LENA):
        email = f"{name.split()[0].lower()}@library.example"
        account = {"username": name, "email": email, "password": PASSWORD}
        if name == MIRA:
            account["role"] = "admin"
        assert admin.rest.post("/users", account).status_code == 201
        people[name] = sign_in(server.url, name, PASSWORD)
    for title, _, priority, days, who, description in TASKS:
        people[MIRA].rest.new_task(
            title,
            priority=priority,
            due_date=None if days is None else str(date.today() + timedelta(days)),
            assigned_to=people[who].id if who else None,
            description=description,
        )
    for title, status, _, _, who, _ in TASKS:
        if status != "todo":
            change(people[who or MIRA].rest, title, status=status)
    for name, title, fields in WORK:
        change(people[name].rest, title, **fields)
    return people


def change(rest: Rest, title: str, **fields: Any) -> None:
    task = next(one for one in rest.get("/tasks?limit=1000").json() if one["title"] == title)
    assert rest.put(f"/tasks/{task['id']}", fields).status_code == 200


class Studio:
    """Mira's board beside those of others, in one look."""

    def __init__(self, chromium: Browser, server: Server, people: dict[str, Person]) -> None:
        self.chromium, self.server, self.people = chromium, server, people

    def open(self, scheme: str, width: int, height: int, query: str = "", **more: Any) -> Board:
        options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
        board = Board(self.chromium, self.server.url, locale="en-GB", **options, **more)
        board.sign_in(self.people[MIRA], query)
        if not query:
            expect(board.page.locator("#here .avatar")).to_have_count(3)
        return board

    def shoot(self, board: Board, name: str) -> None:
        board.page.evaluate("document.fonts.ready")
        board.page.screenshot(path=FOLDER / f"{name}.png")
        print(f"docs/screenshots/{name}.png")
        board.close()

    def board(self, scheme: str) -> None:
        board = self.open(scheme, 1360, 860, device_scale_factor=1.5)
        board.page.click("#activity-button")
        change(self.people[SAM].rest, "Paint the north wall", priority="high")
        expect(board.card("Paint the north wall").locator(".fresh")).to_be_visible()
        expect(board.page.locator("#activity-list li").first).to_contain_text("to High")
        board.page.mouse.move(0, 0)
        self.shoot(board, f"board-{scheme}")
        change(self.people[SAM].rest, "Paint the north wall", priority="low")

    def phone(self, scheme: str) -> None:
        options = {"device_scale_factor": 2, "has_touch": True, "is_mobile": True}
        self.shoot(self.open(scheme, 390, 800, **options), f"phone-{scheme}")

    def conflict(self) -> None:
        board = self.open("light", 1180, 760, device_scale_factor=1.5)
        title = "Try the lending desk with five volunteers"
        editor = board.edit(title)
        editor.locator("[name=description]").fill("Friday at 4 pm; Lena brings the card printer.")
        change(self.people[JONAS].rest, title, description="Moved to Saturday, 11 am.")
        expect(editor.locator(".news")).to_contain_text("Saturday")
        board.save()
        expect(board.page.locator("#dialog")).to_be_visible()
        self.shoot(board, "conflict")

    def offline(self) -> None:
        board = self.open("light", 1180, 760, device_scale_factor=1.5)
        board.context.set_offline(True)
        board.state("Offline")
        board.add("Buy tape for the shelf labels")
        board.card("Agree opening hours with the café next door").locator(".open").focus()
        board.press("Shift+ArrowRight")
        board.state("Offline · 2 changes pending")
        board.column("in_progress").locator("h2").click()  # nothing is chosen any more
        self.shoot(board, "offline")

    def administration(self) -> None:
        board = self.open("dark", 1360, 860, "?view=admin", device_scale_factor=1.5)
        expect(board.page.locator("tbody tr")).to_have_count(6)
        expect(board.page.locator(".connected li")).to_have_count(4)
        chart = board.page.locator(".chart .line")
        expect(chart).to_have_attribute("d", re.compile("M"))
        for beat in range(24):  # some of it busy, as it is in life
            before = chart.get_attribute("d")
            for _ in range((0, 3, 9, 14, 8, 4, 2, 6)[beat % 8]):
                change(
                    self.people[PRIYA].rest, "Ask the city about the loading zone", **self.note()
                )
            expect(chart).not_to_have_attribute("d", before or "")
        self.shoot(board, "admin-dark")

    noted = 0

    def note(self) -> dict[str, str]:
        self.noted += 1
        return {"description": f"Called {self.noted} times."}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    server = Server(Path(tempfile.mkdtemp(prefix="screenshots-"))).start()
    try:
        people = seed(server)
        with browser.chromium() as chromium:
            others = [Board(chromium, server.url).sign_in(people[n]) for n in (JONAS, PRIYA, LENA)]
            studio = Studio(chromium, server, people)
            for scheme in ("light", "dark"):
                studio.board(scheme)
                studio.phone(scheme)
            studio.conflict()
            studio.offline()
            studio.administration()
            for other in others:
                other.close()
    finally:
        server.kill()


if __name__ == "__main__":
    main()
