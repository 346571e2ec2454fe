"""Every family's spelling in, everywhere; one spelling out in each family's own place."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_app.dialects import CHANNELS, FIBER, GIN, NATIVE, Dialect
from task_app.schemas import load
from task_app.schemas.task import TASK_ALIASES, TaskChange, TaskQuery
from task_app.schemas.user import ProfileChange, UserChange
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.server import Server

CHANGE = TaskChange()
# Ours -> as each family writes it.
STATUS = {
    "todo": {"native": "todo", "channels": "todo", "fiber": "ToDo", "gin": "todo"},
    "in_progress": {
        "native": "in_progress",
        "channels": "in_progress",
        "fiber": "InProgress",
        "gin": "in-progress",
    },
    "completed": {
        "native": "completed",
        "channels": "completed",
        "fiber": "Done",
        "gin": "completed",
    },
}
PRIORITY = {
    word: {"native": word, "channels": word, "fiber": word.capitalize(), "gin": word}
    for word in ("low", "medium", "high")
}
ASSIGNEE = {
    "native": "assigned_to",
    "channels": "assigned_user",
    "fiber": "assigned_to",
    "gin": "assigneeId",
}
STATUS_KEY = {name: "statusId" if name == "gin" else "status" for name in ASSIGNEE}
DIALECTS = {dialect.name: dialect for dialect in (NATIVE, CHANNELS, FIBER, GIN)}
MORE_STATUS_WORDS = {"Pending": "todo", "In Progress": "in_progress", "Completed": "completed"}

WORDS_IN = [
    (ours, word) for ours, spelt in STATUS.items() for word in sorted(set(spelt.values()))
] + [(ours, word) for word, ours in MORE_STATUS_WORDS.items()]
MOMENT = "2026-01-31T09:30:00.000000Z"
tasks = st.fixed_dictionaries(
    {
        "id": st.integers(1, 2**31 - 1),
        "title": st.text(min_size=1).map(lambda text: f"x{text}x"[:200]),
        "description": st.none() | st.text(),
        "status": st.sampled_from(sorted(STATUS)),
        "priority": st.sampled_from(sorted(PRIORITY)),
        "due_date": st.none() | st.dates().map(str),
        "user_id": st.integers(1, 2**31 - 1),
        "created_by": st.integers(1, 2**31 - 1),
        "assigned_to": st.none() | st.integers(1, 2**31 - 1),
        "created_at": st.just(MOMENT),
        "updated_at": st.just(MOMENT),
        "version": st.integers(1, 1000),
    }
).map(lambda task: task | {"done": task["status"] == "completed"})
dialects = st.sampled_from(list(DIALECTS.values()))


def storable(task: dict[str, Any]) -> bool:
    text = task["title"] + (task["description"] or "")
    return not re.search("[\x00\ud800-\udfff]", text)


@given(task=tasks.filter(storable), dialect=dialects)
def test_what_goes_out_comes_back_the_same(task: dict[str, Any], dialect: Dialect) -> None:
    """A client may send back what it read: it says what the task already is."""
    back = load(CHANGE, dialect.task(task))
    assert back == {name: task[name] for name in back}
    assert {"title", "description", "status", "priority", "assigned_to", "due_date"} <= back.keys()


@given(task=tasks, dialect=dialects)
def test_one_spelling_out(task: dict[str, Any], dialect: Dialect) -> None:
    spelt, name = dialect.task(task), dialect.name
    assert spelt[STATUS_KEY[name]] == STATUS[task["status"]][name]
    assert spelt["priority"] == PRIORITY[task["priority"]][name]
    assignee = spelt[ASSIGNEE[name]]
    assert assignee == task["assigned_to"] or assignee == str(task["assigned_to"])
    other_keys = (set(STATUS_KEY.values()) | set(ASSIGNEE.values())) - {
        STATUS_KEY[name],
        ASSIGNEE[name],
    }
    assert not other_keys & spelt.keys()


@given(
    pair=st.sampled_from(WORDS_IN),
    key=st.sampled_from(["status", *(a for a, ours in TASK_ALIASES.items() if ours == "status")]),
)
def test_every_status_in_under_every_name(pair: tuple[str, str], key: str) -> None:
    ours, word = pair
    assert load(CHANGE, {key: word}) == {"status": ours}
    assert load(TaskQuery(), {key: word})["status"] == ours


@pytest.mark.parametrize("word", ["member", "Member", "user", "User", "USER"])
def test_roles(word: str) -> None:
    assert load(UserChange(), {"role": word}) == {"role": "member"}
    assert load(UserChange(), {"role": "Admin"}) == {"role": "admin"}
    assert load(ProfileChange(), {"name": word}) == {"username": word}


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    return accounts.register(server.url, "Alice")


PREFIXES = {"native": "", "channels": "/api", "fiber": "/api/v1"}


@settings(max_examples=30)
@given(
    way_in=st.sampled_from(sorted(PREFIXES)),
    words=st.sampled_from(WORDS_IN),
    writer=st.sampled_from(sorted(DIALECTS)),
    priority=st.sampled_from(sorted(PRIORITY)),
)
def test_all_are_understood_everywhere(
    alice: Person, way_in: str, words: tuple[str, str], writer: str, priority: str
) -> None:
    """Whichever family writes, under whichever prefix: each reader finds its own words."""
    status, word = words
    body = {
        "title": "Sow",
        STATUS_KEY[writer]: word,
        "priority": PRIORITY[priority][writer],
        ASSIGNEE[writer]: alice.id,
    }
    made = alice.rest.post(f"{PREFIXES[way_in]}/tasks", body)
    assert made.status_code == 201, made.text
    for name, prefix in PREFIXES.items():
        task = alice.rest.get(f"{prefix}/tasks/{made.json()['id']}").json()
        assert task["status"] == STATUS[status][name]
        assert task["priority"] == PRIORITY[priority][name]
        assert task[ASSIGNEE[name]] == alice.id
