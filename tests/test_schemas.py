"""Every spelling in, one out."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from task_app import schemas
from task_app.actions.tasks import resolve_status
from task_app.commands import COMMANDS
from task_app.errors import AppError
from task_app.models.task import PRIORITIES, STATUSES
from task_app.schemas import load
from task_app.schemas.fields import Input
from task_app.schemas.task import (
    TASK_ALIASES,
    TASK_READ_ONLY,
    NewTask,
    Nothing,
    TaskChange,
    TaskQuery,
)

CHANGE = TaskChange()
# The words of the five client families.
STATUS_WORDS = {
    "todo": ["todo", "ToDo", "TODO", "to_do", "To Do", "Pending", "pending"],
    "in_progress": ["in_progress", "InProgress", "In Progress", "in-progress", "IN_PROGRESS"],
    "completed": ["completed", "Completed", "Done", "done", "COMPLETED"],
}
PRIORITY_WORDS = {word: [word, word.capitalize(), word.upper()] for word in PRIORITIES}
WORDS = [
    (field, kept, word)
    for field, table in (("status", STATUS_WORDS), ("priority", PRIORITY_WORDS))
    for kept, words in table.items()
    for word in words
]


def test_vocabularies_are_whole() -> None:
    assert tuple(STATUS_WORDS) == STATUSES


@pytest.mark.parametrize(("field", "kept", "word"), WORDS)
def test_words(field: str, kept: str, word: str) -> None:
    assert load(CHANGE, {field: word}) == {field: kept}


@given(word=st.sampled_from(WORDS), seed=st.integers())
def test_words_in_any_dress(word: tuple[str, str, str], seed: int) -> None:
    """Case, spaces, dashes and underscores do not count, wherever they are."""
    field, kept, text = word
    dice = random.Random(seed)
    dressed = "".join(
        dice.choice([char.lower(), char.upper()]) + dice.choice(["", "", "-", "_", " "])
        for char in text
    )
    if len(dressed) <= 32:
        assert load(CHANGE, {field: dressed}) == {field: kept}


@given(field=st.sampled_from(["status", "priority"]), text=st.text())
def test_no_other_words(field: str, text: str) -> None:
    try:
        kept = load(CHANGE, {field: text})[field]
    except AppError as error:
        assert (error.status, list(error.fields or {})) == (400, [field])
    else:
        assert kept in STATUSES + PRIORITIES


@pytest.mark.parametrize(("alias", "name"), TASK_ALIASES.items())
def test_names(alias: str, name: str) -> None:
    value: Any = {"status": "todo", "done": True, "due_date": "2026-01-31"}.get(name, 7)
    assert load(CHANGE, {alias: value}) == {name: value}
    other: Any = {"status": "done", "done": False, "due_date": None}.get(name, 8)
    own = load(CHANGE, {name: value})
    assert load(CHANGE, {alias: other, name: value}) == own  # our own name wins,
    assert load(CHANGE, {name: value, alias: other}) == own  # in whatever order


@pytest.mark.parametrize("name", sorted(TASK_READ_ONLY))
def test_read_only_is_ignored(name: str) -> None:
    assert load(CHANGE, {name: "whatever", "title": "x"}) == {"title": "x"}
    assert load(Nothing(), {name: 7}) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(body=st.dictionaries(st.sampled_from(sorted(CHANGE.fields)) | st.text(), JSON))
def test_anything_is_taken_whole_or_refused(body: dict[str, Any]) -> None:
    try:
        data = load(CHANGE, body)
    except AppError as error:
        assert error.code == "validation_failed"
        assert error.fields
        return
    assert load(CHANGE, data) == data  # what is kept means itself


@given(text=st.text(max_size=300))
def test_titles(text: str) -> None:
    fits = 1 <= len(text.strip()) <= 200 and "\x00" not in text.strip()
    try:
        assert load(NewTask(), {"title": text}) == {"title": text.strip()}
        assert fits
    except AppError:
        assert not fits


@given(day=st.dates() | st.dates().map(str) | st.text(max_size=12))
def test_days(day: date | str) -> None:
    try:
        kept = load(CHANGE, {"due_date": day})["due_date"]
    except AppError:
        found = _as_date(str(day))
        assert found is None or str(found) != day  # it was no text of a day
    else:
        assert kept == day == str(date.fromisoformat(kept))


def _as_date(text: str) -> date | None:
    try:
        return date(*map(int, text.split("-")))
    except (ValueError, TypeError, OverflowError):
        return None


BAD = "contradiction"
# (current status, what comes in) -> the status then.
RESOLVED = [
    ("todo", {}, "todo"),
    ("todo", {"done": True}, "completed"),
    ("todo", {"done": False}, "todo"),
    ("in_progress", {"done": False}, "in_progress"),
    ("in_progress", {"done": True}, "completed"),
    ("completed", {"done": False}, "todo"),
    ("completed", {"done": True}, "completed"),
    ("todo", {"status": "completed"}, "completed"),
    ("completed", {"status": "in_progress"}, "in_progress"),
    ("todo", {"status": "completed", "done": True}, "completed"),
    ("completed", {"status": "todo", "done": False}, "todo"),
    # A client changes one of the two and sends back the other as it read it.
    ("todo", {"status": "completed", "done": False}, "completed"),
    ("todo", {"status": "todo", "done": True}, "completed"),
    ("completed", {"status": "in_progress", "done": True}, "in_progress"),
    ("completed", {"status": "completed", "done": False}, "todo"),
    ("in_progress", {"status": "in_progress", "done": True}, "completed"),
    # Both differ from what is, and do not agree.
    ("todo", {"status": "in_progress", "done": True}, BAD),
    ("in_progress", {"status": "todo", "done": True}, BAD),
]


@pytest.mark.parametrize(("current", "data", "wanted"), RESOLVED)
def test_done_and_status(current: str, data: dict[str, Any], wanted: str) -> None:
    if wanted == BAD:
        with pytest.raises(AppError) as caught:
            resolve_status(data, current)
        assert caught.value.fields == {"done": ["Contradicts the status."]}
    else:
        assert resolve_status(data, current) == wanted


def test_long_words_are_not_remembered() -> None:
    before = schemas._load_words.cache_info().currsize
    for number in range(5):
        assert schemas.load(TaskQuery(), {"q": " " * 5_000 + str(number)})["q"] == str(number)
    assert schemas._load_words.cache_info().currsize == before


SCHEMAS = sorted(
    {type(command.schema) for command in COMMANDS.values()}, key=lambda one: one.__name__
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 12),
    st.floats(allow_nan=False),
    st.sampled_from(["", " ", "x", "7", "done", "High", "2026-02-28", "2026-02-30", "a@b.example"]),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["op", "title"]), st.text(max_size=2), max_size=2),
)


def outcome(load: Callable[[], Any]) -> Any:
    try:
        return "right", load()
    except ValidationError as error:
        return "wrong", error.normalized_messages()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_what_is_right_at_once_is_what_marshmallow_takes(schema: type[Input]) -> None:
    """`Input.load` against marshmallow's own: the same values, in the same order, or the same
    errors."""
    names = [*schema().fields, *schema.ALIASES, *sorted(schema.READ_ONLY), "other"]

    # There are many schemas, and other payloads in each run.
    @settings(max_examples=30)
    @given(payload=st.dictionaries(st.sampled_from(names), VALUES, max_size=5))
    def alike(payload: dict[str, Any]) -> None:
        ours = outcome(lambda: schema().load(payload))
        theirs = outcome(lambda: Schema.load(schema(), payload))
        assert ours == theirs
        assert [*ours[1]] == [*theirs[1]]

    alike()
