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


def load(schema: Schema, payload: Any) -> dict[str, Any]:
    """The checked and normalised payload.  Raises `AppError` 400 that names the fields."""
    if not isinstance(payload, Mapping):
        raise AppError("invalid_payload", 400, "The payload must be a JSON object")
    if getattr(schema, "REPEATED", False) and all(type(v) is str for v in payload.values()):
        return _load_words(schema, tuple(payload.items())).copy()
    return _load(schema, payload)


@lru_cache(maxsize=2048)
def _load_words(schema: Schema, words: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return _load(schema, dict(words))


def _load(schema: Schema, payload: Mapping[str, Any]) -> dict[str, Any]:
    try:
        data: dict[str, Any] = schema.load(payload)
    except ValidationError as error:
        raise invalid(error.normalized_messages()) from error
    return data
