"""The board without its network, with two people on one task, with its server killed: nothing is
lost and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.support import accounts
from tests.support.accounts import PASSWORD, Person
from tests.support.browser import Board
from tests.support.server import Server

Open = Callable[..., Board]
# Keeps what the state becomes.
WATCH_STATE = """() => {
  const state = document.querySelector('#state');
  window.states = [state.dataset.state];
  new MutationObserver(() => {
    if (window.states.at(-1) !== state.dataset.state) window.states.push(state.dataset.state);
  }).observe(state, { attributes: true });
}"""


def test_conflict_shows_both_and_loses_nothing(board: Open, people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    task = alice.rest.new_task("Sow", assigned_to=bob.id)
    one = board(alice)
    editor = one.edit("Sow")
    editor.locator("[name=title]").fill("Sow the beans")
    editor.locator("[name=description]").fill("Two rows")
    bob.rest.put(f"/tasks/{task['id']}", {"title": "Sow the peas", "priority": "high"})
    expect(editor.locator(".news")).to_contain_text("Sow the peas")  # beside what Alice types
    expect(editor.locator("[name=title]")).to_have_value("Sow the beans")
    expect(editor.locator("[name=priority]")).to_have_value("high")  # she had not touched it
    one.save()
    dialog = one.page.locator("#dialog")
    expect(dialog).to_be_visible()
    expect(dialog.locator("textarea")).to_have_value("Sow the beans")
    expect(dialog.locator(".theirs")).to_have_text("Sow the peas")
    dialog.get_by_role("button", name="Decide later").click()
    expect(one.card("Sow the beans").locator(".note")).to_contain_text("Somebody else")
    one.page.reload()  # and it is not forgotten
    dialog.locator("textarea").fill("Sow beans and peas")
    one.page.reload()  # nor is what was typed there
    expect(dialog.locator("textarea")).to_have_value("Sow beans and peas")
    dialog.get_by_role("button", name="Save").click()
    one.shows("todo", "Sow beans and peas")
    one.is_live()
    found = alice.rest.get(f"/tasks/{task['id']}").json()
    kept = (found["title"], found["description"], found["priority"])
    assert kept == ("Sow beans and peas", "Two rows", "high")


def test_changes_of_other_fields_are_both_kept(board: Open, people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    task = alice.rest.new_task("Sow", assigned_to=bob.id)
    one = board(alice)
    one.context.set_offline(True)
    one.state("Offline")
    one.edit("Sow").locator("[name=title]").fill("Sow the beans")
    one.save()
    bob.rest.put(f"/tasks/{task['id']}", {"status": "in progress"})
    one.context.set_offline(False)
    one.shows("in_progress", "Sow the beans")
    one.is_live()
    found = alice.rest.get(f"/tasks/{task['id']}").json()
    assert (found["title"], found["status"]) == ("Sow the beans", "in_progress")


def test_what_was_typed_about_a_task_that_is_gone(board: Open, people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    task = bob.rest.new_task("Sow", assigned_to=alice.id)
    one = board(alice)
    editor = one.edit("Sow")
    editor.locator("[name=description]").fill("Two rows")
    bob.rest.delete(f"/tasks/{task['id']}")
    expect(editor.locator(".news")).to_contain_text("gone")
    one.save()
    one.page.locator("#dialog").get_by_role("button", name="Make a new task").click()
    one.shows("todo", "Sow")
    one.is_live()
    assert [t["description"] for t in alice.rest.get("/tasks").json()] == ["Two rows"]


def test_offline_changes_are_kept_and_sent(board: Open, people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    task = alice.rest.new_task("Sow", assigned_to=bob.id)
    one = board(alice)
    one.context.set_offline(True)
    one.state("Offline")
    one.add("Weed")
    one.edit("Weed").locator("[name=title]").fill("Weed the beds")
    one.save()
    one.card("Sow").locator(".open").focus()
    one.press("Shift+ArrowRight")
    one.state("Offline · 2 changes pending")
    assert one.card("Sow").get_attribute("class") == "card pending"
    bob.rest.put(f"/tasks/{task['id']}", {"description": "Two rows"})
    one.context.set_offline(False)
    one.is_live()
    one.shows("todo", "Weed the beds")
    one.shows("in_progress", "Sow")
    found = {t["title"]: t for t in alice.rest.get("/tasks").json()}
    assert set(found) == {"Sow", "Weed the beds"}
    assert found["Sow"]["status"] == "in_progress"
    assert found["Sow"]["description"] == "Two rows"


def test_what_a_closed_tab_left_is_sent_by_another(board: Open, alice: Person) -> None:
    one = board(alice)
    other = one.context.new_page()
    other.goto(one.url)
    expect(other.locator("#state-text")).to_have_text("Live")
    one.page.route(
        "**/tasks",
        lambda route: route.abort() if route.request.method == "POST" else route.continue_(),
    )
    one.add("Sow")
    one.state("Live · 1 change pending")
    one.page.close()
    expect(other.locator(".title")).to_have_text(["Sow"])
    expect(other.locator(".card.pending")).to_have_count(0)
    assert len(alice.rest.get("/tasks").json()) == 1


def test_signed_out_elsewhere_and_in_again(board: Open, alice: Person) -> None:
    """What was typed and what is pending is there again after signing in."""
    alice.rest.new_task("Sow")
    one = board(alice)
    one.context.set_offline(True)
    one.state("Offline")
    one.add("Weed")
    one.edit("Sow").locator("[name=description]").fill("Two rows")
    assert alice.rest.post("/logout").status_code == 200
    one.context.set_offline(False)
    page = one.page
    expect(page.locator("#sign-in")).to_contain_text("You were signed out")
    page.fill("[name=username]", alice.username)
    page.fill("[name=password]", PASSWORD)
    page.click("#sign-in-go")
    expect(page.locator(".editor [name=description]")).to_have_value("Two rows")
    one.save()
    one.is_live()
    rest = accounts.sign_in(one.url, alice.username, PASSWORD).rest
    found = {task["title"]: task["description"] for task in rest.get("/tasks").json()}
    assert found == {"Sow": "Two rows", "Weed": None}


def test_an_answer_that_was_lost_makes_no_second_task(board: Open, alice: Person) -> None:
    one = board(alice)
    lost: list[int] = []

    def lose(route: Any) -> None:
        if route.request.method != "POST" or lost:
            route.continue_()
            return
        lost.append(route.fetch().status)
        route.abort()

    one.page.route("**/tasks", lose)
    one.add("Sow")
    one.is_live()
    one.shows("todo", "Sow")
    expect(one.page.locator(".card.pending")).to_have_count(0)
    assert lost == [201]
    assert len(alice.rest.get("/tasks").json()) == 1


def test_killed_server_and_nothing_missed(board: Open, start: Callable[..., Server]) -> None:
    server = start()
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    there = alice.rest.new_task("There before", assigned_to=bob.id)
    one = board(alice, url=server.url)
    server.kill()
    one.state("Offline")
    one.page.evaluate(WATCH_STATE)
    one.add("Made while it was down")
    server.restart()
    bob.rest.put(f"/tasks/{there['id']}", {"status": "completed"})
    bob.rest.new_task("New from Bob", assigned_to=alice.id)
    one.is_live()
    one.shows("completed", "There before")
    expect(one.column("todo").locator(".title")).to_have_count(2)
    assert sorted(one.titles("todo")) == ["Made while it was down", "New from Bob"]
    assert len(alice.rest.get("/tasks").json()) == 3
    # It did not say that it was catching up with each try.
    assert one.page.evaluate("window.states") == ["offline", "catching-up", "live"]


def test_a_reload_keeps_what_was_being_typed(board: Open, alice: Person) -> None:
    alice.rest.new_task("Sow")
    one = board(alice)
    one.edit("Sow").locator("[name=description]").fill("Not yet saved")
    one.page.reload()
    expect(one.page.locator(".editor [name=description]")).to_have_value("Not yet saved")
    one.save()
    one.is_live()
    assert alice.rest.get("/tasks").json()[0]["description"] == "Not yet saved"


def test_deletion_can_be_taken_back(board: Open, alice: Person) -> None:
    alice.rest.new_task("Sow")
    one = board(alice)
    one.edit("Sow").locator(".delete").click()
    one.shows("todo")
    one.page.get_by_role("button", name="Undo").click()
    one.shows("todo", "Sow")
    one.is_live()
    one.card("Sow").locator(".open").focus()
    one.press("Delete")
    one.state("Live · 1 change pending")
    one.page.goto(f"{one.url}/health")  # who leaves does not take it back any more
    one.page.goto(one.url)
    one.is_live()
    one.shows("todo")
    assert alice.rest.get("/tasks").json() == []
