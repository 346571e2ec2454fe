"""The command line: as a process of its own, and in this one where starting it would cost more
than what is tested."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

from task_app import cli
from tests.support.forkserver import FORKS, UNPATCHED, forkserver
from tests.support.server import ROOT, environment
from tests.support.statements import prepared

SECONDS = 30


@dataclass(frozen=True)
class Done:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    def refused(self) -> str:
        """The one sentence of a command that did not do what it was asked."""
        assert self.code == 1, self
        said = self.err.splitlines()[-1]
        assert said.startswith("Error: ") and said.endswith("."), self
        assert "Traceback" not in self.err
        return said.removeprefix("Error: ")

    def good(self) -> str:
        assert self.code == 0, self
        return self.out


def flask(instance: Path, *arguments: str, given: str = "", **settings: str) -> Done:
    """Run `flask --app app …` as for this instance."""
    return run(arguments, environment(instance, settings), given)


def run(arguments: Sequence[str], env: dict[str, str], given: str = "") -> Done:
    """Run `flask --app app …`."""
    argv = ["flask", "--app", "app", *arguments]
    return _forked(argv, env, given) if FORKS else _run(["-m", *argv], env, given)


def python(source: str, env: dict[str, str]) -> Done:
    """Run a program that uses the server's modules, in a process of its own."""
    argv = ["-c", source]
    return _forked(argv, env) if FORKS else _run(argv, env)


def _forked(argv: list[str], env: dict[str, str], given: str = "") -> Done:
    return Done(*forkserver(UNPATCHED).run(argv, env, given, SECONDS))


def _run(argv: list[str], env: dict[str, str], given: str = "") -> Done:
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=ROOT,
        env=env,
        input=given,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Cli:
    """The same commands on an application of this process, its database made."""

    def __init__(self, folder: Path, app: Flask | None = None) -> None:
        self.folder = folder
        self.app = app or prepared(folder)
        cli.register(self.app)

    def __call__(self, *arguments: Any, given: str = "") -> Done:
        words = [str(word) for word in arguments]
        with self.app.app_context():
            done = self.app.test_cli_runner().invoke(args=words, input=given)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)
