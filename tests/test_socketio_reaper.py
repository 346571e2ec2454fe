"""Engine.IO connections that never become Socket.IO's, and packets that carry more than text."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import websocket

from tests.conftest import engine_only
from tests.faults.figures import figure
from tests.support.accounts import Person
from tests.support.clients import Socket
from tests.support.frames import PING, PONG, TEXT, Bytes, frame
from tests.support.polling import Polling
from tests.support.process import memory, port, until_dropped
from tests.support.raw import answer, raw
from tests.support.server import Server

REAPED_SECONDS = 15
CLOSE = "1"  # Engine.IO's


def engine(server: Server) -> websocket.WebSocket:
    """A WebSocket of Engine.IO that sends nothing."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    ws = websocket.create_connection(address, timeout=REAPED_SECONDS)
    assert ws.recv().startswith("0{")
    return ws


def test_who_never_connects_is_closed(server: Server, alice: Person) -> None:
    """By WebSocket and by polling; who does connect stays."""
    began = time.monotonic()
    silent = [engine(server) for _ in range(3)]
    refused = engine(server)
    refused.send('40{"token": "x"}')
    assert refused.recv().startswith("44")
    polling = Polling(server)
    connected = Socket().connect(server.url, alice.token)
    anonymous = raw(server)
    for ws in (*silent, refused):
        with suppress(websocket.WebSocketConnectionClosedException):
            while ws.recv():  # Engine.IO's own CLOSE may come before the close frame
                pass
        ws.shutdown()
    # Who came last may be closed five seconds after the others: they had been there already when
    # the server last looked, and it had not.
    while (ended := polling.get()).status_code == 200:
        assert ended.text == CLOSE
    assert ended.status_code == 400  # the session is gone
    assert time.monotonic() - began < REAPED_SECONDS
    assert connected.call("list_tasks", {})["tasks"] == []
    assert answer(anonymous, '421["list_tasks"]', "431")
    connected.close()
    anonymous.close()


MOST = 512  # packets of a POST; python-engineio's own bound is 16, and what is past it is dropped


@pytest.mark.fault("socketio")
@pytest.mark.parametrize("count", [16, 17, MOST])
def test_many_packets_in_one_post(server: Server, alice: Person, count: int) -> None:
    """None is dropped, and their answers come in their order to a client that polls meanwhile;
    after them that of a packet in a POST of its own."""
    client = Polling(server)
    client.connect(alice)
    *packets, last = (f'42{i}["get_task", {{"id": 0}}]' for i in range(count + 1))
    answers: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        posted = pool.submit(lambda: [client.post(*packets).text, client.post(last).text])
        while not answers or not answers[-1].startswith(f"43{count}["):
            answers += client.until("43")
        assert posted.result() == ["OK", "OK"]
    answered = [one.partition("[")[0] for one in answers]
    figure("socketio", "dropped", count + 1 - len(set(answered)), count)
    assert answered == [f"43{i}" for i in range(count + 1)]


@pytest.mark.fault("socketio")
def test_each_packet_of_a_post_is_done(server: Server, alice: Person) -> None:
    """Seventeen tasks by one POST are seventeen tasks."""
    client = Polling(server)
    client.connect(alice)
    titles = [f"Task {i}" for i in range(17)]
    packets = [f'42{i}["create_task", {{"title": "{title}"}}]' for i, title in enumerate(titles)]
    with ThreadPoolExecutor(1) as pool:
        posted = pool.submit(client.post, *packets)
        client.until("43", len(packets))
        assert posted.result().text == "OK"
    made = [task["title"] for task in alice.rest.get("/tasks").json()]
    assert sorted(made) == sorted(titles)


TOO_MANY = ['421["create_task", {"title": "One of many"}]'] * (MOST + 1)


@pytest.mark.fault("socketio")
@pytest.mark.parametrize("packets", [TOO_MANY, ["x"], ["4", "", "4"], ["9"], ["é"]], ids=len)
def test_posts_that_cannot_be_read(server: Server, alice: Person, packets: list[str]) -> None:
    """Refused, not dropped with a friendly answer; the session ends, so that nothing is lost
    unnoticed."""
    client = Polling(server)
    client.connect(alice)
    assert client.post(*packets).status_code == 400
    assert client.get().status_code == 400
    assert alice.rest.get("/tasks").json() == []


BINARY_EVENT = '451-["create_task", {"title": {"_placeholder": true, "num": 0}}]'
BINARY_ACK = '461-7[{"_placeholder": true, "num": 0}]'


@pytest.mark.fault("socketio")
@pytest.mark.parametrize("packet", [BINARY_EVENT, BINARY_ACK])
def test_binary_packets_are_refused(server: Server, alice: Person, packet: str) -> None:
    """With an error to the sender; what comes after is handled as ever."""
    ws = raw(server, credentials={"token": alice.token})
    assert "invalid_payload" in answer(ws, packet, '42["error"')
    ws.send_binary(b"\x00attachment")
    done = answer(ws, '421["create_task", {"title": "Text"}]', "431")
    assert json.loads(done[3:])[0]["title"] == "Text"
    assert [task["title"] for task in alice.rest.get("/tasks").json()] == ["Text"]
    ws.close()


@pytest.mark.fault("socketio")
def test_attachments_are_not_kept(server: Server, alice: Person) -> None:
    """Announced by the million, sent by the megabyte: nothing waits for the rest of them."""
    ws = raw(server, credentials={"token": alice.token})
    blob = bytes(1 << 19)
    answer(ws, '4599999999-["create_task", {}]', '42["error"')
    ws.send_binary(blob)
    answer(ws, '421["get_task", {"id": 0}]', "431")
    before = memory(server)
    for _ in range(100):
        ws.send_binary(blob)
    answer(ws, '422["get_task", {"id": 0}]', "432")
    assert memory(server) - before < 20 * len(blob)
    ws.close()


@engine_only
def test_what_a_connection_had_sent_is_let_go_at_its_end(server: Server) -> None:
    """And not kept, with the megabyte of which the rest never came, until its timers are over.
    (With a thread for each the allocator keeps what is freed, for the next on that thread.)"""
    part = frame(TEXT, b"4" * 900_000, fin=False)
    first = half_sent(server, part)
    before = memory(server)
    gone = [half_sent(server, part) for _ in range(10)]
    until_dropped(server, [first, *gone], time.monotonic() + REAPED_SECONDS)
    assert memory(server) - before < 5 * len(part)


def half_sent(server: Server, part: bytes) -> int:
    """The port of a client that has gone in the middle of a message, which the server had begun
    to read: it has answered the ping behind that part."""
    ws = Bytes(server, "/socket.io/?EIO=4&transport=websocket")
    ws.send(part + frame(PING, b"read"))
    while (one := ws.read()) and one.opcode != PONG:
        pass
    assert one
    here = port(ws.socket)
    ws.end()
    return here
