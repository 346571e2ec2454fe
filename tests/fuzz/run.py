"""`make fuzz ARGS="TARGET… --seconds=N"`: atheris on each target for so long, one after the other.

What it finds new is merged into the corpus, which the suite replays; an input that breaks a
target is left in `tests/fuzz/crashes/`, its name printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CORPUS, CRASHES = HERE / "corpus", HERE / "crashes"
LONGEST = 512  # bytes of an input
NAMES = ("frames", "http", "texts", "packets", "posts", "messages")
INSTRUMENTED = ["task_app", "socketio", "engineio"]


def fuzz(name: str, arguments: list[str]) -> None:
    """Run one target in this process; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import Targets
    with tempfile.TemporaryDirectory() as folder:
        target = Targets(Path(folder)).all[name]
        atheris.Setup([sys.argv[0], *arguments], target)
        atheris.Fuzz()


def child(name: str, *arguments: str | Path) -> int:
    command = [sys.executable, "-m", "tests.fuzz.run", "--child", name, *map(str, arguments)]
    return subprocess.run(command, cwd=HERE.parent.parent, check=False).returncode


def run(name: str, seconds: int, *, keep: bool) -> int:
    """Fuzz one target, and merge what was found.  Returns libFuzzer's exit code."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    CRASHES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as found, tempfile.TemporaryDirectory() as merged:
        bounds = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=10"]
        report = [f"-artifact_prefix={CRASHES}/{name}-", "-print_final_stats=1", "-verbosity=1"]
        code = child(name, *bounds, *report, found, kept)
        done = keep and code == 0 and child(name, "-merge=1", merged, kept, found) == 0
        if done and any(Path(merged).iterdir()):
            shutil.rmtree(kept)
            shutil.copytree(merged, kept)
            print(f"{name}: {len([*kept.iterdir()])} inputs in its corpus")
    return code


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
        name for name in given.targets or NAMES if run(name, given.seconds, keep=given.keep) != 0
    ]
    if broken:
        print(f"Broken: {', '.join(broken)}; see {CRASHES}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
