"""What the README says is so."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config import Config, settings_table
from task_app.commands import COMMANDS
from task_app.events import EVENTS
from task_app.http.requests import MAX_HEAD, MAX_HEADERS
from task_app.http.server import REQUEST_RATE, REQUEST_SECONDS
from task_app.realtime import outbox
from task_app.realtime.feeds import ENDINGS
from task_app.resources import limits
from task_app.schemas import task
from tests.support.blocks import Page
from tests.support.server import ROOT, Server

PAGE = Page("README.md")
README = PAGE.text
FIRST = PAGE.take("export BASE=")
PYTHON = PAGE.take("import socketio")


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


def test_limits_are_in_the_readme(tmp_path: Path) -> None:
    tries = {rule: [often for often, _ in found] for rule, found in limits._RULES.items()}
    assert tries == {
        limits.LOGIN: [limits.TRIES, "300 per minute"],
        limits.REGISTRATION: ["30 per minute"],
        limits.PASSWORD: ["10 per minute"],
        limits.BROADCAST: ["60 per minute"],
    }
    config, text = Config({"INSTANCE_PATH": str(tmp_path)}), " ".join(README.split())
    for told in (
        f"head is at most {MAX_HEAD >> 10} KiB and {MAX_HEADERS} lines",
        f"its body {config.MAX_CONTENT_LENGTH >> 20} MiB",
        f"within {REQUEST_SECONDS} s, and one more for each {REQUEST_RATE >> 10} KiB",
        f"at most {task.MAX_LIMIT} items ({task.DEFAULT_LIMIT} unless you say)",
        f"a bulk {task.BULK_OPERATIONS} operations",
        f"Login: {limits.TRIES.split()[0]} tries a minute from each address for each name",
        "and 300 a minute from each address in all; a change of password: 10 a minute",
        "registration: 30 a minute for each address; broadcast: 60 a minute for each account",
        f"Titles have 1-{task.TITLE_LENGTH} characters",
        f"descriptions up to {task.DESCRIPTION_LENGTH:,}".replace(",", " "),
        f"past {outbox.MAX_MESSAGES} messages or {outbox.MAX_BYTES >> 20} MiB",
    ):
        assert told in text, told


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


def test_the_first_change_is_seen_live(server: Server, tmp_path: Path) -> None:
    """The block as it stands, but for the port and the username; the stream is ended after it."""
    script = FIRST.replace("http://localhost:5000", server.url)
    script = script.replace('"ada"', f'"ada {tmp_path.name}"')
    assert script.count(" & ") == script.count("ask $BASE/tasks") == 1
    script = script.replace(" & ", " > stream & ")
    # The stream is read until it has begun, and until the event has come.
    patiently = "timeout 20 sh -c 'until grep -q \"^event: %s\" stream; do :; done'\n"
    script = script.replace("ask $BASE/tasks", patiently % "ready" + "ask $BASE/tasks")
    script += patiently % "task_created"
    with (tmp_path / "said").open("w") as said:
        shell = subprocess.Popen(
            ["bash", "-exc", script],
            cwd=tmp_path,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            assert shell.wait(50) == 0, (tmp_path / "said").read_text()
        finally:
            os.killpg(shell.pid, signal.SIGKILL)  # the stream goes on behind it
            shell.wait()
    assert '"title":"See it live"' in (tmp_path / "stream").read_text()


def test_the_python_block(server: Server, alice) -> None:  # type: ignore[no-untyped-def]
    program = f"{PYTHON}\nsio.disconnect()\n".replace("http://localhost:5000", server.url)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TOKEN": alice.token},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'title': 'Made over a socket'" in done.stdout


COMPARED = re.findall(r"^\|.*\| (.*?) \|$", README.partition("## Beside the")[2], re.M)
PROOFS = [re.findall(r"`(.*?)`", cell) for cell in COMPARED if cell.startswith("`tests/")]


def test_every_comparison_names_its_proof() -> None:
    table = README.partition("## Beside the")[2].partition("\nA dash")[0]
    assert len(PROOFS) == len(re.findall(r"^\|", table, re.M)) - 2 > 5


@pytest.mark.parametrize("proof", [proof for cell in PROOFS for proof in cell])
def test_proofs_are_there(proof: str) -> None:
    file, _, name = proof.partition("::")
    assert f"def {name or 'test_'}" in (ROOT / file).read_text()
