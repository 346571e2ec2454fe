"""Processes that each do commands of the server's own, when they are told to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.server import ROOT, environment

# A line is a command; so is its answer, as JSON.
PROGRAM = """
import json, sys
from config import Config
from task_app import bootstrap, create_app
from task_app.access import SYSTEM
from task_app.actions import server
from task_app.commands import execute

server.EVENTS_AT_ONCE = int(sys.argv[1])
app = create_app(Config(async_mode="threading"))
bootstrap.prepare(app)
print(json.dumps("ready"), flush=True)
with app.app_context():
    for name in sys.stdin:
        print(json.dumps(execute(SYSTEM, name.strip(), {}).body), flush=True)
"""


class Worker:
    """One process on a database.  `tell` and `hear` are apart, so that several work at once."""

    def __init__(self, instance: Path, url: str, events_at_once: int = 5_000) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(events_at_once)],
            cwd=ROOT,
            env=environment(instance, {"DATABASE_URL": url}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        """What came of the command it was told."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
