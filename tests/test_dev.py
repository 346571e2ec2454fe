"""`python app.py --dev`: anew at each change, tracebacks as pages, for this machine alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.clients import Rest
from tests.support.server import ROOT, Server, refusal

BROKEN = "    raise ZeroDivisionError('on purpose')\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the program to change."""
    copied = tmp_path / "tree"
    copied.mkdir()
    for name in ("app.py", "config.py"):
        shutil.copy(ROOT / name, copied)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "task_app", copied / "task_app", ignore=ignored)
    return copied


class Dev(Server):
    def __init__(self, tree: Path) -> None:
        super().__init__(tree / "instance", ("--dev",))
        self.program = (str(tree / "app.py"),)


@pytest.mark.guide
def test_a_change_starts_it_anew_and_a_fault_is_a_page(tree: Path) -> None:
    server = Dev(tree)
    server.start()
    try:
        health = Rest(server.url)
        assert health.get("/health").status_code == 200
        module = tree / "task_app" / "resources" / "monitoring.py"
        source = module.read_text()
        first = "def state() -> dict[str, Any]:\n"
        assert first in source
        server.await_restart(lambda: module.write_text(source.replace(first, first + BROKEN)))
        answer = Rest(server.url).get("/health")
        assert answer.status_code == 500
        assert "ZeroDivisionError: on purpose" in answer.text and "<html" in answer.text
        assert "EVALEX = false" in answer.text  # no code can be run from the page
        assert server.stop() == 0
    finally:
        server.kill()


def test_on_loopback_alone(tmp_path: Path) -> None:
    code, said = refusal(tmp_path, "--dev", HOST="10.1.2.3")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("--dev shows tracebacks to whoever asks")
