"""`flask --app app backup` and `restore`: a moment kept, and put back without anybody believing
what it no longer holds."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from config import Config
from task_app import create_app
from tests.conftest import sqlite_only
from tests.support import accounts, cli, databases
from tests.support.cli import Cli
from tests.support.clients import Socket

pytestmark = sqlite_only


def titles(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [title for (title,) in connection.execute("SELECT title FROM tasks ORDER BY id")]


def test_a_server_goes_on_and_clients_are_told(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The whole of it, with the real program."""
    instance, file = tmp_path / "instance", tmp_path / "kept.db"
    server = start(instance)
    alice = accounts.register(server.url, "Alice")
    alice.rest.new_task("Kept")
    writing = threading.Event()

    def write() -> None:
        for number in range(60):
            alice.rest.new_task(f"Later {number}")
            writing.set()

    writer = threading.Thread(target=write)
    writer.start()
    writing.wait()
    cli.flask(instance, "backup", str(file)).good()
    writer.join()
    assert file.stat().st_mode & 0o077 == 0
    kept = titles(file)
    assert kept == ["Kept", *(f"Later {number}" for number in range(len(kept) - 1))]
    assert not [*tmp_path.glob("*-wal"), *tmp_path.glob(".*.db*")]
    head = alice.rest.get("/tasks").headers
    beside = Cli(instance, create_app(Config(databases.settings_of(instance), "threading")))
    assert "A server uses this instance" in beside("restore", file).refused()
    alice.rest.new_task("Lost")
    assert server.stop() == 0
    said = beside("restore", file).good()
    assert "new epoch" in said and "tasks.db.before-restore" in said
    assert titles(instance / "tasks.db.before-restore")[-1] == "Lost"
    assert "tasks.db.before-restore-2" in beside("restore", file).good()
    assert titles(instance / "tasks.db.before-restore")[-1] == "Lost"  # as it was kept
    assert titles(instance / "tasks.db.before-restore-2") == kept
    server.settings = {**server.settings, "PORT": str(server.port)}
    server.start()
    told = {"token": alice.token, "since": int(head["X-Event-Seq"]), "epoch": head["X-Event-Epoch"]}
    socket = Socket().connect(server.url, alice.token, auth=told)
    try:
        assert socket.wait_for("resync")["reason"] == "another_log"
    finally:
        socket.close()
    assert len(alice.rest.get("/tasks").json()) == len(kept)


@pytest.fixture
def run(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "instance")


def test_a_copy_put_in_place_by_hand_begins_a_new_epoch(run: Cli, tmp_path: Path) -> None:
    epoch = databases.run(run.folder, "SELECT epoch FROM log_head")
    file = tmp_path / "kept.db"
    run("backup", file).good()
    other = tmp_path / "other"
    other.mkdir()
    (other / "tasks.db").write_bytes(file.read_bytes())
    Cli(other)
    assert databases.run(other, "SELECT epoch FROM log_head") != epoch


def test_what_is_no_backup_changes_nothing(run: Cli, tmp_path: Path) -> None:
    before = databases.run(run.folder, "SELECT * FROM log_head")
    file = tmp_path / "file"
    run("backup", file).good()
    assert "is there already" in run("backup", file).refused()
    newer = tmp_path / "newer"
    newer.write_bytes(file.read_bytes())
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    whole = file.read_bytes()
    damaged, empty, other = tmp_path / "damaged", tmp_path / "empty", tmp_path / "other"
    damaged.write_bytes(whole[: len(whole) // 2])
    empty.touch()
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE log_head (visibility TEXT)")
    for bad, why in (
        (newer, "newer version"),
        (damaged, "cannot be copied"),
        (empty, "no database of this server"),
        (other, "no database of this server"),
    ):
        assert why in run("restore", bad).refused(), bad
    assert databases.run(run.folder, "SELECT * FROM log_head") == before
    assert {path.name for path in run.folder.iterdir()} >= {"tasks.db"}
    assert not [path for path in run.folder.iterdir() if "restor" in path.name]
