"""`make cluster` and Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import ROOT

LAST_LINE = "Ctrl-C stops all"
PARTS = 3 + 5  # PostgreSQL, Redis, nginx, and the processes


@pytest.fixture
def folder() -> Iterator[Path]:
    """For the files of all parts: PostgreSQL's user has to come in."""
    path = Path(tempfile.mkdtemp(prefix="cluster-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def children(parent: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = stat.read_text().partition(" ")
        except OSError:  # it has ended meanwhile
            continue
        if int(rest.rpartition(")")[2].split()[1]) == parent:
            found.add(int(pid))
    return found


def test_ctrl_c(folder: Path) -> None:
    """The terminal tells the whole process group; twice, as people do."""
    cluster = subprocess.Popen(
        [sys.executable, "-m", "deploy.cluster"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert cluster.stdout is not None
    said = []
    for line in cluster.stdout:
        said.append(line)
        if LAST_LINE in line:
            break
    parts = children(cluster.pid)
    assert len(parts) == PARTS, said
    assert len(list(folder.iterdir())) == PARTS
    os.killpg(cluster.pid, signal.SIGINT)
    assert cluster.stdout.readline() == "\n"
    assert cluster.stdout.readline() == "Stopping\n"
    os.killpg(cluster.pid, signal.SIGINT)
    rest = cluster.stdout.read()  # until nobody holds it: the parts have their own
    assert cluster.wait(30) == 0
    assert "Traceback" not in rest
    assert not list(folder.iterdir())
    assert not [pid for pid in parts if Path(f"/proc/{pid}").exists()]
