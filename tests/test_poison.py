"""What a client sends must be able to go out again, and one that cannot harms nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.accounts import Person
from tests.support.clients import Socket


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


UNFIT = {
    "huge number": 10**30,
    "just too big": 2**64,
    "deep": nested(150),
    "far too deep": nested(300),
}


@pytest.mark.parametrize("data", UNFIT.values(), ids=UNFIT)
def test_broadcast(admin: Person, data: Any) -> None:
    answer = admin.rest.post("/broadcast", {"type": "x", "data": data})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("data", UNFIT.values(), ids=UNFIT)
def test_bulk_with_a_key(alice: Person, data: Any) -> None:
    operations = [{"op": "create", "data": {"title": data}}]
    headers = {"Idempotency-Key": "poison"}
    answer = alice.rest.post("/tasks/bulk", {"operations": operations}, headers=headers)
    assert answer.status_code == 400, answer.text


def test_the_deepest_that_is_taken_goes_out(admin: Person, listen: Callable[..., Socket]) -> None:
    socket = listen(admin)
    deepest = nested(98)  # within the broadcast's own object
    assert admin.rest.post("/broadcast", {"type": "deep", "data": deepest}).status_code == 200
    assert socket.wait_for("broadcast")["data"] == deepest
