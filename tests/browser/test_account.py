"""One's own account on the board: another password, and what becomes of one's other pages."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support import accounts
from tests.support.accounts import PASSWORD, Person
from tests.support.browser import Board

Open = Callable[..., Board]
FRESH = "another horse battery"


def fill(page: Page, old: str, fresh: str, again: str = "") -> None:
    for name, value in (("old", old), ("fresh", fresh), ("again", again or fresh)):
        page.fill(f"#dialog [name={name}]", value)
    page.get_by_role("button", name="Change password").last.click()


def test_another_password(board: Open, alice: Person) -> None:
    """This browser stays signed in, in both of its tabs; every other one is signed out."""
    one, elsewhere = board(alice), board()
    elsewhere.page.fill("[name=username]", alice.username)
    elsewhere.page.fill("[name=password]", PASSWORD)
    elsewhere.page.click("#sign-in-go")
    elsewhere.is_live()
    tab = one.context.new_page()
    tab.goto(one.url)
    expect(tab.locator("#state-text")).to_have_text("Live")
    page = one.page
    page.bring_to_front()  # or a frame is drawn once a second
    page.click("#me")
    page.click("#change-password")
    error = page.locator("#dialog .error")
    fill(page, PASSWORD, "short")
    expect(error).to_contain_text("8 characters")
    fill(page, PASSWORD, FRESH, "another house battery")
    expect(error).to_contain_text("not the same")
    fill(page, "not the password", FRESH)
    expect(error).to_have_text("That is not the password you have now.")
    fill(page, PASSWORD, FRESH)
    expect(page.locator(".toast")).to_have_text("Your password is changed.")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(elsewhere.page.locator("#sign-in")).to_be_visible()
    accounts.sign_in(one.url, alice.username, FRESH).rest.new_task("Sow")
    one.shows("todo", "Sow")  # all three are live under the new one
    expect(tab.locator(".title")).to_have_text(["Sow"])
    one.page.reload()
    one.is_live()


def test_signing_out_in_another_tab(board: Open, alice: Person) -> None:
    alice.rest.new_task("Sow")
    one = board(alice)
    one.shows("todo", "Sow")
    tab = one.context.new_page()
    tab.goto(one.url)
    expect(tab.locator("#state-text")).to_have_text("Live")
    one.context.set_offline(True)  # nor needs anybody the server for that
    tab.click("#me")
    tab.click("#sign-out")
    for page in (tab, one.page):
        expect(page.locator("#sign-in")).to_be_visible()
        assert "Sow" not in page.content()


def test_the_session_is_another_persons(board: Open, people: tuple[Person, ...]) -> None:
    """What was kept is not theirs, and goes once the server has said whose session it is."""
    alice, bob, _ = people
    alice.rest.new_task("Of Alice")
    bob.rest.new_task("Of Bob")
    one = board(alice)
    one.is_kept("Of Alice")
    one.has_session_of(bob)
    one.page.reload()
    expect(one.page.locator("#me-name")).to_have_text(bob.username)
    one.shows("todo", "Of Bob")
    one.is_live()
    one.is_kept("Of Bob")
