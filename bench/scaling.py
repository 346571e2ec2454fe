"""What do more processes bring, and what gives way first?  `make bench-scaling` says.

Real PostgreSQL, Redis and server processes on this machine: `bench/scaling_parts.py` has what is
measured, `bench/model.py` what is made of it.  Rounds are interleaved; medians are told.  The
document goes to docs/scaling.md with its plot, rows of it to docs/benchmarks.md, and every figure
to bench/scaling.json, from which `--from-saved` writes the documents again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import scaling_report as report  # noqa: E402
from bench import servers  # noqa: E402
from bench.client import ClientError  # noqa: E402
from bench.run import machine, progress  # noqa: E402

VERSIONS = ("eventlet", "SQLAlchemy", "psycopg", "redis")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, help="5; 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="short; the document says so")
    parser.add_argument("--only", default="", help="parts that begin so (a,b,…); writes nothing")
    parser.add_argument("--from-saved", action="store_true", help="measure nothing; write again")
    return parser.parse_args()


def main() -> int:
    given = parse()
    servers.install(peers=False)
    if Path(sys.prefix).resolve() != servers.PYTHON.parent.parent.resolve():
        os.execv(servers.PYTHON, [str(servers.PYTHON), *sys.argv])  # noqa: S606
    if given.from_saved:
        write()
        return 0
    servers.raise_file_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is stopped
    rounds = given.rounds or (1 if given.quick else 5)
    began = time.monotonic()
    kept = measure(rounds, given)
    show(kept)
    print(f"{time.monotonic() - began:.0f} s")
    if not given.only:
        report.KEPT.write_text(json.dumps(kept, indent=None, separators=(",", ":")) + "\n")
        write()
    return int(bool(kept["failures"]))


def measure(rounds: int, given: argparse.Namespace) -> dict[str, Any]:
    from bench.installation import Installation
    from bench.scaling_parts import PARTS, Bench, check_scripts

    chosen = [name for name in PARTS if name.startswith(tuple(given.only.split(",")))]
    if not chosen:
        sys.exit(f"There are {', '.join(PARTS)}.")
    progress("starting PostgreSQL and Redis, making the data")
    installation = Installation().start()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    failures: list[str] = []
    try:
        bench = Bench(installation, given.quick)
        bench.first_event()
        check_scripts(bench)
        for turn in range(rounds):
            for name in chosen:
                progress(f"round {turn + 1} of {rounds}: {name}")
                try:
                    found = PARTS[name](bench)
                except (ClientError, RuntimeError) as error:
                    failures.append(f"{name}: {error}")
                    continue
                for figure, value in found.items():
                    if value is not None:
                        figures[name][figure].append(round(value, 5))
        version = installation.db.execute("SHOW server_version").fetchone()
    finally:
        progress("")
        installation.stop()
    return {
        **about(str(version[0]) if version else "", rounds, given.quick),
        "failures": failures,
        "figures": figures,
        "observations": bench.observations,
    }


def about(postgres: str, rounds: int, quick: bool) -> dict[str, Any]:
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "machine": machine(),
        "cores": os.cpu_count(),
        "versions": f"Python {platform.python_version()}, PostgreSQL {postgres}, {packages}.",
        "rounds": rounds,
        "quick": quick,
    }


def show(kept: dict[str, Any]) -> None:
    run = report.Run(kept)
    for part, figures in run.figures.items():
        print(part)
        for figure in figures:
            print(f"  {figure:28} {run.shown(part, figure)}")
    for failure in kept["failures"]:
        print(failure)


def write() -> None:
    """docs/scaling.md, its plot, and its rows in docs/benchmarks.md, from what was kept."""
    from bench import scaling_plot

    run, docs = report.Run.of(report.KEPT), ROOT / "docs"
    (docs / "scaling.md").write_text(report.document(run))
    scaling_plot.draw(run, docs / "scaling.png")
    benchmarks = docs / "benchmarks.md"
    text = report.with_section(benchmarks.read_text(), report.saved_section())
    benchmarks.write_text(text)
    print("docs/scaling.md, docs/scaling.png and the rows in docs/benchmarks.md are written")


if __name__ == "__main__":
    sys.exit(main())
