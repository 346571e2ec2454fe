"""What comes in: marshmallow schemas, one file per entity.

Schemas check and normalise input; output is made by `queries` and `dialects`, because dumping
through a schema costs more than the query it follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from task_app.errors import AppError, invalid


def load(schema: Schema, payload: Any) -> dict[str, Any]:
    """The checked and normalised payload.  Raises `AppError` 400 that names the fields."""
    if not isinstance(payload, Mapping):
        raise AppError("invalid_payload", 400, "The payload must be a JSON object")
    try:
        data: dict[str, Any] = schema.load(payload)
    except ValidationError as error:
        raise invalid(error.normalized_messages()) from error
    return data
