"""Every route and every kind of person.

The URL map of the application itself says which routes there are: one that is not in the table
fails `test_every_route_is_in_the_table` until somebody has thought about who may use it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest

from config import Config
from task_app import create_app
from task_app.realtime.door import PATHS
from tests.support import accounts
from tests.support.accounts import PASSWORD, Person, unique
from tests.support.clients import Rest, content_of
from tests.support.server import Server

PREFIXES = ("", "/api", "/api/v1")
WHO = ("nobody", "other", "former", "disabled", "member", "admin")
ABSENT = 2_000_000_000  # nothing has this id
Row = tuple[int, ...]

# Statuses for nobody, another user, a former assignee, a disabled user, the member whose things
# they are, and an admin.  400 is an empty body, looked at once somebody has been let in.
OPEN: Row = (200, 200, 200, 200, 200, 200)
PUBLIC: Row = (400, 400, 400, 400, 400, 400)
OWN: Row = (401, 200, 200, 401, 200, 200)  # about oneself
ENTERED: Row = (401, 400, 400, 401, 400, 400)
MADE: Row = (401, 201, 201, 401, 201, 201)
TASK: Row = (401, 404, 404, 401, 200, 200)  # the member's
NOTICE: Row = (401, 404, 404, 401, 200, 404)  # the member's: not even an admin's
ADMINS: Row = (401, 403, 403, 401, 403, 200)
ACCOUNT: Row = (401, 403, 403, 401, 200, 200)  # the member's
TABLE: dict[str, Row] = {
    "POST /register": PUBLIC,
    "POST /users/register": PUBLIC,
    "POST /auth/register": PUBLIC,
    "POST /login": PUBLIC,
    "POST /users/login": PUBLIC,
    "POST /auth/login": PUBLIC,
    "POST /refresh": (400, 200, 200, 401, 200, 200),
    "POST /auth/refresh": (400, 200, 200, 401, 200, 200),
    "POST /logout": OWN,
    "POST /users/logout": OWN,
    "POST /auth/logout": OWN,
    "POST /session": PUBLIC,
    "PUT /session": (401,) * 6,  # a cookie is what counts: test_sessions
    "DELETE /session": (401,) * 6,
    "PATCH /session": ENTERED,
    "GET /people": OWN,
    "GET /activity": OWN,
    "GET /auth/verify": OWN,
    "PUT /users/password": ENTERED,
    "POST /users/password": ENTERED,
    "PUT /auth/password": ENTERED,
    "POST /auth/password": ENTERED,
    "GET /users/profile": OWN,
    "PUT /users/profile": OWN,
    "PATCH /users/profile": OWN,
    "GET /profile": OWN,
    "PUT /profile": OWN,
    "PATCH /profile": OWN,
    "GET /users": ADMINS,
    "POST /users": (401, 403, 403, 401, 403, 201),
    "GET /users/<int:user_id>": ACCOUNT,
    "PUT /users/<int:user_id>": ADMINS,
    "PATCH /users/<int:user_id>": ADMINS,
    "DELETE /users/<int:user_id>": ADMINS,
    "GET /tasks": OWN,
    "POST /tasks": MADE,
    "POST /tasks/bulk": OWN,
    "GET /tasks/<int:task_id>": TASK,
    "PUT /tasks/<int:task_id>": TASK,
    "PATCH /tasks/<int:task_id>": TASK,
    "DELETE /tasks/<int:task_id>": TASK,
    "GET /notifications": OWN,
    "POST /notifications/read": OWN,
    "PUT /notifications/<int:notification_id>": NOTICE,
    "PATCH /notifications/<int:notification_id>": NOTICE,
    "POST /notifications/<int:notification_id>": NOTICE,
    "POST /broadcast": ADMINS,
    "GET /events": OWN,
    "POST /ws/ticket": MADE,
    "GET /health": OPEN,
    "GET /ready": OPEN,
}
# Routes that are under no prefix.
ELSEWHERE: dict[str, Row] = {
    "GET /metrics": OPEN,
    "GET /openapi.json": OPEN,
    "GET /asyncapi.json": OPEN,
    "GET /": OPEN,
    "GET /board/<name>": (404,) * 6,  # only the names that are there
    "GET /service-worker.js": OPEN,
    "GET /docs": OPEN,
    "GET /docs/assets/<name>": (404,) * 6,  # only the names that the page loads
}
# These are upgrades, and in no URL map: `test_access_sockets.py` has who may what over them.
WEBSOCKETS = {"/api/v1/ws", "/ws", "/ws/tasks", "/ws/native"}
# What is sent where an empty object would not do.
BODIES: dict[str, Any] = {
    "POST /tasks": {"title": "Sow"},
    "POST /tasks/bulk": {"operations": [{"op": "create", "data": {"title": "Sow"}}]},
    "POST /broadcast": {"type": "custom", "data": None},
}


def _routes() -> list[tuple[str, str, Row]]:
    """Every route, its row's name in the tables, and the row."""
    found = [(route, route, row) for route, row in ELSEWHERE.items()]
    for route, row in TABLE.items():
        method, path = route.split()
        found += [(f"{method} {prefix}{path}", route, row) for prefix in PREFIXES]
    return found


