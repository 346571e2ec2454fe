"""Bytes in, requests out: however they are cut, and what is no request."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_app.http.requests import MAX_HEAD, MAX_HEADERS, MAX_TARGET, BadRequest, Requests

BODY = b'{"title": "Sow"}'
HOST = b"Host: x\r\n"
POST = (
    b"POST /tasks?a=b HTTP/1.1\r\n" + HOST + b"Content-Length: 16\r\nX-Two: 1\r\nx-two: 2\r\n\r\n"
)
CHUNKED = (
    b"PUT /t HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n10;x=y\r\n"
    + BODY
    + b"\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
GET = b"GET /a%20b HTTP/1.1\r\n" + HOST + b"\r\n"
THREE = POST + BODY + CHUNKED + GET


def reader(max_body: int = 100) -> Requests:
    return Requests({"base": 1}, max_body, lambda: None)


def read(found: Requests) -> list[tuple[str, str, bytes]]:
    return [
        (one["REQUEST_METHOD"], one["PATH_INFO"], one["wsgi.input"].read()) for one in found.ready
    ]


def fault(data: bytes) -> str:
    found = reader()
    with pytest.raises(BadRequest) as caught:
        found.feed(data)
    assert not found.ready
    assert found.ended
    found.feed(GET)  # nothing after it is read
    assert not found.ready
    return caught.value.status


@given(st.lists(st.integers(0, len(THREE)), max_size=12))
def test_cut_anywhere(cuts: list[int]) -> None:
    found = reader()
    places = [0, *sorted(cuts), len(THREE)]
    for start, end in itertools.pairwise(places):
        if start < end:
            found.feed(THREE[start:end])
    assert read(found) == [("POST", "/tasks", BODY), ("PUT", "/t", BODY), ("GET", "/a b", b"")]
    first, second, _ = found.ready
    assert (first["QUERY_STRING"], first["HTTP_X_TWO"], first["base"]) == ("a=b", "1,2", 1)
    assert "HTTP_X_TRAILER" not in second
    assert not found.begun and not found.ended


@given(st.binary(max_size=400))
def test_rubbish_is_a_bad_request_or_nothing(data: bytes) -> None:
    found = reader()
    try:
        found.feed(data)
        found.feed(b"\r\n\r\n")
    except BadRequest as error:
        assert error.status[:3] in ("400", "414", "431")


def header(*lines: str, version: str = "HTTP/1.1", host: bool = True) -> bytes:
    head = f"POST / {version}\r\n" + ("Host: x\r\n" if host else "")
    return (head + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1")


@pytest.mark.parametrize(
    "data",
    [
        header(host=False),
        header("Host: y"),
        header(version="HTTP/2.0"),
        header(version="HTTP/0.9"),
        b"GET /\r\n\r\n",
        header("Transfer-Encoding: gzip, chunked"),
        header("Transfer-Encoding: chunked", version="HTTP/1.0"),
        header("Content-Length: 3", "Content-Length: 3"),
        header("Content-Length: 3", "Transfer-Encoding: chunked"),
        header("X : 1"),
        header("X: 1", " folded"),
        header("X: a\x00b"),
        b"GET / HTTP/1.1\nHost: x\n\n",
        header("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3") + b"abc",
    ],
)
def test_bad(data: bytes) -> None:
    assert fault(data) == "400 Bad Request"


def test_bounds() -> None:
    assert fault(b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1\r\n" + HOST) == "414 URI Too Long"
    many = [f"X-{number}: 1" for number in range(MAX_HEADERS)]
    too_large = "431 Request Header Fields Too Large"
    assert fault(header(*many)) == too_large
    assert fault(header("X: " + "a" * MAX_HEAD)) == too_large
    drip = reader()
    drip.feed(header()[:-2] + b"X: ")
    for _ in range(MAX_HEAD // 1000):
        drip.feed(b"a" * 1000)
    with pytest.raises(BadRequest, match="too long"):
        drip.feed(b"a" * 1000)
    whole = reader()
    whole.feed(header("X: " + "a" * 300) * 150 + header()[:-2])  # many, each within its bounds
    assert len(whole.ready) == 150


def test_a_header_nobody_can_forge() -> None:
    found = reader()
    found.feed(header("X_Forwarded_For: 1.2.3.4", "Content_Length: 5"))
    assert not {"HTTP_X_FORWARDED_FOR", "CONTENT_LENGTH"} & set(found.ready[0])


def test_invented_names_are_not_remembered() -> None:
    from task_app.http import requests

    for number in range(0, 3000, 50):
        reader().feed(header(*(f"X-{number + i}: 1" for i in range(50))))
    assert len(requests._environ_names) <= requests._KNOWN_NAMES


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_long_ends_the_connection(told: bool) -> None:
    """The application sees that it is, and nothing after it is read."""
    found = reader(max_body=10)
    if told:
        found.feed(header("Content-Length: 11"))
    else:
        found.feed(header("Transfer-Encoding: chunked") + b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n")
    [environ] = found.ready
    length = int(environ.get("CONTENT_LENGTH", 0)) or len(environ["wsgi.input"].read())
    assert (length, environ["task_app.keep_alive"]) == (11, False)
    found.feed(b"x" * 11 + GET)
    assert len(found.ready) == 1


def test_expectation() -> None:
    asked: list[Any] = []
    found = Requests({}, 100, lambda: asked.append(1))
    found.feed(header("Expect: 100-continue", "Content-Length: 3"))
    assert asked and not found.ready
    found.feed(b"abc")
    assert read(found) == [("POST", "/", b"abc")]
    Requests({}, 2, lambda: asked.append(2)).feed(
        header("Expect: 100-continue", "Content-Length: 3")
    )
    assert asked == [1]


OLD_UPGRADE = header("Connection: Upgrade", "Upgrade: websocket", version="HTTP/1.0", host=False)


def test_another_protocol() -> None:
    upgrade = header("Connection: Upgrade", "Upgrade: websocket").replace(b"POST", b"GET")
    found = reader()
    found.feed(upgrade + b"\x81\x80")
    found.feed(b"abcd")
    assert len(found.ready) == 1
    assert found.rest == b"\x81\x80abcd"
    found = reader()
    found.feed(upgrade + GET)  # refused, it is answered like any other
    found.feed(found.go_on())
    assert [path for _, path, _ in read(found)] == ["/", "/a b"]


def test_another_protocol_on_a_connection_that_is_to_be_closed() -> None:
    """What follows belongs to it, in however many pieces it comes."""
    for head in (header("Connection: Upgrade, close", "Upgrade: websocket"), OLD_UPGRADE):
        whole, cut = reader(), reader()
        whole.feed(head + b"\x81\x80abcd")
        cut.feed(head)
        cut.feed(b"\x81\x80ab")
        cut.feed(b"cd")
        assert whole.rest == cut.rest == b"\x81\x80abcd"


def test_the_last_request() -> None:
    for data in (header("Connection: close"), header(version="HTTP/1.0", host=False)):
        found = reader()
        found.feed(data + GET)
        found.feed(GET)
        assert len(found.ready) == 1 and found.ended


def test_a_whole_url() -> None:
    found = reader()
    found.feed(b"GET http://other.example/tasks?x=1 HTTP/1.1\r\n" + HOST + b"\r\n")
    [environ] = found.ready
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/tasks", "x=1")


def test_what_is_around_a_body_is_bounded() -> None:
    endless = (
        b"0\r\nX: " + b"a" * 100_000,
        b"0;" + b"a" * 100_000,
        b"0\r\n" + b"X: 1\r\n" * 20_000,
    )
    for first in endless:
        found = reader()
        found.feed(header("Transfer-Encoding: chunked"))
        with pytest.raises(BadRequest, match="too long"):
            feed_all(found, first, first[-6:] * 1000, times=40)
        assert found.ended and not found.ready
    found = reader()
    found.feed(header("Transfer-Encoding: chunked"))
    for _ in range(90):
        found.feed(b"1\r\nx\r\n")  # wasteful, but no attack
    found.feed(b"0\r\n\r\n")
    assert read(found) == [("POST", "/", b"x" * 90)]


def feed_all(found: Requests, first: bytes, more: bytes, times: int) -> None:
    found.feed(first)
    for _ in range(times):
        found.feed(more)
