"""`make fuzz ARGS="TARGET… --seconds=N"`: atheris on each target for so long, one after the other.

What it finds new is merged into the corpus, which the suite replays; an input that breaks a
target is left in `tests/fuzz/crashes/`, its name printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CORPUS, CRASHES = HERE / "corpus", HERE / "crashes"
LONGEST = 512  # bytes of an input
NAMES = ("frames", "http", "texts", "packets", "posts", "messages")
INSTRUMENTED = ["task_app", "socketio", "engineio"]
EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


@dataclass(frozen=True)
class Done:
    """What became of a target: libFuzzer's exit code, and to how many inputs it was put."""

    code: int
    inputs: int


def fuzz(name: str, arguments: list[str]) -> None:
    """Run one target in this process; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import Targets
    with tempfile.TemporaryDirectory() as folder:
        target = Targets(Path(folder)).all[name]
        atheris.Setup([sys.argv[0], *arguments], target)
        atheris.Fuzz()


def child(name: str, *arguments: str | Path) -> Done:
    """Run libFuzzer in a process of its own, and pass on what it says."""
    command = [sys.executable, "-m", "tests.fuzz.run", "--child", name, *map(str, arguments)]
    inputs = 0
    with subprocess.Popen(
        command, cwd=HERE.parent.parent, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            if told := EXECUTED.match(line):
                inputs = int(told[1])
    return Done(process.returncode, inputs)


def run(name: str, seconds: int, *, keep: bool = False, seed: int | None = None) -> Done:
    """Fuzz one target, from its corpus; `keep` merges what was found into that."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    CRASHES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as found, tempfile.TemporaryDirectory() as merged:
        bounds = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=10"]
        report = [f"-artifact_prefix={CRASHES}/{name}-", "-print_final_stats=1", "-verbosity=1"]
        dice = [] if seed is None else [f"-seed={seed}"]
        done = child(name, *bounds, *report, *dice, found, kept)
        good = keep and done.code == 0 and child(name, "-merge=1", merged, kept, found).code == 0
        if good and any(Path(merged).iterdir()):
            shutil.rmtree(kept)
            shutil.copytree(merged, kept)
            print(f"{name}: {len([*kept.iterdir()])} inputs in its corpus")
    return done


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        fuzz(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*NAMES, []], default=[])
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--keep", action="store_true", help="merge what is new into the corpus")
    given = parser.parse_args()
    broken = [
        name
        for name in given.targets or NAMES
        if run(name, given.seconds, keep=given.keep).code != 0
    ]
    if broken:
        print(f"Broken: {', '.join(broken)}; see {CRASHES}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
