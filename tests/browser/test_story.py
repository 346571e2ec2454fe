"""Somebody who has never read a word about the board opens it, works with a second person, loses
the network, comes back, and finds everything in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support import accounts
from tests.support.accounts import PASSWORD, unique
from tests.support.browser import Board
from tests.support.network import Network
from tests.support.server import Server


@pytest.fixture
def network(server: Server) -> Iterator[Network]:
    one = Network(server.port)
    yield one
    one.close()


def sign_up(board: Board, name: str) -> None:
    """By what the page says alone."""
    page = board.page
    page.goto(board.url)
    page.get_by_role("button", name="Create an account").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    board.is_live()


def test_two_people_and_a_lost_network(chromium: Browser, server: Server, network: Network) -> None:
    ada_name, ben_name = unique("Ada"), unique("Ben")
    ada = Board(chromium, network.url, service_workers="allow")
    page = ada.page
    sign_up(ada, ada_name)
    expect(ada.column("todo").locator(".empty")).to_contain_text("Add a task above")
    ada.add("Book the hall")
    ada.add("Ask for chairs")
    ada.shows("todo", "Ask for chairs", "Book the hall")

    # A second person comes, and is seen to.
    ben = Board(chromium, server.url)
    sign_up(ben, ben_name)
    page.get_by_role("button", name=re.compile("here$")).click()
    expect(page.get_by_role("region", name="Who is here")).to_contain_text(ben_name)
    ada.press("Escape")
    ada.edit("Book the hall").get_by_label("Assignee").select_option(label=ben_name)
    ada.save()
    ben.shows("todo", "Book the hall")
    ben.page.get_by_role("button", name="1 unread notification").click()
    ben.page.locator(".notice", has_text="Book the hall").click()
    expect(ben.card("Book the hall").locator(".open")).to_be_focused()
    ben.press("Shift+ArrowRight")
    ada.shows("in_progress", "Book the hall")
    expect(ada.card("Book the hall").locator(".fresh")).to_have_text(f"{ben_name}: status")

    # The network goes. Both go on; what Ada does is kept, through a page that is opened anew.
    ada.is_kept("Book the hall", "in_progress")
    network.cut()
    ada.state("Offline")
    ada.add("Print the programme")
    ada.edit("Ask for chairs").get_by_label("Description").fill("Forty of them")
    ada.save()
    ada.edit("Book the hall").get_by_label("Description").fill("The large one, from six")
    ben.edit("Book the hall").get_by_label("Due").fill("2031-05-04")
    ben.save()
    ben.is_live()
    page.reload()
    expect(page.locator("#state-text")).to_have_text(
        re.compile(r"^Offline · as of .* · 2 changes pending$")
    )
    ada.shows("todo", "Print the programme", "Ask for chairs")
    editor = page.locator(".editor")  # as it was left
    expect(editor.get_by_label("Description")).to_have_value("The large one, from six")
    ada.save()
    ada.shows("in_progress", "Book the hall")

    # It comes back, and so does everything.
    network.mend()
    ada.is_live()
    ada.shows("todo", "Print the programme", "Ask for chairs")
    expect(page.locator(".card.pending")).to_have_count(0)
    expect(ada.card("Book the hall").locator(".due")).to_contain_text("2031")
    expect(ben.edit("Book the hall").get_by_label("Description")).to_have_value(
        "The large one, from six"
    )
    page.get_by_role("button", name="Activity", exact=True).click()
    activity = page.get_by_role("complementary", name="Activity")
    expect(activity.get_by_role("listitem")).to_have_count(8)
    expect(activity).to_contain_text(f"{ben_name} set the due date of Book the hall")
    rest = accounts.sign_in(server.url, ada_name, PASSWORD).rest
    fields = ("description", "status", "due_date")
    tasks = rest.get("/tasks").json()
    assert {task["title"]: tuple(task[name] for name in fields) for task in tasks} == {
        "Book the hall": ("The large one, from six", "in_progress", "2031-05-04"),
        "Ask for chairs": ("Forty of them", "todo", None),
        "Print the programme": (None, "todo", None),
    }
    ada.close()
    ben.close()
