"""An answer is as long as its head says, or the connection ends: what follows on it would be taken
for a part of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from task_app.http.responses import WHOLE, Response

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "task_app.keep_alive": True,
}
LENGTHS = pytest.mark.parametrize("length", [10, WHOLE + 10], ids=["whole", "in pieces"])


def answer(length: int, body: list[bytes]) -> tuple[list[bytes], Exception | None]:
    """What is sent, and what is raised then."""
    sent: list[bytes] = []
    response = Response(sent.append, ENVIRON, False)
    response.start("200 OK", [("Content-Length", str(length))])
    try:
        response.answer(body)
    except ValueError as error:
        return sent, error
    return sent, None


def body_of(sent: list[bytes]) -> bytes:
    return b"".join(sent).partition(b"\r\n\r\n")[2]


@LENGTHS
def test_right(length: int) -> None:
    body = [b"x" * (length - 5), b"", b"y" * 5]
    sent, error = answer(length, body)
    assert error is None
    assert body_of(sent) == b"".join(body)


@LENGTHS
@pytest.mark.parametrize("off", [-1, 1])
def test_wrong(length: int, off: int) -> None:
    sent, error = answer(length, [b"x" * 5, b"y" * (length - 5 + off)])
    assert error is not None
    assert len(body_of(sent)) <= length


def test_begun_with_its_first_piece() -> None:
    """An application may be a generator, whose head is known when its first piece is."""
    sent: list[bytes] = []
    response = Response(sent.append, ENVIRON, False)

    def late() -> Iterator[bytes]:
        response.start("404 Not Found", [("Content-Length", "4")])
        yield b"no"
        yield b"ne"

    response.answer(late())
    assert b"".join(sent).startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert body_of(sent) == b"none"
