"""What comes in: marshmallow schemas, one file per entity.

Schemas check and normalise input; output is made by `queries` and `dialects`, because dumping
through a schema costs more than the query it follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from marshmallow import Schema, ValidationError

from task_app.errors import AppError, invalid

MOST_CHARACTERS = 1_000  # of an input that is remembered


def load(schema: Schema, payload: Any) -> dict[str, Any]:
    """The checked and normalised payload.  Raises `AppError` 400 that names the fields."""
    if not isinstance(payload, Mapping):
        raise AppError("invalid_payload", 400, "The payload must be a JSON object")
    if getattr(schema, "REPEATED", False) and _are_few_words(payload):
        return _load_words(schema, tuple(payload.items())).copy()
    return _load(schema, payload)


def _are_few_words(payload: Mapping[str, Any]) -> bool:
    """Whether what it means may be remembered: texts, and not much of them."""
    if not payload:
        return True
    if not all(type(value) is str for value in payload.values()):
        return False
    return sum(len(name) + len(value) for name, value in payload.items()) <= MOST_CHARACTERS


@lru_cache(maxsize=2048)
def _load_words(schema: Schema, words: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return _load(schema, dict(words))


def _load(schema: Schema, payload: Mapping[str, Any]) -> dict[str, Any]:
    try:
        data: dict[str, Any] = schema.load(payload)
    except ValidationError as error:
        raise invalid(error.normalized_messages()) from error
    return data
