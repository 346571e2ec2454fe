"""What a command was asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from task_app.access import Actor
from task_app.errors import AppError, invalid


@dataclass(slots=True)
class Call:
    """`data` has passed the command's schema; `target` is the id of the thing to change;
    `expected_versions` are those the client would have it be (If-Match), None for any."""

    actor: Actor
    data: Mapping[str, Any]
    target: int | None = None
    expected_versions: frozenset[int] | None = None

    @property
    def target_id(self) -> int:
        """The target.  Raises 400 when the client named none."""
        if self.target is None:
            raise invalid({"id": ["Missing data for required field."]})
        return self.target

    def check_version(self, current: Mapping[str, Any]) -> None:
        """Raises 412, with the current state, when the client saw an older one."""
        if self.expected_versions is not None and current["version"] not in self.expected_versions:
            raise AppError(
                "version_conflict",
                412,
                "Somebody else changed this since you read it",
                extra={"current": dict(current)},
            )
