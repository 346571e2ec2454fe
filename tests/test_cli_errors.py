"""Whatever is wrong with a database, a file or a server: one sentence, and an exit code."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import sqlite_only
from tests.support import cli
from tests.support.cli import Cli
from tests.support.server import ROOT, Server, environment

# Each way in which commands open the database.
OPENING = ["db upgrade", "db current", "users list", "tasks export out.csv", "events tail"]


@pytest.mark.parametrize("command", OPENING)
def test_nobody_answers_at_the_databases_address(tmp_path: Path, command: str) -> None:
    with socket.socket() as nobody:  # bound, and never listening
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://tasks:hush-hush@127.0.0.1:{nobody.getsockname()[1]}/tasks"
        done = cli.flask(tmp_path, *command.split(), DATABASE_URL=url)
    assert done.code == 1
    [line] = done.err.splitlines()
    assert line.startswith("Error: The database cannot be used") and line[-1] in ".?"
    assert "?." not in line and "hush-hush" not in line


def test_flasks_own_server(tmp_path: Path) -> None:
    """It has no relay: whoever is connected would never hear of a change."""
    assert "python app.py" in cli.flask(tmp_path, "run", "--port", "0").refused()


@sqlite_only
@pytest.mark.parametrize("command", ["db upgrade", "users list", "backup copy.db"])
def test_a_file_that_is_no_database(tmp_path: Path, command: str) -> None:
    (tmp_path / "tasks.db").write_text("These are the minutes of the meeting. " * 100)
    assert "database" in cli.flask(tmp_path, *command.split()).refused()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(tmp_path_factory.mktemp("errors"))


@sqlite_only
def test_files_that_cannot_be(run: Cli, tmp_path: Path) -> None:
    """Each is named."""
    (tmp_path / "notes.txt").write_text("no backup")
    absent = tmp_path / "absent"
    for words in (
        ("tasks", "export", absent / "out.csv"),
        ("backup", absent / "copy.db"),
        ("restore", tmp_path / "notes.txt"),
    ):
        told = run(*words).refused()
        assert str(tmp_path) in told and "/." not in told  # no file the reader never named
    for words in (("tasks", "import", absent), ("restore", absent)):
        done = run(*words)
        assert done.code == 2 and str(absent) in done.err.splitlines()[-1]


def test_an_export_whose_progress_is_spoilt(run: Cli, tmp_path: Path) -> None:
    for spoilt in ("{", "[]", '{"form": "jsonl"}'):
        (tmp_path / "out.jsonl.part").write_text("")
        (tmp_path / "out.jsonl.progress").write_text(spoilt)
        assert "delete it" in run("tasks", "export", tmp_path / "out.jsonl").refused()


def test_a_mark_before_the_first_line(run: Cli, tmp_path: Path) -> None:
    """As Windows writes one."""
    file = tmp_path / "in.jsonl"
    file.write_text('{"title": "Marked"}\n', encoding="utf-8-sig")
    assert run("tasks", "import", file).good() == "1 tasks were made.\n"


@pytest.fixture
def stranger() -> Iterator[str]:
    """The URL of a server that is none of ours."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html")

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_stress_where_nobody_answers(run: Cli) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{nobody.getsockname()[1]}"
        told = run("stress", "--url", f"http://{where}").refused()
    assert where in told and "--url" in told and "Errno" not in told


def test_stress_for_a_picture_that_cannot_be(run: Cli, tmp_path: Path) -> None:
    """Said before the work, and not after it."""
    told = run("stress", "--plot", tmp_path / "absent" / "x.png").refused()
    assert str(tmp_path / "absent") in told


def test_stress_at_another_kind_of_server(run: Cli, stranger: str) -> None:
    assert "does not answer as this server does" in run("stress", "--url", stranger).refused()


def test_whoever_reads_no_more(run: Cli) -> None:
    """As `| head` does once it has its lines: nothing is said about it."""
    run("users", "create", "Bob", given="a long password\n").good()
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "users", "list", "--json"],
        cwd=ROOT,
        env=environment(run.folder, {}),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.timeout(120)
def test_interrupted_stress_leaves_no_task(server: Server, admin) -> None:  # type: ignore[no-untyped-def]
    """Ctrl-C in its terminal, which has shown how far it is."""
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "flask", "--app", "app", "stress", "--url", server.url]
    stress = subprocess.Popen(
        [*command, "-n", "100000", "-c", "2", "-l", "1"],
        cwd=ROOT,
        env={**environment(server.instance, {}), "TERM": "xterm"},
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    timer = threading.Timer(100, stress.kill)
    timer.start()
    said, interrupted = "", False
    try:
        while part := read(terminal):
            said += part
            if not interrupted and re.search(r"Tasks.* [1-9]\d*/100000", said):
                stress.send_signal(signal.SIGINT)
                interrupted = True
        code = stress.wait(60)
    finally:
        timer.cancel()
        stress.kill()
        stress.wait()
        os.close(terminal)
    assert interrupted and code == 1 and "Aborted!" in said and "Traceback" not in said, said
    assert admin.rest.get("/tasks", params={"q": "stress "}).json() == []


def read(descriptor: int) -> str:
    """What has come on the terminal; nothing once nobody writes to it any more."""
    try:
        return os.read(descriptor, 65536).decode()
    except OSError:
        return ""
