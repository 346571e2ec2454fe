"""The conventions of the house, as checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import task_app
from tests.support.server import ROOT

# One process reads them all, once.
pytestmark = pytest.mark.xdist_group("architecture")
PACKAGE = ROOT / "task_app"
SOURCES = sorted([ROOT / "app.py", ROOT / "config.py", *PACKAGE.rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LINES = 400
# Folders that the map names as a whole.
WHOLE = {"models", "schemas", "actions", "resources", "migrations", "web", "cli"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def calls(path: Path) -> Iterator[ast.Call]:
    yield from (node for node in nodes(path) if isinstance(node, ast.Call))


def called(call: ast.Call) -> str:
    """The last part of what is called: `emit` of `connection.emit(…)`."""
    function = call.func
    return getattr(function, "attr", None) or getattr(function, "id", "")


def imports(path: Path) -> set[str]:
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def users_of(pattern: str) -> set[str]:
    return {name(path) for path in SOURCES if re.search(pattern, path.read_text())}


def test_only_config_reads_the_environment() -> None:
    assert users_of(r"\benviron\b.*\bos\b|os\.environ|os\.getenv|\bgetenv\(") == {"config.py"}


def test_every_module_has_a_floor() -> None:
    """Or nothing would keep it from importing whatever it likes."""
    text = (ROOT / "pyproject.toml").read_text()
    [floors] = re.findall(r"^layers = \[\n(.*?)^\]", text, re.M | re.S)
    named = set(re.findall(r"task_app[\w.]*", floors))
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if path.name != "__init__.py" and parts[0] == "task_app" and parts[1] != "migrations":
            above = {".".join(parts[:length]) for length in range(2, len(parts) + 1)}
            assert above & named, name(path)


def test_only_commands_commit() -> None:
    found = {path for path in users_of(r"\.commit\(") if "migrations" not in path}
    assert found == {"task_app/commands.py", "task_app/transactions.py"}  # who does, and how


def test_eventlet_stays_in_its_rooms() -> None:
    found = {name(path) for path in SOURCES if "eventlet" in imports(path)}
    assert "task_app/server.py" in found
    http = {f"task_app/http/{room}.py" for room in ("hub", "server", "workers")}
    assert found <= {"task_app/server.py", "task_app/realtime/engine.py"} | http


def test_nothing_is_emitted_to_everybody() -> None:
    """Every `emit` names its receiver, or is the method of a connection, which does."""
    seen = 0
    for path in SOURCES:
        for call in calls(path):
            if called(call) not in ("emit", "send") or not isinstance(call.func, ast.Attribute):
                continue
            owner = ast.unparse(call.func.value)
            if owner in ("self", "connection", "subscriber", "super()"):
                continue
            seen += 1
            receivers = {"to", "room", "sid"} & {word.arg for word in call.keywords}
            assert receivers or "socketio" not in owner, f"{name(path)}:{call.lineno}"
    assert seen  # or the names above are no longer those of the code


def test_no_emit_is_called_bare() -> None:
    for path in SOURCES:
        bare = [call for call in calls(path) if isinstance(call.func, ast.Name)]
        assert "emit" not in {called(call) for call in bare}, name(path)


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name)
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES


def mapped() -> set[str]:
    """The paths that the map in `task_app/__init__.py` names, relative to the root."""
    text = (task_app.__doc__ or "").partition("The way of a change")[0]
    folders: list[str] = []
    found = set()
    for line in text.splitlines():
        entry = re.match(r"^( {4,})([\w./]+\.py|[\w./]+/)(?: |$)", line)
        if not entry:
            continue
        depth = (len(entry[1]) - 4) // 2
        folders = folders[:depth]
        path = "".join(folders) + entry[2]
        found.add(path)
        if path.endswith("/"):
            folders.append(entry[2])
    return found


def test_the_map_is_true() -> None:
    existing = set()
    for path in SOURCES:
        parts = path.relative_to(PACKAGE).parts if path.is_relative_to(PACKAGE) else ()
        if (parts and parts[0] in WHOLE) or (len(parts) > 1 and path.name == "__init__.py"):
            existing.add(f"task_app/{parts[0]}/")
        else:
            existing.add(name(path))
    existing |= {f"task_app/{folder}/" for folder in WHOLE if (PACKAGE / folder).is_dir()}
    folders = {path for path in mapped() if path.endswith("/")} - {"task_app/"}
    assert mapped() - {"task_app/"} == existing
    assert all((ROOT / folder).is_dir() for folder in folders)


def those_with(word: str) -> Iterator[Path]:
    """The tests in which it stands at all: to parse each of them takes two seconds."""
    found = [path for path in TESTS if word in path.read_text()]
    assert found  # this file, at least
    yield from found


def test_tests_wait_for_events_and_do_not_sleep() -> None:
    for path in those_with("sleep"):
        assert "sleep" not in {called(call) for call in calls(path)}, name(path)


def test_tests_mock_nothing() -> None:
    for module in ("mock", "unittest"):
        for path in those_with(module):
            assert module not in imports(path), name(path)
