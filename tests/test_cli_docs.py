"""`docs/command-line.md` is about the commands there are, and its blocks run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from task_app.cli import backups, doctor, log, stress, tasks, users
from tests.support.blocks import Page
from tests.support.cli import Cli
from tests.support.server import ROOT, Server, environment

PAGE = Page("docs/command-line.md")
TOP = (users.users, tasks.tasks, log.events_group, backups.backup, backups.restore)
COMMANDS: list[click.Command] = [*TOP, stress.stress, doctor.doctor]
BLOCKS = PAGE.take_all("bash")
STRESS = PAGE.take("flask --app app stress", language="text")


def names() -> set[str]:
    found = set()
    for command in COMMANDS:
        if isinstance(command, click.Group):
            found |= {f"{command.name} {name}" for name in command.commands}
        else:
            found.add(str(command.name))
    return found


def test_each_command_is_in_the_table() -> None:
    told = re.findall(r"^\| `([a-z -]+?)(?: [A-Z]+)*` \|", PAGE.text, re.M)
    assert set(told) == names() | {"db upgrade"}


@pytest.mark.parametrize("name", sorted(names()))
def test_each_command_says_what_it_does(name: str) -> None:
    group, _, sub = name.partition(" ")
    [command] = [one for one in COMMANDS if one.name == group]
    found = command.commands[sub] if isinstance(command, click.Group) else command
    assert found.help and found.help.strip().endswith(".")
    assert not {"password", "token"} & {option.name for option in found.params}


@pytest.mark.guide
@pytest.mark.timeout(180)  # ten programs that start
def test_the_blocks_run(tmp_path: Path) -> None:
    """One after the other, as they stand."""
    environ = environment(tmp_path / "instance", {"PYTHONPATH": str(ROOT)})
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    (tmp_path / "instance").mkdir()
    if "DATABASE_URL" in environ:
        blocks = [block for block in BLOCKS if "backup" not in block]
    else:
        blocks = BLOCKS
    done = subprocess.run(
        ["bash", "-ec", "\n".join(blocks)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Water the plants" in (tmp_path / "tasks.csv").read_text()
    assert "The log's epoch is now" in done.stdout


def shape(line: str) -> str:
    """The words of a line of the terminal, without its figures and frames."""
    return re.sub(r"[^\w.]+", " ", re.sub(r"[\d.,]*\d", "N", line)).strip()


@pytest.mark.guide
def test_stress_says_what_the_page_shows(server: Server, tmp_path: Path) -> None:
    """But for the figures: the same headings, rows and verdict."""
    command, *shown = STRESS.splitlines()
    words = command.partition("flask --app app ")[2].split()
    said = Cli(tmp_path)(*words, "--url", server.url).good().splitlines()
    shapes = [shape(line) for line in said]
    for line in shown[:-1]:
        assert line == "…" or shape(line) in shapes
    assert said[-1] == shown[-1]
