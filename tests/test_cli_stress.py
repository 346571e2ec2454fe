"""`flask --app app stress`: measures a real server, and its exit code tells."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from task_app.cli.stress_report import Outcome, histogram, percentile
from tests.support import databases
from tests.support.cli import Cli
from tests.support.server import ROOT, Server, environment


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(tmp_path_factory.mktemp("stress"))


@pytest.mark.parametrize("over", ["rest", "sockets"])
def test_each_listener_sees_each_event_once(run: Cli, server: Server, admin, over: str) -> None:  # type: ignore[no-untyped-def]
    before = admin.rest.get("/tasks?limit=1").headers["X-Event-Seq"]
    sizes = ("-n", 60, "-c", 4, "-l", 5, "--over", over)
    said = run("stress", "--url", server.url, *sizes).good()
    assert "Each of 5 listeners saw each of 60 events once, in order." in said
    assert "p99" in said and "█" in said
    after = admin.rest.get("/tasks?limit=1").headers["X-Event-Seq"]
    assert int(after) - int(before) >= 120  # made, and deleted at the end
    assert admin.rest.get("/tasks?q=stress").json() == []


def test_by_an_account_that_is_there(run: Cli, server: Server) -> None:
    said = run(
        *("stress", "--url", server.url, "-n", 5, "-c", 1, "-l", 1, "--user", "admin"),
        given=f"{server.admin_password}\n",
    )
    assert said.code == 0, said


@pytest.mark.guide
def test_a_server_that_dies(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The real program."""
    server = start(tmp_path)
    sizes = ("-n", "1000000", "-c", "2", "-l", "2", "--patience", "0.2")
    stress = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "stress", "--url", server.url, *sizes],
        cwd=ROOT,
        env=environment(tmp_path, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while databases.run(tmp_path, "SELECT count(*) FROM tasks") < [(20,)]:
            assert stress.poll() is None
        server.kill()
        out, err = stress.communicate(timeout=20)
    finally:
        stress.kill()
        stress.wait()
    assert stress.returncode == 1
    assert "2 failed (the connection was closed)" in err and "Traceback" not in err, err
    assert "task made" in out


def test_nobody_there(run: Cli) -> None:
    assert "127.0.0.1" in run("stress", "--url", "http://127.0.0.1:1").refused()
    assert "cannot be used" in run("stress", "--url", "localhost").refused()


@pytest.mark.guide
def test_a_picture_needs_matplotlib(
    run: Cli, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = ("--url", server.url, "-n", 3, "-c", 1, "-l", 1)
    file = tmp_path / "stress.png"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
        assert "pip install matplotlib" in run("stress", *sizes, "--plot", file).refused()
    run("stress", *sizes, "--plot", file).good()
    assert file.read_bytes().startswith(b"\x89PNG")


def outcome(**changes: object) -> Outcome:
    seen = [Counter({0: 1, 1: 1}), Counter({0: 1, 1: 1})]
    return Outcome(**{"tasks": 2, "answers": [0.1, 0.2], "seen": seen} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seen": [Counter({0: 1, 1: 1}), Counter({0: 1})]}, "1 missed"),
        ({"seen": [Counter({0: 1, 1: 3})]}, "2 seen again"),
        ({"disordered": 1}, "1 out of order"),
        ({"answers": [0.1]}, "1 unanswered"),
        ({"answers": [0.1], "failures": Counter({"507": 1})}, "1 failed (507)"),
    ],
)
def test_the_verdict(changes: dict[str, object], why: str) -> None:
    assert outcome().good and "Each of 2 listeners" in outcome().verdict()
    bad = outcome(**changes)
    assert not bad.good and why in bad.verdict()


def test_percentiles_and_histogram() -> None:
    times = [float(number) for number in range(1, 101)]
    assert [percentile(times, part) for part in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0
    lines = histogram(times)
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == 100
    assert lines[-1].startswith("≤    100.00 ms")
    assert histogram([5.0, 5.0])[0].endswith("█ 2")
