"""`flask --app app events …`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import cli, databases
from tests.support.cli import Cli
from tests.support.server import ROOT, Server, environment

OLD = "2001-01-01T00:00:00.000000Z"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    made = Cli(tmp_path_factory.mktemp("events"))
    file = made.folder / "in.jsonl"
    file.write_text("".join(f'{{"title": "Number {n}"}}\n' for n in range(3)))
    made("tasks", "import", file).good()
    return made


def test_tail(run: Cli) -> None:
    lines = run("events", "tail", "-n", 2).good().splitlines()
    assert [line.split(" ")[2] for line in lines] == ["task_created"] * 2
    [last] = run("events", "tail", "-n", 1, "--json").good().splitlines()
    event = json.loads(last)
    assert event["data"]["title"] == "Number 2" and lines[-1].startswith(f"{event['seq']} ")
    assert event["request_id"] is None and lines[-1].endswith(", assigned_to)")
    assert run("events", "tail", "-n", 0).good() == ""


def test_tail_follows(server: Server, alice) -> None:  # type: ignore[no-untyped-def]
    """The real program, until Ctrl-C."""
    alice.rest.new_task()
    following = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "events", "tail", "-n", "1", "-f"],
        cwd=ROOT,
        env=environment(server.instance, {}),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert following.stdout is not None
        following.stdout.readline()  # it stands at the end of the log
        answer = alice.rest.post("/tasks", {"title": "Followed"})
        told = f" task_created task {answer.json()['id']} by user {alice.id} "
        end = f" [{answer.headers['X-Request-ID']}]\n"
        assert any(told in line and line.endswith(end) for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0
    finally:
        following.kill()
        following.wait()


def test_prune(run: Cli) -> None:
    [(first,)] = databases.run(run.folder, "SELECT min(seq) FROM events")
    databases.run(
        run.folder, "UPDATE events SET created_at = :at WHERE seq = :seq", at=OLD, seq=first
    )
    said = f"1 events were deleted; clients can resume from {first} on.\n"
    assert run("events", "prune").good() == said
    assert databases.run(run.folder, "SELECT min(seq) FROM events") == [(first + 1,)]


def test_new_epoch(run: Cli) -> None:
    [before] = databases.run(run.folder, "SELECT epoch, seq FROM log_head")
    run("events", "new-epoch").good()
    [(epoch, seq, floor)] = databases.run(run.folder, "SELECT epoch, seq, floor FROM log_head")
    assert epoch != before[0] and seq == floor == before[1]


def test_no_new_epoch_under_a_server(server: Server, nobody) -> None:  # type: ignore[no-untyped-def]
    """It would go on under the old one."""
    epoch = nobody.get("/health").json()["epoch"]
    assert "stop every one first" in cli.flask(server.instance, "events", "new-epoch").refused()
    assert databases.run(server.instance, "SELECT epoch FROM log_head") == [(epoch,)]


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    run = Cli(tmp_path)
    databases.run(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    assert "newer version" in run("events", "prune").refused()
