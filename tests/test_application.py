"""What the application does instead of Flask, for each request."""

from __future__ import annotations

import pytest
from flask import Blueprint
from werkzeug.exceptions import MethodNotAllowed, NotFound

from task_app.application import REMEMBERED_LENGTH, Application
from tests.support.clients import Rest


@pytest.fixture
def app() -> Application:
    made = Application(__name__)
    made.add_url_rule("/tasks", "list", lambda: "list")
    made.add_url_rule("/tasks/<int:number>", "one", lambda number: str(number))
    return made


def test_a_url_has_the_same_view_each_time(app: Application) -> None:
    for path, seen in (("/tasks", "list"), ("/tasks/7", "7"), ("/tasks/8", "8"), ("/tasks/7", "7")):
        with app.test_request_context(path):
            assert app.full_dispatch_request().get_data(as_text=True) == seen


def test_what_a_view_does_to_its_arguments_is_forgotten(app: Application) -> None:
    for _ in range(2):
        with app.test_request_context("/tasks/7") as context:
            assert context.request.view_args == {"number": 7}
            context.request.view_args.clear()


def test_what_does_not_match(app: Application) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            app.match("GET", "/tasks/x")
        with pytest.raises(MethodNotAllowed) as refused:
            app.match("POST", "/tasks/7")
        assert set(refused.value.valid_methods or ()) == {"GET", "HEAD", "OPTIONS"}


def test_long_urls_are_not_kept(app: Application) -> None:
    """A client invents as many as it likes, as long as it likes."""
    app.match("GET", "/tasks/" + "7" * REMEMBERED_LENGTH)
    assert app.remembered.cache_info().currsize == 0
    app.match("GET", "/tasks/7")
    assert app.remembered.cache_info().currsize == 1


def test_urls_are_made(app: Application) -> None:
    """By Flask itself; their functions are compiled by the first."""
    for number in (7, 8):
        assert app.matcher.build("one", {"number": number}) == f"/tasks/{number}"
    assert app.matcher.build("list", {"page": 2}) == "/tasks?page=2"


def test_what_one_may_do(nobody: Rest) -> None:
    """OPTIONS, of a URL with arguments."""
    answer = nobody.request("OPTIONS", "/tasks/7")
    assert answer.status_code == 200
    told = {method.strip() for method in answer.headers["Allow"].split(",")}
    assert told == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}


def test_hooks_of_a_blueprint_are_refused(app: Application) -> None:
    """They would not be called."""
    hooked = Blueprint("hooked", __name__)
    hooked.before_request(lambda: None)
    with pytest.raises(TypeError, match="hooks"):
        app.register_blueprint(hooked)
