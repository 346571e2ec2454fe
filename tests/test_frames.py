"""Frames are read alike however the bytes are cut; an independent peer writes them."""

from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, Ping, Pong, TextMessage

from task_app.realtime.frames import (
    BINARY,
    CONTINUATION,
    PIECE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    close_frame,
    control_frame,
    frame,
    unmask,
)

LIMIT = 200_000
STALL = 0.05  # seconds; a loop over the bytes takes 0.1 to 0.24 for a megabyte

texts = st.tuples(st.just(TEXT), st.text(max_size=300), st.integers(1, 5))
blobs = st.tuples(st.just(BINARY), st.binary(max_size=300), st.integers(1, 5))
long = st.tuples(st.just(BINARY), st.integers(65_530, 65_540).map(bytes), st.just(1))
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125), st.just(1))


def written(client: Connection, opcode: int, payload: str | bytes, fragments: int) -> bytes:
    """A message in so many fragments, by wsproto's client."""
    if opcode in (PING, PONG):
        return client.send({PING: Ping, PONG: Pong}[opcode](payload=payload))  # type: ignore[arg-type]
    size = len(payload) // fragments + 1
    pieces = [payload[i * size : (i + 1) * size] for i in range(fragments)]
    kind = TextMessage if opcode == TEXT else BytesMessage
    return b"".join(
        client.send(kind(data=piece, message_finished=number == fragments))  # type: ignore[arg-type]
        for number, piece in enumerate(pieces, 1)
    )


@settings(max_examples=50)
@given(st.lists(st.one_of(texts, blobs, controls, long), max_size=6), st.data())
def test_what_a_peer_writes_is_read(messages: list, data: st.DataObject) -> None:
    client = Connection(ConnectionType.CLIENT)
    stream = b"".join(written(client, *message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader, found = FrameReader(LIMIT), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:end])
        while (one := reader.next()) is not None:
            if one[0] != CONTINUATION:
                found.append(one)
    assert found == [(opcode, payload) for opcode, payload, _ in messages]
    assert not reader.data  # an idle connection holds no buffer


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_rubbish_is_refused_or_waited_for(rubbish: bytes, cuts: list[int]) -> None:
    """Nothing but `FrameError` is raised, and nothing is held past the limit."""
    reader = FrameReader(100)
    edges = sorted({0, len(rubbish), *(min(cut, len(rubbish)) for cut in cuts)})
    try:
        for start, end in pairwise(edges):
            reader.feed(rubbish[start:end])
            while reader.next() is not None:
                pass
    except FrameError as error:
        assert error.code in (1002, 1007, 1009)
    assert reader.size <= 100


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_peer_reads_what_is_written(size: int) -> None:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(frame("é" * size) + frame(b"\xff" * size))
    client.receive_data(control_frame(PING, b"x" * min(size, 125)) + close_frame(4401, "r" * size))
    parts: dict[type, list] = {TextMessage: [], BytesMessage: []}
    last = None
    for last in client.events():
        if type(last) in parts:
            parts[type(last)].append(last.data)  # type: ignore[attr-defined]
    assert "".join(parts[TextMessage]) == "é" * size
    assert b"".join(parts[BytesMessage]) == b"\xff" * size
    assert (last.code, last.reason) == (4401, "r" * min(size, 123))  # type: ignore[union-attr]


def test_a_megabyte_is_unmasked_without_a_stall() -> None:
    payload = bytes(range(256)) * 4096
    took = []
    for _ in range(3):
        began = time.process_time()
        masked = unmask(b"\x37\xfa\x21\x3d", payload)
        took.append(time.process_time() - began)
    assert min(took) < STALL
    assert masked[1000:1004] == bytes(a ^ b for a, b in zip(payload[1000:], b"\x37\xfa\x21\x3d"))  # noqa: B905
    assert unmask(b"\x37\xfa\x21\x3d", masked) == payload


def test_a_megabyte_is_unmasked_in_little_more_than_it_takes() -> None:
    """What the longest message was unmasked in stays with the process, whoever has sent it: the
    clear text and one copy of it, not four."""
    mask, payload = b"\x37\xfa\x21\x3d", bytes(range(251)) * 4178  # ends amid a piece and a mask
    assert len(payload) > 1 << 20
    tracemalloc.start()
    try:
        masked = unmask(mask, payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * len(payload)
    assert unmask(mask, bytearray(masked)) == payload
    for n in (0, PIECE - 1, PIECE, PIECE + 1, len(payload) - 1):
        assert masked[n] == payload[n] ^ mask[n % 4]


def test_a_byte_at_a_time_costs_the_same_each() -> None:
    """A megabyte that drips in is not copied for each drop of it."""
    reader = FrameReader(1 << 20)
    reader.feed(b"\x82\xff" + (1 << 20).to_bytes(8, "big") + b"\0" * 4 + bytes((1 << 20) - 20_001))
    assert reader.next() is None
    began = time.process_time()
    for _ in range(20_000):
        reader.feed(b"x")
        assert reader.next() is None
    assert time.process_time() - began < 1  # 20 000 copies of a megabyte take more
    reader.feed(b"x")
    assert reader.next() is not None
