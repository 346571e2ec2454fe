"""One error shape, whatever went wrong and wherever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from task_app import database
from tests.support import statements
from tests.support.accounts import Person
from tests.support.clients import Rest, Socket, error_of, nameless

JSON = {"Content-Type": "application/json"}
DEEP = 100_000
# Text that is not JSON, or not JSON we take.
BAD_JSON = {
    "nothing": b"",
    "half": b'{"title": ',
    "NaN": b'{"title": "x", "user_id": NaN}',
    "Infinity": b'{"title": "x", "user_id": -Infinity}',
    "1e400": b'{"title": "x", "user_id": 1e400}',
    "10^1000": b'{"title": "x", "user_id": 1' + b"0" * 1000 + b"}",
    "10^10000": b'{"title": "x", "user_id": 1' + b"0" * 10_000 + b"}",
    "duplicate key": b'{"title": "x", "title": "y"}',
    "deep array": b'{"title": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "lone surrogate": b'{"title": "\\ud800"}',
    "bad UTF-8": b'{"title": "\xff\xfe"}',
    "raw NUL": b'{"title": "a\x00b"}',
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
}
# JSON that does not say what a task is; the field that must be named.
BAD_FIELDS = {
    "NUL": ({"title": "a\x00b"}, "title"),
    "number for text": ({"title": 7}, "title"),
    "long title": ({"title": "x" * 201}, "title"),
    "long description": ({"title": "x", "description": "x" * 10_001}, "description"),
    "2^63": ({"title": "x", "assigned_to": 2**63}, "assigned_to"),
    "2^64": ({"title": "x", "assigned_to": 2**64}, "assigned_to"),
    "bool for id": ({"title": "x", "assigned_to": True}, "assigned_to"),
    "2026-02-30": ({"title": "x", "due_date": "2026-02-30"}, "due_date"),
    "year 0": ({"title": "x", "due_date": "0000-01-01"}, "due_date"),
    "week date": ({"title": "x", "due_date": "2026-W01"}, "due_date"),
    "other digits": ({"title": "x", "due_date": "٢٠٢٦-٠١-٠١"}, "due_date"),
    "half an id": ({"title": "x", "assigned_to": 1.5}, "assigned_to"),
    "1e300": ({"title": "x", "assigned_to": 1e300}, "assigned_to"),
    "unknown status": ({"title": "x", "status": "someday"}, "status"),
    "list for status": ({"title": "x", "status": ["todo"]}, "status"),
    "2 for done": ({"title": "x", "done": 2}, "done"),
    "object for done": ({"title": "x", "done": {}}, "done"),
    "contradiction": ({"title": "x", "done": True, "status": "in_progress"}, "done"),
    "unknown field": ({"title": "x", "colour": "red"}, "colour"),
}


def check_shape(body: Any, code: str | None = None) -> None:
    always = {"error", "message", "code"}
    assert always <= body.keys() <= always | {"errors", "request_id"}
    assert body["error"] == body["message"] != ""
    assert code in (None, body["code"])
    assert "Traceback" not in str(body)


def check(answer: requests.Response, status: int, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    check_shape(answer.json(), code)


@pytest.mark.fault("bodies")
@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json(alice: Person, body: bytes) -> None:
    answer = alice.rest.request("POST", "/tasks", data=body, headers=JSON)
    assert answer.elapsed.total_seconds() < 0.25
    check(answer, 400)
    assert alice.rest.get("/tasks").json() == []


@pytest.mark.fault("bodies")
@pytest.mark.parametrize(("body", "named"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_bad_fields(
    alice: Person, listen: Callable[..., Socket], body: dict[str, Any], named: str
) -> None:
    answer = alice.rest.post("/tasks", body)
    check(answer, 400, "validation_failed")
    assert list(answer.json()["errors"]) == [named]
    assert named in answer.json()["message"]
    assert nameless(listen(alice).call("create_task", body)) == error_of(answer)
    assert alice.rest.get("/tasks").json() == []


@pytest.mark.fault("bodies")
@pytest.mark.parametrize("payload", [None, [], [{"title": "x"}], "x", 7, True])
def test_no_object(alice: Person, payload: Any) -> None:
    answer = alice.rest.request("POST", "/tasks", json=payload) if payload is not None else (
        alice.rest.request("POST", "/tasks", data=b"null", headers=JSON)
    )  # fmt: skip
    check(answer, 400, "invalid_payload")
    assert alice.rest.get("/tasks").json() == []


def test_null_is_no_object_where_nothing_is_required(alice: Person) -> None:
    task = alice.rest.new_task()
    path = f"/tasks/{task['id']}"
    answer = alice.rest.request("PUT", path, data=b"null", headers=JSON)
    check(answer, 400, "invalid_payload")


@pytest.mark.fault("bodies")
@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", ";;"]
)
def test_media_type(alice: Person, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = alice.rest.request("POST", "/tasks", data=b'{"title": "x"}', headers=headers)
    check(answer, 415, "unsupported_media_type")


@pytest.mark.fault("bodies")
@pytest.mark.parametrize("extra", [1, 1 << 20])
def test_oversize(alice: Person, extra: int) -> None:
    body = b" " * ((1 << 20) + extra)
    check(alice.rest.request("POST", "/tasks", data=body, headers=JSON), 413)
    assert alice.rest.get("/tasks").status_code == 200


def test_http_errors(nobody: Rest, alice: Person) -> None:
    check(nobody.get("/nothing-here"), 404)
    check(alice.rest.get("/tasks/x"), 404)
    check(alice.rest.get("/tasks/0"), 404)
    check(alice.rest.get(f"/tasks/{2**63}"), 404)
    refused = alice.rest.request("DELETE", "/tasks")
    check(refused, 405)
    assert {"GET", "POST"} <= set(refused.headers["Allow"].split(", "))


@pytest.mark.fault("queries")
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", f"limit={10**9}", f"limit={10**30}", "limit=x", "sort=x"]
)
def test_odd_query(alice: Person, query: str) -> None:
    check(alice.rest.get(f"/tasks?{query}"), 400, "validation_failed")


@pytest.mark.parametrize("task_id", [2**63, -(2**63), 10**30, 0, -1])
def test_odd_ids_over_the_socket(
    alice: Person, listen: Callable[..., Socket], task_id: int
) -> None:
    body = listen(alice).call("get_task", {"id": task_id})
    check_shape(body)
    assert body["code"] in ("task_not_found", "validation_failed")


@pytest.mark.parametrize("task_id", ["x", "1.5", "\u0661", 1.5, True, None, [1], {"id": 1}])
def test_no_ids_over_the_socket(
    alice: Person, listen: Callable[..., Socket], task_id: object
) -> None:
    body = listen(alice).call("delete_task", {"id": task_id})
    check_shape(body, "validation_failed")
    assert list(body["errors"]) == ["id"]


def test_unauthorized_says_how(nobody: Rest) -> None:
    answer = nobody.get("/tasks")
    check(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_what_a_failed_statement_was_given_is_not_printed(tmp_path: Path) -> None:
    app = statements.prepared(tmp_path)
    insert = text("INSERT INTO tasks (title, user_id) VALUES (:title, 1)")
    with app.app_context(), pytest.raises(IntegrityError) as failed, database.writing(1) as tx:
        tx.execute(insert, {"title": "For nobody's eyes"})
    assert "tasks" in str(failed.value)
    assert "For nobody's eyes" not in str(failed.value)
