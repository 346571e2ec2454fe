"""Packets that are none: whoever sends them, nobody else notices."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.accounts import register
from tests.support.clients import Socket
from tests.support.raw import raw
from tests.support.server import Server

pytestmark = pytest.mark.fault("socketio")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose log may fill up."""
    server = Server(tmp_path_factory.mktemp("instance")).start()
    try:
        yield server
        assert server.stop() == 0
    finally:
        server.kill()


ODD_NUMBER = '420000000000000000000000000000001["list_tasks"]'
MALFORMED = [
    "42",
    "4",
    "42{",
    "42[]",
    "42[7]",
    '42{"a": 1}',
    '42["list_tasks", NaN]',
    '42["list_tasks", {"a": 1, "a": 2}]',
    '42["create_task", ' + "[" * 100_000 + "]" * 100_000 + "]",
    "43[]",
    "431[]",
    '431{"a": 1}',
    '451-["list_tasks", {"_placeholder": true, "num": 0}]',
    '4599999999999-["x"]',
    "4x",
    "4null",
    "4{}",
    "4[]",
    "4[1]",
    "4false",
    "4true",  # which in Python equals the number of a disconnect
    "4 1",
    "4 2",
    '4{"a": 1}',
    "9",
    "49",
    '420000000000000000000000000000001["list_tasks"]',
]

ODD_NUMBER = '420000000000000000000000000000001["list_tasks"]'
# The codes of the errors that come back, where it is not the one of a payload that is none.
ANSWERED: dict[str, list[str]] = {
    **{text: [] for text in ("43[]", "431[]", '431{"a": 1}', "9")},
    ODD_NUMBER: ["unauthorized"],
}


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:24])
def test_malformed_packets_harm_nobody_else(own: Server, text: str) -> None:
    alice = register(own.url, "Alice")
    other = Socket().connect(own.url, alice.token)
    ws = raw(own)
    assert ws.recv().startswith("40{")
    ws.send(text)
    ws.close()
    task = alice.rest.new_task()
    assert other.wait_for("task_created")["id"] == task["id"]
    fresh = raw(own)
    assert fresh.recv().startswith("40{")
    fresh.close()
    other.close()


def test_malformed_packets_are_answered(own: Server) -> None:
    """With an error, unless there is nothing to answer; and the connection goes on."""
    ws = raw(own)
    assert ws.recv().startswith("40{")
    assert ws.recv().startswith('42["message"')
    for number, text in enumerate(MALFORMED):
        ws.send(text)
        ws.send(f'427{number}["no such event"]')
        codes = []
        while not (packet := ws.recv()).startswith(f"437{number}["):
            assert packet, f"{text[:24]} has ended the connection"
            codes += [json.loads(packet[2:])[1]["code"]] if packet.startswith("42") else []
        assert codes == [*ANSWERED.get(text, ["invalid_payload"]), "unknown_event"], text[:24]
    assert "Traceback" not in own.log, own.log
    ws.close()
