"""The walk-throughs of CONTRIBUTING.md, followed on a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import task_app
from tests.support.blocks import Page, installed_make
from tests.support.server import ROOT

pytestmark = pytest.mark.guide
PAGE = Page("CONTRIBUTING.md")
NAMES = re.findall(r"^### (A new \w+)$", PAGE.text, re.M)
BLOCKS = dict(zip(NAMES, PAGE.take_all("diff"), strict=True))
SET_UP = PAGE.take("make install-dev", language="sh")
WAY = PAGE.take("commands.execute", language="text")
COPIED = ("app.py", "config.py", "pyproject.toml", "README.md", "task_app", "tests", "deploy")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which all of them were followed, in order."""
    copy = tmp_path_factory.mktemp("tree")
    copy_to(copy)
    follow(copy)
    return copy


def copy_to(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)


def follow(tree: Path) -> list[str]:
    """Do what the page tells to do, where it is not done yet.  The names of what was done."""
    done = []
    for name, patch in BLOCKS.items():
        if apply(tree, patch, "--reverse", "--check").returncode == 0:
            continue
        applied = apply(tree, patch, "--whitespace=error")
        assert applied.returncode == 0, f"{name} no longer applies:\n{applied.stderr}"
        done.append(name)
    return done


def apply(tree: Path, patch: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "apply", *options, "-"]
    return subprocess.run(command, cwd=tree, input=patch, capture_output=True, text=True)


def test_the_way_of_a_change_is_the_maps() -> None:
    assert task_app.__doc__ is not None
    assert textwrap.indent(WAY, "    ") in task_app.__doc__


def test_the_set_up(tmp_path: Path) -> None:
    """In a repository of its own, with what has been installed already."""
    for name in ("Makefile", ".pre-commit-config.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    env = {**os.environ, "PATH": installed_make(tmp_path)}
    script = f"git init --quiet .\n{SET_UP}"
    done = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / ".git" / "hooks" / "pre-commit").exists()


def test_there_are_four() -> None:
    assert [*BLOCKS] == ["A new field", "A new event", "A new command", "A new transport"]


def test_what_was_done_for_good_is_passed_over(tmp_path: Path) -> None:
    """The first of them, by whoever needed it; the others still apply."""
    copy_to(tmp_path)
    assert apply(tmp_path, BLOCKS["A new field"]).returncode == 0
    assert follow(tmp_path) == [name for name in BLOCKS if name != "A new field"]
    assert follow(tmp_path) == []


def test_a_field_touches_less_than_ten_files() -> None:
    assert len(re.findall(r"^\+\+\+ b/", BLOCKS["A new field"], re.M)) < 10


def files(pattern: str) -> list[str]:
    """Those of the walk-throughs whose names match."""
    found = re.findall(rf"^\+\+\+ b/({pattern})$", "".join(BLOCKS.values()), re.M)
    return sorted(set(found))


def run(tree: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tree, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_their_tests_pass(tree: Path) -> None:
    """On a server of the copy, whose database the new migration has made."""
    new = files(r"tests/.*")
    assert len(new) == 3
    run(tree, "pytest", "-q", "-p", "no:cacheprovider", *new)


def test_they_keep_the_style(tree: Path) -> None:
    changed = files(r".*\.py")
    run(tree, "ruff", "check", *changed)
    run(tree, "ruff", "format", "--check", *changed)