ROUTES = _routes()


def test_every_route_is_in_the_table(tmp_path: Path) -> None:
    app = create_app(Config({"INSTANCE_PATH": str(tmp_path)}, async_mode="threading"))
    there = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert there == {route for route, _, _ in ROUTES}


def test_every_websocket_is_known() -> None:
    assert set(PATHS) == WEBSOCKETS


@pytest.fixture(scope="module")
def people(server: Server, admin: Person) -> dict[str, Person | None]:
    other, former, disabled, member = accounts.people(
        server.url, "Other", "Former", "Disabled", "Member"
    )
    admin.rest.patch(f"/users/{disabled.id}", {"is_active": False})
    return dict(zip(WHO, (None, other, former, disabled, member, admin), strict=True))


def things(people: dict[str, Person | None]) -> dict[str, int]:
    """A task of the member's that the former assignee had once, a notification, an account."""
    member, former, admin = people["member"], people["former"], people["admin"]
    assert member and former and admin
    task = member.rest.new_task(assigned_to=former.id)
    member.rest.patch(f"/tasks/{task['id']}", {"assigned_to": None})
    admin.rest.new_task(assigned_to=member.id)
    notice = member.rest.get("/notifications?limit=1").json()[0]
    return {"task_id": task["id"], "notification_id": notice["id"], "user_id": member.id}


def account(people: dict[str, Person | None], username: str) -> int:
    admin = people["admin"]
    assert admin
    made = admin.rest.post("/users", {"username": username, "password": PASSWORD})
    return int(made.json()["user"]["id"])


def another_session(server: Server, person: Person) -> Rest:
    """The same person with a token of a session that may be ended."""
    claims = jwt.decode(person.token, options={"verify_signature": False})
    secret = (server.instance / "jwt_secret_key").read_text()
    return Rest(server.url, jwt.encode(claims | {"sid": unique("session")}, secret, "HS256"))


def at(path: str, ids: dict[str, int]) -> str:
    for name, value in ids.items():
        path = path.replace(f"<int:{name}>", str(value))
    return path


def body_of(key: str, person: Person | None) -> Any:
    if key == "POST /users":
        return {"username": unique("New"), "password": PASSWORD}
    if key.endswith("/refresh") and person:
        return {"refresh_token": person.refresh_token}
    return None if key.startswith("GET ") else BODIES.get(key, {})


def ask(client: Rest, method: str, path: str, body: Any) -> tuple[int, Any]:
    """The status; and of a 404 all that it tells, which must not be whether there is something."""
    # The event stream has no end: only its beginning is read.
    with client.request(method, path, json=body, stream=True) as answer:
        if answer.status_code != 404:
            return answer.status_code, None
        return 404, (content_of(answer), sorted(answer.headers))


@pytest.mark.fault("access")
@pytest.mark.parametrize(("route", "key", "row"), ROUTES, ids=[route for route, _, _ in ROUTES])
def test_who_may(
    server: Server, people: dict[str, Person | None], route: str, key: str, row: Row
) -> None:
    method, path = route.split()
    ids = things(people)
    given = []
    for who, person in people.items():
        if method == "DELETE":  # each finds it there
            ids = things(people) | {"user_id": account(people, unique("Doomed"))}
        client = another_session(server, person) if person else Rest(server.url)
        body = body_of(key, person)
        status, told = ask(client, method, at(path, ids), body)
        given.append(status)
        if status == 404:
            absent = at(path, dict.fromkeys(ids, ABSENT))
            assert ask(client, method, absent, body) == (404, told), who
    assert dict(zip(people, given, strict=True)) == dict(zip(people, row, strict=True))
