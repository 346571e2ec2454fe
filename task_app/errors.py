"""The one error of every transport.

On the wire: `{"error": text, "message": text, "code": snake_case, "errors"?: {field: [text]}}`;
`error` and `message` repeat each other so that each client family finds the key it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AppError(Exception):
    """Something a client did or met that has a name.

    `code` is snake_case and stable, `status` the HTTP status, `fields` maps a field's name to
    what is wrong with it, `extra` is merged into the body (the current task of a 412), and
    `retry_after` is seconds.
    """

    def __init__(
        self,
        code: str,
        status: int,
        message: str,
        *,
        fields: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message
        self.fields = fields
        self.extra = extra
        self.retry_after = retry_after

    def to_dict(self) -> dict[str, Any]:
        """The body of this error, the same on every transport."""
        body: dict[str, Any] = {
            "error": self.message,
            "message": self.message,
            "code": self.code,
        }
        if self.fields:
            body["errors"] = dict(self.fields)
        if self.extra:
            body.update(self.extra)
        return body


def invalid(fields: Mapping[str, Any]) -> AppError:
    """400 naming each field that cannot be used."""
    named = "; ".join(f"{name}: {_first(problems)}" for name, problems in fields.items())
    return AppError("validation_failed", 400, f"Invalid input: {named}", fields=fields)


def _first(problems: Any) -> str:
    if isinstance(problems, Mapping):
        return ", ".join(f"{key}: {_first(value)}" for key, value in problems.items())
    return str(problems[0]) if isinstance(problems, list) else str(problems)


def not_found(kind: str) -> AppError:
    """404 for what does not exist and, in the same words, for what may not be seen."""
    return AppError(f"{kind}_not_found", 404, f"{kind.capitalize()} not found")


def forbidden(message: str) -> AppError:
    return AppError("forbidden", 403, message)


def unauthorized(message: str = "The token is missing, invalid or expired") -> AppError:
    """401 with one body for every kind of bad token, so that it tells an attacker nothing."""
    return AppError("unauthorized", 401, message)
