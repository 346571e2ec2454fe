"""What the README says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from config import settings_table
from task_app.commands import COMMANDS
from task_app.events import EVENTS
from task_app.realtime.feeds import ENDINGS
from tests.support.server import ROOT, Server

README = (ROOT / "README.md").read_text()


def test_settings_are_in_the_readme() -> None:
    assert settings_table() in README, "paste what `python config.py` prints"


@pytest.mark.parametrize("name", [name for name, row in EVENTS.items() if not row.control])
def test_events_are_in_the_readme(name: str) -> None:
    assert f"| `{name}` | {EVENTS[name].help} |" in README


@pytest.mark.parametrize("name", [name for name, row in COMMANDS.items() if row.event])
def test_commands_are_in_the_readme(name: str) -> None:
    assert f"| `{COMMANDS[name].event}` | `{name}` |" in README


@pytest.mark.parametrize("code", sorted(set(ENDINGS.values())))
def test_close_codes_are_in_the_readme(code: int) -> None:
    assert re.search(rf"\b{code}\b", README)


def test_no_event_is_in_the_readme_that_is_not() -> None:
    table = README.partition("## Events")[2].partition("Beside them")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert set(named) == {name for name, row in EVENTS.items() if not row.control}


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("http") or (ROOT / link).exists()


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text())
    assert sorted(listed) == sorted({path.name for path in folder.glob("*.md")} - {"README.md"})


def block(first_line: str) -> str:
    """The code block that holds this line."""
    found = [code for code in re.findall(r"```\w*\n(.*?)```", README, re.S) if first_line in code]
    assert len(found) == 1
    return found[0]


def test_the_first_change_is_seen_live(server: Server, tmp_path: Path) -> None:
    """The block as it stands, but for the port and the username; the stream is ended after it."""
    script = block("BASE=").replace("http://localhost:5000", server.url)
    script = script.replace('"ada"', f'"ada {tmp_path.name}"')
    script = script.replace(" &        #", " > stream & #") + "\ncat stream\nkill %1\n"
    # The stream is read until the event has come, for at most ten seconds.
    script = script.replace(
        "cat stream", "timeout 10 sh -c 'until grep -q \"^event: task_created\" stream; do :; done'"
    )
    script = script.replace(
        "curl -s $BASE/tasks", "until grep -q ready stream; do :; done\ncurl -s $BASE/tasks"
    )
    done = subprocess.run(
        ["bash", "-mec", script], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert '"title":"See it live"' in (tmp_path / "stream").read_text()


def test_the_python_block(server: Server, alice) -> None:  # type: ignore[no-untyped-def]
    program = block("import socketio").replace("http://localhost:5000", server.url)
    program = f"TOKEN = {alice.token!r}\n{program}\nsio.disconnect()\n"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'title': 'Made over a socket'" in done.stdout
