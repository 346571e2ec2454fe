"""The OpenAPI document is true, and the page that shows it stands on its own."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator, FormatChecker

from task_app.resources.docs import ASSETS
from tests.support import cli
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest

PREFIXES = ("", "/api", "/api/v1")
# Pages and their parts: nothing a program would call.
PAGES = {"static", "docs", "docs_asset", "board_asset", "board_worker"}
LIST_RULES = """
import json
from task_app import create_app

rules = create_app().url_map.iter_rules()
print(json.dumps([(rule.endpoint, rule.rule, list(rule.methods)) for rule in rules]))
"""
FOREIGN = re.compile(r"""(?:src|href|url)\s*[=:(]\s*["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    answer = Rest(server.url).get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_document_is_valid(document: dict[str, Any]) -> None:
    from openapi_spec_validator import validate  # every process of the suite would pay for it

    validate(document)
    ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(ids) == len(set(ids))
    assert all(o["summary"] for path in document["paths"].values() for o in path.values())


def test_every_route_is_in_it_and_nothing_else(document: dict[str, Any], tmp_path: Any) -> None:
    # In a process of its own: an application changes how this one's Socket.IO clients write JSON.
    environment = {"INSTANCE_PATH": str(tmp_path), "PATH": os.environ["PATH"]}
    listed = cli.python(LIST_RULES, environment).good()
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule), method)
        for endpoint, rule, methods in json.loads(listed)
        if endpoint not in PAGES
        for method in set(methods) - {"HEAD", "OPTIONS"}
    }
    told = {(path, m.upper()) for path, methods in document["paths"].items() for m in methods}
    assert told == served


def test_unchanged_document_is_not_sent_again(nobody: Rest) -> None:
    tag = nobody.get("/openapi.json").headers["ETag"]
    again = nobody.get("/openapi.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


class Checker:
    """Holds answers against the document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def check(self, path: str, answer: requests.Response) -> Any:
        """`path` is the operation's.  Returns the body."""
        assert answer.request.method is not None
        operation = self.document["paths"][path][answer.request.method.lower()]
        response = self.resolve(operation["responses"][str(answer.status_code)])
        for name, header in response.get("headers", {}).items():
            assert name in answer.headers or not self.resolve(header).get("required"), name
        schema = response["content"]["application/json"]["schema"]
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole, format_checker=FormatChecker()).validate(answer.json())
        return answer.json()

    def resolve(self, found: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in found:
            _, *keys = found["$ref"].split("/")
            found = self.document
            for key in keys:
                found = found[key]
        return found


@pytest.fixture
def checker(document: dict[str, Any]) -> Checker:
    return Checker(document)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_answers_about_tasks(
    checker: Checker, people: tuple[Person, ...], nobody: Rest, prefix: str
) -> None:
    alice, bob, charlie = people
    tasks, one = f"{prefix}/tasks", f"{prefix}/tasks/{{task_id}}"
    body = {"title": "Water the plants", "assigned_to": bob.id, "due_date": "2030-01-31"}
    task = checker.check(tasks, alice.rest.post(tasks, body))
    path = f"{tasks}/{task['id']}"
    assert checker.check(tasks, bob.rest.get(tasks))
    checker.check(one, alice.rest.get(path))
    checker.check(one, alice.rest.put(path, {"status": "in progress"}))
    checker.check(one, alice.rest.put(path, {"title": ""}))
    checker.check(one, alice.rest.put(path, {"title": "x"}, headers={"If-Match": '"1"'}))
    checker.check(one, alice.rest.request("PUT", path, data="x"))
    checker.check(one, charlie.rest.get(path))
    checker.check(one, bob.rest.delete(path))
    checker.check(one, nobody.get(path))
    operations = [
        {"op": "create", "data": {"title": "x"}},
        {"op": "update", "id": task["id"], "data": {"done": True}},
        {"op": "delete", "id": task["id"]},
    ]
    checker.check(f"{tasks}/bulk", alice.rest.post(f"{tasks}/bulk", {"operations": operations}))
    late = [{"op": "update", "id": alice.rest.new_task()["id"], "if_match": 7, "data": {}}]
    checker.check(f"{tasks}/bulk", alice.rest.post(f"{tasks}/bulk", {"operations": late}))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_answers_about_notifications(
    checker: Checker, people: tuple[Person, ...], admin: Person, prefix: str
) -> None:
    alice, bob, _ = people
    alice.rest.new_task(assigned_to=bob.id)
    url = f"{prefix}/notifications"
    notice = checker.check(url, bob.rest.get(url))[0]
    checker.check(f"{url}/{{notification_id}}", bob.rest.put(f"{url}/{notice['id']}"))
    checker.check(f"{url}/read", bob.rest.post(f"{url}/read"))
    broadcast = f"{prefix}/broadcast"
    checker.check(broadcast, admin.rest.post(broadcast, {"type": "note", "data": [1]}))
    checker.check(broadcast, bob.rest.post(broadcast, {"type": "note", "data": [1]}))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_answers_about_accounts(checker: Checker, nobody: Rest, admin: Person, prefix: str) -> None:
    name = unique("Dora")
    body = {"username": name, "password": PASSWORD}
    register, login, users = f"{prefix}/register", f"{prefix}/login", f"{prefix}/users"
    user = checker.check(register, nobody.post(register, body))["user"]
    checker.check(register, nobody.post(register, body))
    tokens = checker.check(login, nobody.post(login, body))
    checker.check(login, nobody.post(login, {**body, "password": "wrong"}))
    dora = Rest(nobody.url, tokens["token"])
    refresh, password = f"{prefix}/refresh", f"{prefix}/users/password"
    checker.check(refresh, nobody.post(refresh, {"refresh_token": tokens["refresh_token"]}))
    for path in ("/profile", "/users/profile", "/auth/verify"):
        checker.check(prefix + path, dora.get(prefix + path))
    passwords = {"old_password": PASSWORD, "new_password": PASSWORD + "!"}
    dora.token = checker.check(password, dora.put(password, passwords))["token"]
    checker.check(f"{prefix}/logout", dora.post(f"{prefix}/logout"))
    checker.check(users, admin.rest.get(users))
    checker.check(users, admin.rest.post(users, {**body, "username": unique("Erik")}))
    one = f"{users}/{{user_id}}"
    for method in ("GET", "PATCH", "DELETE", "GET"):
        options = {"json": {"role": "admin"}} if method == "PATCH" else {}
        checker.check(one, admin.rest.request(method, f"{users}/{user['id']}", **options))
    for path in ("/health", "/ready"):
        checker.check(prefix + path, nobody.get(prefix + path))


def test_page_loads_nothing_foreign(nobody: Rest) -> None:
    page = nobody.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<script>" not in page.text
    assert not FOREIGN.search(page.text)
    loaded = re.findall(r'(?:src|href)="(/docs/assets/([^"]+))"', page.text)
    assert {name for _, name in loaded} == set(ASSETS)
    for path, _ in loaded:
        answer = nobody.get(path)
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if path.endswith((".css", "docs.js")):
            assert not FOREIGN.search(answer.text)


@pytest.mark.parametrize("name", ["index.css", "..%2f__init__.py", "%2e%2e/docs.py", "docs.html"])
def test_other_files_are_not_served(nobody: Rest, name: str) -> None:
    assert nobody.get(f"/docs/assets/{name}").status_code == 404
