"""Bodies as bytes on the wire: how long, how coded, where one request ends."""

from __future__ import annotations

import gzip

import pytest

from tests.conftest import eventlet_only
from tests.support import accounts
from tests.support.accounts import Person
from tests.support.http import request, send
from tests.support.server import Server

JSON = "Content-Type: application/json"
CLOSE = "Connection: close"
MIB = 1 << 20
BODY = b'{"title": "Sow"}'
CHUNKED = b"5\r\n" + BODY[:5] + b"\r\nb\r\n" + BODY[5:] + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def alice(server: Server) -> Person:
    return accounts.register(server.url, "Alice")


def count(person: Person) -> int:
    return len(person.rest.get("/tasks?limit=1000").json())


def bearer(person: Person) -> str:
    return f"Authorization: Bearer {person.token}"


def test_chunked(server: Server, alice: Person) -> None:
    before = count(alice)
    head = ("Transfer-Encoding: chunked", JSON, bearer(alice))
    one = request("POST", "/tasks", *head, CLOSE, body=CHUNKED)
    assert send(server, one) == [201]
    assert send(server, *(one[i : i + 40] for i in range(0, len(one), 40))) == [201]
    assert count(alice) == before + 2
    assert alice.rest.get("/tasks").json()[-1]["title"] == "Sow"


@pytest.mark.fault("bodies")
def test_chunked_is_bounded(server: Server, alice: Person) -> None:
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = ("Transfer-Encoding: chunked", JSON, bearer(alice), CLOSE)
    before = count(alice)
    body = piece * 16 + b"10\r\n" + BODY + b"\r\n0\r\n\r\n"
    assert send(server, request("POST", "/tasks", *head, body=body)) == [413]
    assert count(alice) == before


@pytest.mark.fault("smuggling")
@pytest.mark.parametrize("space", ["\xa0", "\x85", "\x0b"])
def test_what_is_no_space_is_none(server: Server, alice: Person, space: str) -> None:
    """What Python strips, and nobody else: the coding is one that nobody knows."""
    before = count(alice)
    head = (f"Transfer-Encoding: {space}chunked", JSON, bearer(alice), CLOSE)
    assert send(server, request("POST", "/tasks", *head, body=CHUNKED)) in ([], [400])
    assert count(alice) == before


@pytest.mark.fault("smuggling")
@pytest.mark.parametrize("body", [b"zz\r\n", b"-5\r\nx", b"5\r\nab", b"ffffffffffffffffff\r\nx"])
def test_broken_chunks(server: Server, alice: Person, body: bytes) -> None:
    before = count(alice)
    head = ("Transfer-Encoding: chunked", JSON, bearer(alice), CLOSE)
    given = send(server, request("POST", "/tasks", *head, body=body), close=True)
    assert given in ([], [400], [413])
    assert count(alice) == before


@pytest.mark.fault("bodies")
def test_too_long(server: Server, alice: Person) -> None:
    for path in ("/tasks", "/login", "/api/v1/tasks/bulk"):
        answer = alice.rest.request(
            "POST", path, data=b" " * (MIB + 1), headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "request_entity_too_large")
    fits = BODY + b" " * (MIB - len(BODY))
    headers = {"Content-Type": "application/json"}
    assert alice.rest.request("POST", "/tasks", data=fits, headers=headers).status_code == 201


