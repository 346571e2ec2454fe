"""A start that would do harm is refused: one clear sentence, exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import sqlite_only
from tests.faults.figures import figure
from tests.support import databases
from tests.support.server import ROOT, START_SECONDS, Server, environment, refusal

pytestmark = pytest.mark.fault("refused")
# Root may write to what is read-only, unless that right is taken from it.
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") * (os.geteuid() == 0)


def is_clear(said: tuple[int, str], words: Sequence[str]) -> bool:
    """Whether it is one sentence with these words, and the exit code 1."""
    code, text = said
    print(f"{code}: {text.strip()}")
    [*lines] = text.strip().splitlines()
    good = code == 1 and len(lines) == 1 and lines[0].endswith(".")
    return good and all(word in lines[0] for word in words)


def start_as_anybody(instance: Path) -> tuple[int, str]:
    done = subprocess.run(
        [*AS_ANYBODY, sys.executable, "app.py"],
        cwd=ROOT,
        env=environment(instance, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_SECONDS,
    )
    return done.returncode, done.stdout


def test_newer_schema(start: Callable[..., Server], tmp_path: Path) -> None:
    assert start().stop() == 0
    databases.run(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    figure("refused", "other", not is_clear(refusal(tmp_path), ("newer version", "9999")))


@sqlite_only
@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_read_only(start: Callable[..., Server], tmp_path: Path, what: str) -> None:
    assert start().stop() == 0
    before = (tmp_path / "tasks.db").read_bytes()
    modes = {tmp_path / "tasks.db": 0o400, tmp_path: 0o500}
    if what != "both":
        del modes[tmp_path if what == "file" else tmp_path / "tasks.db"]
    for path, mode in modes.items():
        path.chmod(mode)
    try:
        said = start_as_anybody(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    figure("refused", "other", not is_clear(said, [str(tmp_path)]))
    assert (tmp_path / "tasks.db").read_bytes() == before
