"""The board at `/`, in a real browser: two people, a broken network, a killed server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from task_app.resources.board import ASSETS
from tests.support import accounts, browser
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.browser import Board
from tests.support.clients import Rest
from tests.support.server import Server

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
MARKUP = "() => { try { document.body.innerHTML = 'x' } catch (error) { return error.name } }"
Open = Callable[..., Board]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as running:
        yield running


@pytest.fixture
def board(chromium: Browser, server: Server) -> Iterator[Open]:
    """Opens boards: `board(person)`, `board()` for nobody, `board(person, "?q=x")`."""
    opened: list[Board] = []

    def show(person: Person | None = None, query: str = "", url: str = "", **more: Any) -> Board:
        opened.append(Board(chromium, url or server.url, **more))
        if person is None:
            opened[-1].page.goto(opened[-1].url + "/" + query)
        return opened[-1].sign_in(person, query) if person else opened[-1]

    yield show
    for one in opened:
        one.close()


def test_sign_up_stay_and_sign_out(board: Open, server: Server) -> None:
    one = board()
    page = one.page
    name = unique("Ada")
    page.click("#sign-in-switch")
    page.fill("[name=username]", name)
    page.fill("[name=password]", "short")
    page.click("#sign-in-go")
    expect(page.locator("#sign-in-error")).to_contain_text("8 characters")
    page.fill("[name=password]", PASSWORD)
    page.click("#sign-in-go")
    one.is_live()
    page.reload()
    one.is_live()
    expect(page.locator("#me-name")).to_have_text(name)
    # What keeps Ada signed in is nowhere a script can read it.
    kept = page.evaluate(
        "[document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]"
    )
    assert kept[0] == ""
    assert not re.search(r"eyJ|\.ey", "".join(kept))
    (cookie,) = one.context.cookies(f"{server.url}/session")
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert one.context.cookies(f"{server.url}/tasks") == []
    page.click("#me")
    page.click("#sign-out")
    expect(page.locator("#sign-in")).to_be_visible()
    assert one.context.cookies(f"{server.url}/session") == []
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()


def test_programs_are_answered_in_json(nobody: Rest) -> None:
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json, text/html;q=0.9"}):
        answer = nobody.get("/", headers=accept)
        assert answer.json()["docs"] == "/docs"
        assert answer.headers["Vary"] == "Accept"


def test_page_loads_nothing_foreign_and_nothing_inline(nobody: Rest) -> None:
    page = nobody.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy
    assert not re.search(r"unsafe|https?:|\*|data:", policy)
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\s(?:style|on\w+)=", page.text)
    loaded = set(re.findall(r'(?:src|href)="/board/([^"]+)"', page.text))
    assert loaded == ASSETS  # every module is named, or the browser finds it late
    for name in loaded:
        answer = nobody.get(f"/board/{name}")
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        text = answer.text if name.endswith((".js", ".css")) else ""
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|innerHTML|\beval\(", text)
    for name in ("index.html", "inter-LICENSE.txt", "..%2f__init__.py", "none.js"):
        assert nobody.get(f"/board/{name}").status_code == 404


def test_wrong_password_is_said(board: Open, alice: Person) -> None:
    page = board().page
    page.fill("[name=username]", alice.username)
    page.fill("[name=password]", "not the password")
    page.click("#sign-in-go")
    expect(page.locator("#sign-in-error")).to_have_text("Wrong username or password.")


def test_two_people_see_each_other(board: Open, people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    hers, his = board(alice), board(bob)
    hers.add("Plant the beans")
    hers.shows("todo", "Plant the beans")
    editor = hers.edit("Plant the beans")
    editor.locator("[name=assigned_to]").select_option(label=bob.username)
    editor.locator("[name=due_date]").fill("2031-05-04")
    hers.save()
    his.shows("todo", "Plant the beans")
    expect(his.page.locator("#unread")).to_have_text("1")
    his.card("Plant the beans").drag_to(his.column("in_progress"))
    his.shows("in_progress", "Plant the beans")
    hers.shows("in_progress", "Plant the beans")
    expect(hers.card("Plant the beans").locator(".fresh")).to_have_text(f"{bob.username}: status")
    hers.page.click("#activity-button")
    expect(hers.page.locator("#activity-list li").first).to_contain_text(
        f"{bob.username} moved Plant the beans to “In progress”"
    )
    his.page.click("#bell")
    his.page.locator(".notice").click()
    expect(his.page.locator("#unread")).to_be_hidden()
    expect(his.card("Plant the beans").locator(".open")).to_be_focused()


def test_who_is_here(board: Open, people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    board(bob)
    hers = board(alice)
    hers.page.click("#here")
    expect(hers.page.locator("#here-list")).to_contain_text(bob.username)


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
    expect(page.locator("#sign-in")).to_be_visible()
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


def test_killed_server_and_nothing_missed(
    board: Open, start: Callable[..., Server], chromium: Browser
) -> None:
    server = start()
    alice, bob = accounts.people(server.url, "Alice", "Bob")
    there = alice.rest.new_task("There before", assigned_to=bob.id)
    one = board(alice, url=server.url)
    server.kill()
    one.state("Offline")
    one.add("Made while it was down")
    server.restart()
    bob.rest.put(f"/tasks/{there['id']}", {"status": "completed"})
    bob.rest.new_task("New from Bob", assigned_to=alice.id)
    one.is_live()
    one.shows("completed", "There before")
    expect(one.column("todo").locator(".title")).to_have_count(2)
    assert sorted(one.titles("todo")) == ["Made while it was down", "New from Bob"]
    assert len(alice.rest.get("/tasks").json()) == 3


def test_a_reload_keeps_what_was_being_typed(board: Open, alice: Person) -> None:
    alice.rest.new_task("Sow")
    one = board(alice)
    one.edit("Sow").locator("[name=description]").fill("Not yet saved")
    one.page.reload()
    expect(one.page.locator(".editor [name=description]")).to_have_value("Not yet saved")
    one.save()
    one.is_live()
    assert alice.rest.get("/tasks").json()[0]["description"] == "Not yet saved"


def test_all_by_keyboard(board: Open, alice: Person) -> None:
    one = board(alice)
    one.press("n")
    one.page.keyboard.type("Sow")
    one.press("Enter")
    one.page.keyboard.type("Weed")
    one.press("Enter", "Tab", "Tab")
    one.shows("todo", "Weed", "Sow")
    one.is_live()
    one.card("Weed").locator(".open").focus()
    one.press("ArrowDown", "Shift+ArrowRight")
    one.shows("in_progress", "Sow")
    expect(one.card("Sow").locator(".open")).to_be_focused()
    one.press("Enter")
    expect(one.page.locator(".editor [name=title]")).to_be_focused()
    one.press("ControlOrMeta+a")
    one.page.keyboard.type("Sow the beans")
    one.press("Control+Enter")
    one.shows("in_progress", "Sow the beans")
    one.press("ArrowLeft")
    expect(one.card("Weed").locator(".open")).to_be_focused()
    one.press("Delete")
    one.shows("todo")
    one.press("/")
    one.page.keyboard.type("beans")
    expect(one.page.locator("#found")).to_have_text("1 of 1 tasks")
    one.press("Escape", "Escape", "?")
    expect(one.page.locator("#dialog")).to_be_visible()
    one.press("Escape")
    expect(one.page.locator("#dialog")).to_be_hidden()


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


def test_filters_survive_a_reload(board: Open, people: tuple[Person, ...]) -> None:
    alice, bob, _ = people
    today = date.today()
    alice.rest.new_task("Bean poles", priority="high", assigned_to=bob.id)
    alice.rest.new_task("Beans", due_date=str(today - timedelta(days=3)))
    alice.rest.new_task("Peas", description="with the béans", due_date=str(today))
    one = board(alice)
    one.shows("todo", "Bean poles", "Beans", "Peas")
    one.page.select_option("[name=sort]", "title")
    one.page.fill("[name=q]", "BEAN")
    one.shows("todo", "Bean poles", "Beans", "Peas")
    one.page.select_option("[name=who]", label=bob.username)
    one.shows("todo", "Bean poles")
    one.page.reload()
    one.shows("todo", "Bean poles")
    expect(one.page.locator("#found")).to_have_text("1 of 3 tasks")
    expect(one.page.locator("[name=who] option:checked")).to_have_text(bob.username)
    one.page.click("#clear-filters")
    one.page.select_option("[name=due]", "overdue")
    one.shows("todo", "Beans")


def test_hostile_text_is_text(board: Open, people: tuple[Person, ...], admin: Person) -> None:
    alice, bob, _ = people
    one = board(alice)
    task = bob.rest.new_task(HOSTILE, description=HOSTILE, assigned_to=alice.id)
    one.shows("todo", HOSTILE)
    admin.rest.post("/broadcast", {"type": "announcement", "data": {"text": HOSTILE}})
    expect(one.page.locator(".toast")).to_contain_text(HOSTILE)
    admin.rest.post("/broadcast", {"type": "task_updated", "data": {"id": task["id"], "title": 1}})
    one.page.click("#bell")
    expect(one.page.locator(".notice")).to_contain_text(HOSTILE)
    one.press("Escape")
    one.page.click("#activity-button")
    expect(one.page.locator("#activity-list")).to_contain_text(HOSTILE)
    editor = one.edit(HOSTILE)
    expect(editor.locator("[name=description]")).to_have_value(HOSTILE)
    bob.rest.put(f"/tasks/{task['id']}", {"title": f"{HOSTILE}!"})
    one.press("Escape")
    one.shows("todo", f"{HOSTILE}!")
    assert one.page.title() == "Board"
    assert one.page.locator("img:not([src='/board/icon.svg']), body script").count() == 0
    # And were there a mistake, the page's policy would stop it.
    assert one.page.evaluate(MARKUP) == "TypeError"
    one.faults.clear()  # of that try alone


def test_administration(board: Open, people: tuple[Person, ...], admin: Person) -> None:
    alice, bob, _ = people
    his = board(bob)
    one = board(admin, "?view=admin")
    page = one.page
    row = page.locator("tr", has=page.get_by_text(alice.username, exact=True))
    row.get_by_role("checkbox").uncheck()
    expect(page.locator(".toast").first).to_have_text(f"{alice.username}: saved")
    assert alice.rest.get("/tasks").status_code == 401
    page.fill("[name=text]", "Tea is ready")
    page.get_by_role("button", name="Send").click()
    expect(his.page.locator(".toast")).to_contain_text("Tea is ready")
    expect(page.locator(".connected")).to_contain_text(bob.username)
    expect(page.locator(".chart")).to_have_attribute("aria-label", re.compile("now"))
    page.get_by_role("link", name="Board", exact=True).first.click()
    expect(page.locator("#columns")).to_be_visible()
    expect(his.page.locator("#views")).to_be_hidden()
    admin.rest.patch(f"/users/{bob.id}", {"is_active": False})
    expect(his.page.locator("#sign-in")).to_be_visible()