@pytest.mark.fault("bodies")
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "identity, gzip"])
def test_coded(alice: Person, coding: str) -> None:
    before = count(alice)
    bomb = gzip.compress(b" " * (50 * MIB) + BODY)
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = alice.rest.request("POST", "/tasks", data=bomb, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.elapsed.total_seconds() < 0.25
    assert count(alice) == before


# What stands where one request ends: a length and a coding, or codings that two servers may
# read in two ways.  Nothing that follows may be taken for a second request.
AMBIGUOUS = {
    "both": ("Content-Length: 4", "Transfer-Encoding: chunked"),
    "both, the other way round": ("Transfer-Encoding: chunked", "Content-Length: 4"),
    "a coding nobody knows": ("Transfer-Encoding: xchunked", "Content-Length: 4"),
    "a coding behind what Python takes for a space": ("Transfer-Encoding: \xa0chunked",),
    "two codings": ("Transfer-Encoding: gzip, chunked",),
    "chunked and identity": ("Transfer-Encoding: chunked, identity",),
    "two lengths": ("Content-Length: 4", "Content-Length: 5"),
    "a list of lengths": ("Content-Length: 4, 5",),
    "a space before a colon": ("X : a", "Content-Length: 5"),
    "signed": ("Content-Length: +4",),
    "negative": ("Content-Length: -4",),
    "a word": ("Content-Length: four",),
    "other digits": ("Content-Length: \xb2",),
}


@pytest.mark.fault("smuggling")
@pytest.mark.parametrize("headers", AMBIGUOUS.values(), ids=AMBIGUOUS)
@pytest.mark.parametrize("path", ["/tasks", "/login", "/socket.io/?EIO=4&transport=polling"])
def test_where_a_request_ends(
    server: Server, alice: Person, headers: tuple[str, ...], path: str
) -> None:
    before = count(alice)
    first = request("POST", path, JSON, bearer(alice), *headers, body=b"0\r\n\r\n")
    assert send(server, first + whole_request(alice, CLOSE)) in ([], [400])
    assert count(alice) == before


# What is no header line, or would be two: two servers may see the end of a head in two places.
ODD_LINES = {
    "CR": "X: a\rTransfer-Encoding: chunked",
    "CR at the end": "X: a\r",
    "LF": "X: a\nContent-Length: 0",
    "LF, folded": "X: a\n b: c",
    "folded": "X: a\r\n b: c",
    "folded by a tab": "X: a\r\n\tContent-Length: 0",
    "a space before the name": " X: a",
    "a space before the colon": "X : a",
    "a space before the colon of a length": "Content-Length : 0",
    "a control before the colon": "Transfer-Encoding\x0b: chunked",
    "a control before a coding": "Transfer-Encoding: \x0bchunked",
    "NUL": "X: a\x00b",
    "no colon": "Content-Length 0",
    "no name": ": a",
}


@pytest.mark.fault("smuggling")
@pytest.mark.parametrize("line", ODD_LINES.values(), ids=ODD_LINES)
@pytest.mark.parametrize("inside", [False, True], ids=["behind it", "in its body"])
def test_odd_header_lines(server: Server, alice: Person, line: str, inside: bool) -> None:
    """Refused, and what comes behind, or in what one of two servers takes for the body, is not
    done."""
    before = count(alice)
    second = whole_request(alice, CLOSE)
    length = f"Content-Length: {len(second) if inside else len(BODY)}"
    first = request("POST", "/tasks", JSON, bearer(alice), length, line)
    given = send(server, first + (b"" if inside else BODY) + second)
    assert given in ([], [400])
    assert count(alice) == before


def whole_request(person: Person, *headers: str) -> bytes:
    length = f"Content-Length: {len(BODY)}"
    return request("POST", "/tasks", JSON, bearer(person), length, *headers, body=BODY)


@eventlet_only  # without it a connection carries one request, and then ends
def test_two_requests_at_once_are_two(server: Server, alice: Person) -> None:
    """Or none of the above would prove anything: with a header line that is one, what comes
    behind is done, and in a body it is none."""
    before = count(alice)
    second = whole_request(alice, CLOSE)
    assert send(server, whole_request(alice, "X: a") + second) == [201, 201]
    assert count(alice) == before + 2
    length = f"Content-Length: {len(second)}"
    first = request("POST", "/tasks", JSON, bearer(alice), length, CLOSE, body=second)
    assert send(server, first) == [400]  # no JSON
    assert count(alice) == before + 2


@pytest.mark.fault("smuggling")
def test_line_ends_in_values(alice: Person) -> None:
    text = "a\r\nSet-Cookie: x=1\r\n\r\n<b>"
    for number in range(2):
        alice.rest.new_task(f"{text} {number}", description=text)
    page = alice.rest.get("/tasks", params={"q": text, "limit": "1"})
    assert page.json()[0]["description"] == text
    plain = alice.rest.get("/tasks", params={"limit": "1"})
    assert sorted(page.headers) == sorted(plain.headers)  # none has come of it
    assert all(value.isprintable() for value in page.headers.values())
    [last] = alice.rest.get(page.links["next"]["url"]).json()
    assert last["title"] == f"{text} 1"
    key = alice.rest.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": "a b"})
    assert key.status_code == 201
