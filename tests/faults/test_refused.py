"""A start that would do harm is refused: one clear sentence, exit code 1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def read_only(instance: Path, what: Path) -> tuple[int, str]:
    """What a start says when this is read-only; it leaves everything as it was."""
    before, mode = (instance / "tasks.db").read_bytes(), what.stat().st_mode
    what.chmod(mode & 0o555)
    try:
        return start_as_anybody(instance)
    finally:
        what.chmod(mode)
        assert (instance / "tasks.db").read_bytes() == before


@sqlite_only
def test_read_only(start: Callable[..., Server], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert start(one).stop() == 0
    shutil.copytree(one, two)
    cases = [(one, one / "tasks.db"), (two, two)]
    with ThreadPoolExecutor(len(cases)) as pool:
        said = list(pool.map(read_only, *zip(*cases, strict=True)))
    wrong = [
        told
        for told, (_, what) in zip(said, cases, strict=True)
        if not is_clear(told, (str(what), "read-only"))
    ]
    figure("refused", "other", len(wrong), len(cases))
