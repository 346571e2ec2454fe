"""`flask --app app tasks …`: out and in again, interrupted and begun anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from task_app.cli import tasks as command
from tests.support import cli, databases
from tests.support.cli import Cli
from tests.support.server import Server

TITLES = ["Water the plants", 'A "quoted", title', "Two\nlines", "Ünïcode", "Water the plants"]


@pytest.fixture
def run(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def kept(run: Cli) -> list[tuple[object, ...]]:
    fields = "title, description, status, priority, due_date, user_id, assigned_to"
    return databases.run(run.folder, f"SELECT {fields} FROM tasks ORDER BY id")


def rows_of() -> list[dict[str, object]]:
    first = {"title": TITLES[0], "priority": "high", "due_date": "2026-12-01", "assigned_to": 1}
    last = {"title": TITLES[-1], "status": "In Progress", "description": "By noon"}
    return [first, *({"title": title} for title in TITLES[1:-1]), last]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_out_and_in_again(run: Cli, tmp_path: Path, form: str) -> None:
    assert run("tasks", "import", write(tmp_path / "in.jsonl", rows_of())).good() == (
        "5 tasks were made.\n"
    )
    before = kept(run)
    assert [row[0] for row in before] == [title.strip() for title in TITLES]
    out = tmp_path / f"out.{form}"
    assert run("tasks", "export", out).good() == f"Wrote 5 tasks to {out}.\n"
    assert out.stat().st_mode & 0o077 == 0
    assert not out.with_name(out.name + ".part").exists()
    assert "is there already" in run("tasks", "export", out).refused()
    databases.run(run.folder, "DELETE FROM tasks")
    run("tasks", "import", out).good()
    assert kept(run) == before


def test_made_once_though_imported_twice(run: Cli, tmp_path: Path) -> None:
    """Also the two that are alike; and a mended file adds what it lacked."""
    rows = [{"title": "Same"}, {"title": "Same"}, {"title": "Other", "assigned_to": 999}]
    file = write(tmp_path / "in.jsonl", rows)
    assert run("tasks", "import", file).refused().startswith("Line 3: ")
    assert len(kept(run)) == 2
    write(file, [*rows[:2], {"title": "Other"}])
    assert run("tasks", "import", file).good() == "1 tasks were made, 2 had been made before.\n"
    assert run("tasks", "import", file).good() == "0 tasks were made, 3 had been made before.\n"
    assert [row[0] for row in kept(run)] == ["Same", "Same", "Other"]


BAD = {
    "no JSON": ("in.jsonl", '{"title": "A"}\n{"title"\n', "Line 2 is no JSON"),
    "no object": ("in.jsonl", "[]\n", "Line 1 is no JSON object."),
    "bad field": ("in.jsonl", '{"title": "A"}\n{"title": "B", "x": 1}\n', "1 of 2 lines"),
    "ragged": ("in.csv", "title,priority\nA,low\nB\n", "Line 3 has not as many cells"),
    "bad quote": ("in.csv", 'title\n"A" b\n', "is no CSV"),
    "no text": ("in.csv", "title\n\udcff\n", "is no CSV"),
}


@pytest.mark.parametrize(("name", "text", "why"), BAD.values(), ids=BAD)
def test_nothing_is_made_of_a_bad_file(
    run: Cli, tmp_path: Path, name: str, text: str, why: str
) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert why in run("tasks", "import", file).refused()
    assert kept(run) == []


def test_an_export_goes_on(run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut in the middle of a page that it had begun to write."""
    monkeypatch.setattr(command, "PAGE", 2)
    run("tasks", "import", write(tmp_path / "in.jsonl", rows_of())).good()
    whole = tmp_path / "whole.csv"
    run("tasks", "export", whole).good()

    class Cut(Exception):
        pass

    add = command._Draft.add

    def cut(self: command._Draft, items: list[command.Row], cursor: str | None) -> None:
        if self.rows == 4:
            self.stream.write("half a li")
            raise Cut
        add(self, items, cursor)

    file = tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        patch.setattr(command._Draft, "add", cut)
        with pytest.raises(Cut):
            run("tasks", "export", file)
    assert not file.exists()
    done = run("tasks", "export", file)
    assert done.good() == f"Wrote 5 tasks to {file}.\n" and "Going on after 4" in done.err
    assert file.read_bytes() == whole.read_bytes()


def test_only_an_admin_may(run: Cli, tmp_path: Path) -> None:
    run("users", "create", "Ada", given="a long password\n").good()
    why = run("tasks", "export", tmp_path / "out", "--as", "Ada").refused()
    assert why == "'Ada' is no active admin; name one with --as."


def test_those_online_see_it(server: Server, admin, listen, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """By the real program, beside a running server."""
    socket, title = listen(admin), f"Imported {tmp_path}"
    cli.flask(
        server.instance, "tasks", "import", str(write(tmp_path / "in", [{"title": title}]))
    ).good()
    assert socket.wait_for(lambda name, data: data.get("title") == title)
