"""The board at `/`, in a real browser: what one sees and does there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from playwright.sync_api import expect

from task_app.resources.board import ASSETS
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.browser import Board
from tests.support.clients import Rest
from tests.support.server import Server

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
MARKUP = "() => { try { document.body.innerHTML = 'x' } catch (error) { return error.name } }"
Open = Callable[..., Board]


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
    for name in ("index.html", "..%2f__init__.py", "none.js"):
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


def test_a_notice_that_comes_while_the_list_is_read(
    board: Open, people: tuple[Person, ...]
) -> None:
    alice, bob, _ = people
    one = board(alice)
    late: list[Any] = []

    def delay(route: Any) -> None:
        """Answer with the list as it was before Bob's task."""
        late.append((route, route.fetch()))
        if len(late) == 1:
            bob.rest.new_task("Sow", assigned_to=alice.id)
        else:
            route.fulfill(response=late[-1][1])

    one.page.route("**/notifications?*", delay)
    one.page.reload()
    one.shows("todo", "Sow")
    route, answer = late[0]
    route.fulfill(response=answer)
    one.page.click("#bell")
    expect(one.page.locator(".notice")).to_have_count(1)
    expect(one.page.locator("#unread")).to_have_text("1")


def test_who_is_here(board: Open, people: tuple[Person, ...]) -> None:
    """Told as they come and go, and not asked for."""
    alice, bob, _ = people
    hers = board(alice)
    asked: list[str] = []
    hers.page.on("request", lambda request: asked.append(request.url))
    hers.page.click("#here")
    here = hers.page.locator("#here-list")
    expect(here).to_contain_text(f"{alice.username} (you)")
    his = board(bob)
    expect(here).to_contain_text(bob.username)
    his.page.goto(f"{his.url}/health")
    expect(here).not_to_contain_text(bob.username)
    assert not [url for url in asked if "here=" in url]


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
    one.press("Control+z")
    one.shows("todo", "Weed")
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
    admin.rest.patch(f"/users/{bob.id}", {"role": "admin"})
    his.page.get_by_role("link", name="Admin").click()
    expect(his.page.locator("#admin")).to_be_visible()
    admin.rest.patch(f"/users/{bob.id}", {"role": "member"})
    expect(his.page.locator("#admin")).to_be_hidden()
    admin.rest.patch(f"/users/{bob.id}", {"is_active": False})
    expect(his.page.locator("#sign-in")).to_be_visible()
